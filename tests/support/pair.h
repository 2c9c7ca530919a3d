/*
 * Two transports back to back, with real host keys and a fixed random stream: what one has to send
 * is fed to the other in pieces of `cut` bytes. Header only, since not every test links proxy/ssh.
 */
#ifndef TESTS_SUPPORT_PAIR_H
#define TESTS_SUPPORT_PAIR_H

#include "common/base/wire.h"
#include "common/crypto/key.h"
#include "proxy/ssh/packet.h"
#include "proxy/ssh/transport.h"
#include "tests/support/test.h"

enum { PAIR_KEYS = 5, PAIR_STREAM_MAX = 64 << 20 };

/* One end and what came out of it. */
struct pair_end {
    struct transport *t;
    struct rng_test seed;
    size_t events[TRANSPORT_FAILED + 1]; /* how many of each type */
    struct buf packets;                  /* string payload each */
    size_t packet_count;
    uint32_t last_seq;
    enum err failed;
    uint32_t reason;
    char *text;              /* of FAILED or DISCONNECTED */
    bool auto_answer;        /* KEX_SIGN and HOST_KEY are answered at once */
    struct buf pending_hash; /* the last KEX_SIGN */
    size_t pending_key;
    char pending_algorithm[64];
};

struct pair {
    struct pair_end server;
    struct pair_end client;
    size_t cut; /* 0 = everything at once */
    uint64_t now;
    struct transport_algorithms server_algorithms;
    struct transport_algorithms client_algorithms;
    struct transport_limits limits;
    struct view blobs[PAIR_KEYS];
};

/* One key per type, made once per program. */
static inline const struct private_key *pair_key(enum key_type type)
{
    static struct private_key keys[PAIR_KEYS];
    static bool made[PAIR_KEYS];
    if (!made[type]) {
        static struct rng_test seed;
        struct rng rng = rng_test(&seed, 77 + (uint64_t)type);
        CHECK_OK(private_key_generate(&keys[type], type, &rng));
        made[type] = true;
    }
    return &keys[type];
}

static inline struct transport_config pair_config(struct pair *p, enum transport_role role)
{
    bool is_server = role == TRANSPORT_SERVER;
    return (struct transport_config){
        .role = role,
        .software = is_server ? "Postern_0.1" : "Postern_0.1 client",
        .algorithms = is_server ? &p->server_algorithms : &p->client_algorithms,
        .host_keys = p->blobs,
        .host_key_count = PAIR_KEYS,
        .rng = rng_test(is_server ? &p->server.seed : &p->client.seed, is_server ? 1 : 2),
        .limits = p->limits,
        .now_ms = p->now,
    };
}

static inline void pair_end_init(struct pair_end *e)
{
    *e = (struct pair_end){.auto_answer = true};
    buf_init(&e->packets, PAIR_STREAM_MAX);
    buf_init(&e->pending_hash, 64);
}

/* Profiles and limits may be changed between pair_init and pair_open. */
static inline void pair_init(struct pair *p)
{
    *p = (struct pair){0};
    pair_end_init(&p->server);
    pair_end_init(&p->client);
    p->server_algorithms = *transport_profile(TRANSPORT_COMPAT, TRANSPORT_SERVER);
    p->client_algorithms = *transport_profile(TRANSPORT_COMPAT, TRANSPORT_CLIENT);
    for (size_t i = 0; i < PAIR_KEYS; i++)
        p->blobs[i] = public_key_blob(&pair_key((enum key_type)i)->public);
}

static inline void pair_open(struct pair *p)
{
    struct transport_config server = pair_config(p, TRANSPORT_SERVER);
    struct transport_config client = pair_config(p, TRANSPORT_CLIENT);
    p->server.t = transport_new(&server);
    p->client.t = transport_new(&client);
}

static inline void pair_end_fini(struct pair_end *e)
{
    transport_free(e->t);
    buf_fini(&e->packets);
    buf_fini(&e->pending_hash);
    mem_free(e->text);
}

static inline void pair_fini(struct pair *p)
{
    pair_end_fini(&p->server);
    pair_end_fini(&p->client);
}

/* Answers the question that KEX_SIGN asked. */
static inline void pair_sign(struct pair_end *e)
{
    struct buf signature;
    buf_init(&signature, KEY_BLOB_MAX);
    CHECK_OK(private_key_sign(pair_key((enum key_type)e->pending_key),
                              view_str(e->pending_algorithm), buf_view(&e->pending_hash),
                              &signature));
    CHECK_OK(transport_signed(e->t, buf_view(&signature)));
    buf_fini(&signature);
}

static inline void pair_on_event(struct pair_end *e, const struct transport_event *ev)
{
    struct writer w = writer_to(&e->packets);
    e->events[ev->type]++;
    switch (ev->type) {
    case TRANSPORT_KEX_SIGN:
        buf_clear(&e->pending_hash);
        CHECK_OK(buf_append(&e->pending_hash, ev->kex_sign.hash));
        e->pending_key = ev->kex_sign.key_index;
        (void)snprintf(e->pending_algorithm, sizeof e->pending_algorithm, "%s",
                       ev->kex_sign.algorithm);
        if (e->auto_answer)
            pair_sign(e);
        break;
    case TRANSPORT_HOST_KEY:
        if (e->auto_answer)
            CHECK_OK(transport_host_key_accept(e->t));
        break;
    case TRANSPORT_PACKET:
        assert_int_equal(ev->packet.type, ev->packet.payload[0]);
        write_string(&w, view_of(ev->packet.payload, ev->packet.len));
        CHECK_OK(writer_done(&w));
        e->packet_count++;
        e->last_seq = ev->packet.seq;
        break;
    case TRANSPORT_DISCONNECTED:
        e->reason = ev->disconnected.reason;
        mem_free(e->text);
        e->text = mem_strndup(ev->disconnected.text.ptr, ev->disconnected.text.len);
        break;
    case TRANSPORT_FAILED:
        e->failed = ev->failed.err;
        mem_free(e->text);
        e->text = mem_strndup(ev->failed.text.ptr, ev->failed.text.len);
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_READY:
    case TRANSPORT_EXT_INFO:
        break;
    }
}

static inline void pair_drain(struct pair_end *e)
{
    struct transport_event ev;
    while (transport_next(e->t, &ev))
        pair_on_event(e, &ev);
}

/* Feeds bytes in pieces; true when they were all taken. */
static inline bool pair_feed(struct pair *p, struct pair_end *to, struct view bytes)
{
    size_t cut = p->cut ? p->cut : SIZE_MAX;
    while (bytes.len) {
        size_t n = transport_room(to->t);
        n = n < cut ? n : cut;
        n = n < bytes.len ? n : bytes.len;
        if (n == 0)
            return false;
        CHECK_OK(transport_feed(to->t, view_take(bytes, n), p->now));
        pair_drain(to);
        bytes = view_skip(bytes, n);
    }
    return true;
}

/* Moves what `from` has to send now. True when there was something. */
static inline bool pair_move(struct pair *p, struct pair_end *from, struct pair_end *to)
{
    struct buf copy;
    buf_init(&copy, PAIR_STREAM_MAX);
    CHECK_OK(buf_append(&copy, transport_output(from->t)));
    transport_sent(from->t, copy.len);
    bool moved = copy.len > 0;
    (void)pair_feed(p, to, buf_view(&copy));
    buf_fini(&copy);
    return moved;
}

/* Until neither has anything to say. */
static inline void pair_pump(struct pair *p)
{
    pair_drain(&p->server);
    pair_drain(&p->client);
    for (bool moved = true; moved;) {
        moved = pair_move(p, &p->client, &p->server);
        moved = pair_move(p, &p->server, &p->client) || moved;
    }
}

static inline void pair_ready(struct pair *p)
{
    pair_open(p);
    pair_pump(p);
    if (!p->server.events[TRANSPORT_READY] || !p->client.events[TRANSPORT_READY])
        fail_msg("no handshake: server: %s, client: %s", p->server.text ? p->server.text : "-",
                 p->client.text ? p->client.text : "-");
}

/* Ready, and both sides believe that the user is authenticated. */
static inline void pair_authenticated(struct pair *p)
{
    pair_ready(p);
    CHECK_OK(transport_authenticated(p->server.t));
    CHECK_OK(transport_authenticated(p->client.t));
}

/* CHANNEL_DATA for channel 0 of `len` bytes that `seed` fixes. */
static inline void pair_data(struct buf *out, size_t len, uint8_t seed)
{
    struct writer w = writer_to(out);
    uint8_t *p;
    buf_clear(out);
    write_u8(&w, MSG_CHANNEL_DATA);
    write_u32(&w, 0);
    write_u32(&w, (uint32_t)len);
    CHECK_OK(writer_done(&w));
    CHECK_OK(buf_reserve(out, len, &p));
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(seed + i * 31);
    buf_commit(out, len);
}

/* Appends a clear text packet, as before the first NEWKEYS. */
static inline void pair_clear_packet(struct buf *out, struct view payload)
{
    struct packet_dir dir = {0};
    struct packet_pad pad = {0};
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 5);
    CHECK_OK(packet_seal(&dir, &pad, &rng, payload, out));
}

/* The payload of the clear text packet at the front of `bytes`, which is cut off there. */
static inline struct view pair_clear_next(struct view *bytes)
{
    assert_true(bytes->len >= 5);
    size_t body = load_u32(bytes->ptr);
    assert_true(bytes->len >= 4 + body);
    struct view payload = view_of(bytes->ptr + 5, body - 1 - bytes->ptr[4]);
    *bytes = view_skip(*bytes, 4 + body);
    return payload;
}

#endif
