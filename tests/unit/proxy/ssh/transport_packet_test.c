#include "proxy/ssh/packet.h"
#include "tests/support/test.h"

struct dirs {
    struct packet_dir tx;
    struct packet_dir rx;
    struct packet_pad pad;
    struct rng_test seed;
    struct rng rng;
};

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

static void dirs_init(struct dirs *d, size_t suite)
{
    struct cipher_keys k = {.alg = suites[suite].alg, .mac = suites[suite].mac};
    *d = (struct dirs){0};
    d->rng = rng_test(&d->seed, suite);
    rng_fill(&d->rng, k.key, sizeof k.key);
    rng_fill(&d->rng, k.iv, sizeof k.iv);
    rng_fill(&d->rng, k.mac_key, sizeof k.mac_key);
    CHECK_OK(packet_rekey(&d->tx, &k, true));
    CHECK_OK(packet_rekey(&d->rx, &k, true));
}

static void dirs_fini(struct dirs *d)
{
    packet_dir_fini(&d->tx);
    packet_dir_fini(&d->rx);
}

/* Every length of payload, read back; lengths, padding and counters as RFC 4253 §6 has them. */
static void test_round_trip(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct dirs d;
        struct buf out;
        uint8_t payload[300];
        uint64_t bytes = 0;
        buf_init(&out, 4096);
        dirs_init(&d, s);
        for (size_t len = 1; len < sizeof payload; len++) {
            struct packet p;
            memset(payload, (int)len, sizeof payload);
            CHECK_OK(packet_seal(&d.tx, &d.pad, &d.rng, view_of(payload, len), &out));
            size_t block = suites[s].alg == CIPHER_NONE ? 8 : cipher_block_len(&d.tx.cipher);
            size_t tag = cipher_tag_len(&d.tx.cipher);
            size_t outside = suites[s].alg == CIPHER_NONE ? 0 : 4;
            assert_int_equal((out.len - tag - outside) % block, 0);
            assert_true(out.len >= 16 && out.len <= len + PACKET_OVERHEAD);
            if (len > 20 && s > 0)
                assert_int_equal(view_search(buf_view(&out), view_of(payload, 20)), -1);
            CHECK_OK(packet_open(&d.rx, buf_ptr(&out), out.len, 1024, &p));
            CHECK_VIEW(view_of(p.payload, p.len), view_of(payload, len));
            assert_int_equal(p.total, out.len);
            assert_int_equal(p.seq, len - 1);
            assert_true(p.payload[-1] >= PACKET_PAD_MIN);
            bytes += p.total;
            buf_clear(&out);
        }
        assert_int_equal(d.rx.packets, sizeof payload - 1);
        assert_int_equal(d.rx.bytes, bytes);
        assert_int_equal(d.tx.bytes, bytes);
        buf_fini(&out);
        dirs_fini(&d);
    }
}

/* Until the last byte is there nothing changes, at every split point; what follows is not read. */
static void test_split(void **state)
{
    (void)state;
    for (size_t s = 0; s < ARRAY_LEN(suites); s++) {
        struct dirs d;
        struct buf out;
        struct packet p;
        uint8_t raw[512];
        buf_init(&out, 4096);
        dirs_init(&d, s);
        CHECK_OK(packet_seal(&d.tx, &d.pad, &d.rng, VIEW("^split me somewhere"), &out));
        size_t total = out.len;
        memset(raw, 0xee, sizeof raw);
        memcpy(raw, buf_ptr(&out), total);
        for (size_t n = 0; n < total; n++) {
            CHECK_ERR(packet_open(&d.rx, raw, n, 1024, &p), ERR_MORE);
            assert_memory_equal(raw, buf_ptr(&out), total);
        }
        CHECK_OK(packet_open(&d.rx, raw, sizeof raw, 1024, &p));
        CHECK_VIEW_STR(view_of(p.payload, p.len), "^split me somewhere");
        for (size_t i = total; i < sizeof raw; i++)
            assert_int_equal(raw[i], 0xee);
        buf_fini(&out);
        dirs_fini(&d);
    }
}

static void test_flipped_bits(void **state)
{
    (void)state;
    for (size_t s = 1; s < ARRAY_LEN(suites); s++) {
        for (size_t bit = 0;; bit++) {
            struct dirs d;
            struct buf out;
            struct packet p;
            buf_init(&out, 4096);
            dirs_init(&d, s);
            CHECK_OK(packet_seal(&d.tx, &d.pad, &d.rng, VIEW("^payload"), &out));
            bool is_over = bit / 8 >= out.len;
            if (!is_over) {
                buf_ptr(&out)[bit / 8] ^= (uint8_t)(1 << bit % 8);
                enum err e = packet_open(&d.rx, buf_ptr(&out), out.len, 1024, &p);
                assert_true(e == ERR_MAC || (bit < 32 && (e == ERR_RANGE || e == ERR_MORE)));
            }
            buf_fini(&out);
            dirs_fini(&d);
            if (is_over)
                break;
        }
    }
}

/* Out of order, twice, or under another number: never. */
static void test_replay(void **state)
{
    (void)state;
    for (size_t s = 1; s < ARRAY_LEN(suites); s++) {
        struct dirs d;
        struct buf out;
        struct packet p;
        buf_init(&out, 4096);
        dirs_init(&d, s);
        CHECK_OK(packet_seal(&d.tx, &d.pad, &d.rng, VIEW("^one"), &out));
        uint8_t copy[256];
        size_t len = out.len;
        memcpy(copy, buf_ptr(&out), len);
        CHECK_OK(packet_open(&d.rx, buf_ptr(&out), len, 1024, &p));
        enum err e = packet_open(&d.rx, copy, len, 1024, &p);
        assert_true(e == ERR_MAC || e == ERR_RANGE || e == ERR_MORE);
        buf_fini(&out);
        dirs_fini(&d);
    }
}

static void test_no_room(void **state)
{
    (void)state;
    struct dirs d;
    struct buf out;
    buf_init(&out, 30);
    dirs_init(&d, 1);
    CHECK_ERR(packet_seal(&d.tx, &d.pad, &d.rng, VIEW("^no room for this one"), &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
    assert_int_equal(d.tx.seq, 0);
    buf_fini(&out);
    dirs_fini(&d);
}

static void test_sequence_reset(void **state)
{
    (void)state;
    struct dirs d;
    struct buf out;
    struct cipher_keys k = {.alg = CIPHER_AES128_GCM};
    buf_init(&out, 4096);
    dirs_init(&d, 2);
    CHECK_OK(packet_seal(&d.tx, &d.pad, &d.rng, VIEW("^x"), &out));
    CHECK_OK(packet_rekey(&d.tx, &k, false));
    assert_int_equal(d.tx.seq, 1);
    assert_int_equal(d.tx.bytes, 0);
    CHECK_OK(packet_rekey(&d.tx, &k, true));
    assert_int_equal(d.tx.seq, 0);
    buf_fini(&out);
    dirs_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_split),
        cmocka_unit_test(test_flipped_bits), cmocka_unit_test(test_replay),
        cmocka_unit_test(test_no_room),      cmocka_unit_test(test_sequence_reset),
    };
    return RUN(tests);
}
