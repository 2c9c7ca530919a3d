// links: proxy/ssh
/*
 * The relay of channel data, from a target's ciphertext to the client's, against the least that it
 * could do: BoringSSL opening and sealing the same packets, and one copy. One JSON line each:
 * MB per second of CPU, the best of many short rounds in which both take turns.
 */
#include <openssl/aead.h>
#include <openssl/chacha.h>
#include <openssl/mem.h>
#include <openssl/poly1305.h>
#include <time.h>

#include "tests/support/chain.h"

enum {
    ROUNDS = 60,
    ROUND_BYTES = 4 << 20,
    PIECE = 64 << 10, /* one read of a socket */
    BATCH = 8 * PIECE,
    TAG = 16,
    ROOM = 256, /* what a packet is more than its data, at most */
};

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- the baseline --- */

/* One direction of one cipher as its specification has it, and nothing around it. */
struct bare {
    bool is_gcm;
    EVP_AEAD_CTX *gcm;
    uint8_t iv[12];
    uint8_t key[64];
    uint64_t seq;
};

static void bare_init(struct bare *b, const char *cipher, uint8_t seed)
{
    *b = (struct bare){.is_gcm = strstr(cipher, "gcm") != NULL};
    memset(b->key, seed, sizeof b->key);
    bool is_128 = strstr(cipher, "128") != NULL;
    if (b->is_gcm)
        b->gcm = EVP_AEAD_CTX_new(is_128 ? EVP_aead_aes_128_gcm() : EVP_aead_aes_256_gcm(), b->key,
                                  is_128 ? 16 : 32, TAG);
}

static void bare_fini(struct bare *b)
{
    if (b->gcm)
        EVP_AEAD_CTX_free(b->gcm);
}

static void bare_nonce(const struct bare *b, uint8_t nonce[12])
{
    memcpy(nonce, b->iv, 12);
    store_u64(nonce + 4, b->seq);
}

static void bare_tag(const struct bare *b, const uint8_t nonce[12], const uint8_t *p, size_t len,
                     uint8_t tag[TAG])
{
    uint8_t key[32] = {0};
    poly1305_state state;
    CRYPTO_chacha_20(key, key, sizeof key, b->key, nonce, 0);
    CRYPTO_poly1305_init(&state, key);
    CRYPTO_poly1305_update(&state, p, len);
    CRYPTO_poly1305_finish(&state, tag);
}

/* A packet is its length (4), the body and the tag; both work in place. */
static void bare_seal(struct bare *b, uint8_t *p, size_t body)
{
    uint8_t nonce[12];
    size_t n = 0;
    bare_nonce(b, nonce);
    b->seq++;
    if (b->is_gcm) {
        CHECK(EVP_AEAD_CTX_seal(b->gcm, p + 4, &n, body + TAG, nonce, 12, p + 4, body, p, 4));
        return;
    }
    CRYPTO_chacha_20(p, p, 4, b->key + 32, nonce, 0);
    CRYPTO_chacha_20(p + 4, p + 4, body, b->key, nonce, 1);
    bare_tag(b, nonce, p, 4 + body, p + 4 + body);
}

static void bare_open(struct bare *b, uint8_t *p, size_t body)
{
    uint8_t nonce[12];
    uint8_t tag[TAG];
    size_t n = 0;
    bare_nonce(b, nonce);
    b->seq++;
    if (b->is_gcm) {
        CHECK(EVP_AEAD_CTX_open(b->gcm, p + 4, &n, body + TAG, nonce, 12, p + 4, body + TAG, p, 4));
        return;
    }
    bare_tag(b, nonce, p, 4 + body, tag);
    CHECK(CRYPTO_memcmp(tag, p + 4 + body, TAG) == 0);
    CRYPTO_chacha_20(p, p, 4, b->key + 32, nonce, 0);
    CRYPTO_chacha_20(p + 4, p + 4, body, b->key, nonce, 1);
}

struct baseline {
    struct bare from; /* the target's keys */
    struct bare in;
    struct bare out; /* the client's */
    uint8_t *wire;
    uint8_t *work;
    size_t data;
};

static void baseline_init(struct baseline *b, const char *cipher, size_t data)
{
    bare_init(&b->from, cipher, 1);
    bare_init(&b->in, cipher, 1);
    bare_init(&b->out, cipher, 2);
    b->wire = mem_zalloc(2 * BATCH + ROOM);
    b->work = mem_zalloc(2 * BATCH + ROOM);
    b->data = data;
}

static void baseline_fini(struct baseline *b)
{
    bare_fini(&b->from);
    bare_fini(&b->in);
    bare_fini(&b->out);
    mem_free(b->wire);
    mem_free(b->work);
}

/* One batch; returns its CPU time. */
static uint64_t baseline_batch(struct baseline *b, size_t packets)
{
    size_t body = (1 + 9 + b->data + 4 + 15) / 16 * 16; /* padding length, head, data, padding */
    size_t total = 4 + body + TAG;
    for (size_t i = 0; i < packets; i++) {
        store_u32(b->wire + i * total, (uint32_t)body);
        bare_seal(&b->from, b->wire + i * total, body);
    }
    uint64_t from = cpu_ns();
    memcpy(b->work, b->wire, packets * total);
    for (size_t i = 0; i < packets; i++) {
        uint8_t *p = b->work + i * total;
        bare_open(&b->in, p, body);
        store_u32(p, (uint32_t)body);
        bare_seal(&b->out, p, body);
    }
    return cpu_ns() - from;
}

/* --- the relay --- */

static void relay_init_chain(struct chain *c, const char *cipher)
{
    chain_init(c, 1);
    c->algorithms[TRANSPORT_CLIENT].cipher = cipher;
    c->limits.output_hard = 8 << 20;
    c->window[RELAY_CLIENT] = c->window[RELAY_TARGET] = UINT32_MAX;
    chain_open(c);
    chain_open_channel(c, 0, "session");
    while (!c->client.channels[0].is_open) {
        (void)chain_wires(c);
        (void)chain_relay(c);
        (void)chain_read(c, &c->client);
        (void)chain_read(c, &c->target);
    }
}

/* Ciphertext of the target, then the time that the proxy takes to make the client's of it. */
static uint64_t relay_batch(struct chain *c, size_t data, size_t packets)
{
    struct buf b;
    uint8_t *p;
    buf_init(&b, data + ROOM);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_DATA);
    write_u32(&w, c->target.channels[0].peer);
    write_u32(&w, (uint32_t)data);
    CHECK(buf_reserve(&b, data, &p) == OK);
    memset(p, 'x', data);
    buf_commit(&b, data);
    for (size_t i = 0; i < packets; i++)
        CHECK(transport_send(c->target.leg.t, buf_view(&b)) == OK);
    buf_fini(&b);

    struct view wire = transport_output(c->target.leg.t);
    struct transport *in = c->proxy[RELAY_TARGET].t;
    struct transport *out = c->proxy[RELAY_CLIENT].t;
    struct bridge_event e;
    size_t all = wire.len;
    uint64_t before = c->bridge.relay.bytes[RELAY_TARGET];
    uint64_t from = cpu_ns();
    while (wire.len) {
        CHECK(transport_feed(in, view_take(wire, PIECE), 0) == OK);
        CHECK(!bridge_next(&c->bridge, &e));
        transport_sent(out, transport_output(out).len);
        wire = view_skip(wire, PIECE);
    }
    uint64_t ns = cpu_ns() - from;
    transport_sent(c->target.leg.t, all);
    CHECK(c->bridge.relay.bytes[RELAY_TARGET] - before == data * packets);
    return ns;
}

/* --- both --- */

static void measure(const char *cipher, const char *label, size_t data)
{
    struct chain c;
    struct baseline b;
    size_t packets = BATCH / data;
    uint64_t best_relay = UINT64_MAX;
    uint64_t best_bare = UINT64_MAX;
    relay_init_chain(&c, cipher);
    baseline_init(&b, cipher, data);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t relay = 0;
        uint64_t bare = 0;
        for (size_t done = 0; done < ROUND_BYTES; done += packets * data) {
            relay += relay_batch(&c, data, packets);
            bare += baseline_batch(&b, packets);
        }
        best_relay = relay < best_relay ? relay : best_relay;
        best_bare = bare < best_bare ? bare : best_bare;
    }
    double bytes =
        (double)(((ROUND_BYTES + packets * data - 1) / (packets * data)) * packets * data);
    double value = bytes * 1e3 / (double)best_relay;
    double baseline = bytes * 1e3 / (double)best_bare;
    (void)printf(
        "{\"name\":\"ssh relay %s %zu\",\"value\":%.0f,\"unit\":\"MB/s\",\"baseline\":%.0f,"
        "\"ratio\":%.3f}\n",
        label, data, value, baseline, value / baseline);
    baseline_fini(&b);
    chain_fini(&c);
}

int main(void)
{
    static const char *const ciphers[][2] = {
        {"chacha20-poly1305@openssh.com", "chacha20-poly1305"},
        {"aes128-gcm@openssh.com", "aes128-gcm"},
        {"aes256-gcm@openssh.com", "aes256-gcm"},
    };
    static const size_t sizes[] = {32768, 16384, 1024, 64};
    for (size_t i = 0; i < ARRAY_LEN(ciphers); i++) {
        for (size_t k = 0; k < ARRAY_LEN(sizes); k++)
            measure(ciphers[i][0], ciphers[i][1], sizes[k]);
    }
    return 0;
}
