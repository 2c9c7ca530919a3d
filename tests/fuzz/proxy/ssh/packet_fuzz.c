/*
 * The packet decoder under each cipher. Byte 0: suite, and whether the rest is what came over the
 * wire or a payload that is sealed, damaged at one place and opened again.
 */
#include "common/base/check.h"
#include "proxy/ssh/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
    enum cipher_alg alg;
    enum cipher_mac mac;
} suites[] = {
    {CIPHER_NONE, CIPHER_MAC_NONE},
    {CIPHER_CHACHA20_POLY1305, CIPHER_MAC_NONE},
    {CIPHER_AES128_GCM, CIPHER_MAC_NONE},
    {CIPHER_AES256_GCM, CIPHER_MAC_NONE},
    {CIPHER_AES128_CTR, CIPHER_MAC_SHA256_ETM},
    {CIPHER_AES192_CTR, CIPHER_MAC_SHA512_ETM},
    {CIPHER_AES256_CTR, CIPHER_MAC_SHA256_ETM},
};

enum { MAX_BODY = 32768, MODE_SEALED = 0x80 };

static void open_all(struct packet_dir *d, struct view in)
{
    struct buf b;
    struct packet p;
    buf_init(&b, 1 << 20);
    CHECK(buf_append(&b, in) == OK);
    while (b.len && packet_open(d, buf_ptr(&b), b.len, MAX_BODY, &p) == OK) {
        CHECK(p.len >= 1 && p.total <= b.len);
        CHECK(p.payload + p.len <= buf_ptr(&b) + p.total);
        buf_consume(&b, p.total);
    }
    buf_fini(&b);
}

static void seal_and_open(struct packet_dir *tx, struct packet_dir *rx, struct view in)
{
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 3);
    struct packet_pad pad = {0};
    struct packet p;
    struct buf b;
    size_t at = (size_t)in.ptr[0] << 8 | in.ptr[1];
    uint8_t damage = in.ptr[2];
    in = view_skip(in, 3);
    buf_init(&b, 1 << 20);
    CHECK(packet_seal(tx, &pad, &rng, in, &b) == OK);
    buf_ptr(&b)[at % b.len] ^= damage;
    enum err e = packet_open(rx, buf_ptr(&b), b.len, 1 << 20, &p);
    if (damage == 0)
        CHECK(e == OK && view_eq(view_of(p.payload, p.len), in));
    else if (tx->cipher.keys.alg != CIPHER_NONE)
        CHECK(e != OK);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 6 || size > 1 << 18)
        return 0;
    size_t suite = (data[0] & 0x7f) % (sizeof suites / sizeof suites[0]);
    struct cipher_keys k = {.alg = suites[suite].alg, .mac = suites[suite].mac};
    struct packet_dir tx = {0};
    struct packet_dir rx = {0};
    CHECK(packet_rekey(&tx, &k, true) == OK);
    CHECK(packet_rekey(&rx, &k, true) == OK);
    if (data[0] & MODE_SEALED)
        seal_and_open(&tx, &rx, view_of(data + 1, size - 1));
    else
        open_all(&rx, view_of(data + 1, size - 1));
    packet_dir_fini(&tx);
    packet_dir_fini(&rx);
    return 0;
}
