/*
 * client - proxy - target in one process: four transports, authentication on both legs, a bridge
 * in the middle, and wires with a capacity between them. Ends open channels, send patterns both
 * ways, read as slowly as they are told, and check every byte and the order of replies.
 */
#ifndef TESTS_SUPPORT_CHAIN_H
#define TESTS_SUPPORT_CHAIN_H

#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "common/crypto/key.h"
#include "proxy/ssh/auth_client.h"
#include "proxy/ssh/auth_server.h"
#include "proxy/ssh/bridge.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/transport.h"
#include "tests/support/test.h"

enum { CHAIN_CHANNELS = 4, CHAIN_PATTERN = 251 };

struct chain_wire {
    struct buf bytes;
};

struct chain_channel {
    uint32_t peer;
    uint64_t window; /* we may send */
    uint32_t packet;
    uint64_t to_send;
    uint64_t sent;
    uint64_t received;
    uint64_t granted; /* the peer may have sent up to this */
    bool is_open;
    bool eof_sent;
    bool eof_seen;
    bool close_sent;
    bool close_seen;
    struct buf stderr_text;
};

/* One of the four transports with its wire to the peer. */
struct chain_leg {
    struct transport *t;
    struct rng_test seed;
    struct chain_wire out;
    size_t rekeys;
    bool ready;
    char *ended; /* text of DISCONNECT or of our failure */
};

/* An end: client or target. */
struct chain_end {
    struct chain_leg leg;
    struct chain_channel channels[CHAIN_CHANNELS];
    uint32_t requests_sent;
    uint32_t requests_answered;
    uint32_t requests_seen;
    unsigned reads_one_in; /* 1 = always; 0 = never */
    struct buf debug;
};

struct chain {
    struct chain_end client;
    struct chain_end target;
    struct chain_leg proxy[2];
    struct auth_client client_auth;
    struct auth_server proxy_auth;
    struct auth_client upstream_auth;
    struct auth_server target_auth;
    struct bridge bridge;
    bool bridged;
    struct private_key ca;
    const struct private_key *host_key;
    struct rng_test seed;
    struct rng rng;
    /* settings */
    size_t wire_max;
    size_t cut_max;
    uint32_t window[2]; /* initial window that the end gives, by enum relay_side */
    uint32_t packet;
    struct transport_limits limits;
    struct transport_algorithms algorithms[2]; /* by role */
    uint32_t rekey_one_in;
    uint32_t move_one_in; /* export and import the proxy's half */
    size_t moves;
    uint64_t now;
};

static inline uint32_t chain_random(struct chain *c, uint32_t below)
{
    uint8_t b[4];
    rng_fill(&c->rng, b, sizeof b);
    return below ? load_u32(b) % below : 0;
}

static inline const struct private_key *chain_host_key(void)
{
    static struct private_key key;
    static bool made;
    if (!made) {
        static struct rng_test seed;
        struct rng rng = rng_test(&seed, 99);
        CHECK_OK(private_key_generate(&key, KEY_ED25519, &rng));
        made = true;
    }
    return &key;
}

static inline void chain_init(struct chain *c, uint64_t seed)
{
    *c = (struct chain){.wire_max = 16384, .cut_max = 4096, .packet = 32768};
    c->rng = rng_test(&c->seed, seed);
    c->window[0] = c->window[1] = 1 << 17;
    c->algorithms[TRANSPORT_SERVER] = *transport_profile(TRANSPORT_COMPAT, TRANSPORT_SERVER);
    c->algorithms[TRANSPORT_CLIENT] = *transport_profile(TRANSPORT_COMPAT, TRANSPORT_CLIENT);
    c->algorithms[TRANSPORT_CLIENT].kex = "curve25519-sha256";
    c->client.reads_one_in = c->target.reads_one_in = 1;
    c->host_key = chain_host_key();
    CHECK_OK(private_key_generate(&c->ca, KEY_ED25519, &c->rng));
}

static inline struct transport_config chain_config(struct chain *c, struct chain_leg *leg,
                                                   enum transport_role role, struct view *blob)
{
    *blob = public_key_blob(&c->host_key->public);
    return (struct transport_config){
        .role = role,
        .software = "Postern_test",
        .algorithms = &c->algorithms[role],
        .host_keys = blob,
        .host_key_count = 1,
        .rng = rng_test(&leg->seed, chain_random(c, UINT32_MAX)),
        .limits = c->limits,
        .now_ms = c->now,
    };
}

static inline void chain_open_leg(struct chain *c, struct chain_leg *leg, enum transport_role role)
{
    struct view blob;
    struct transport_config config = chain_config(c, leg, role, &blob);
    leg->t = transport_new(&config);
    buf_init(&leg->out.bytes, 64 << 20);
}

static inline void chain_end_text(struct chain_leg *leg, struct view text)
{
    mem_free(leg->ended);
    leg->ended = mem_strndup(text.ptr, text.len);
}

/* What every leg does with everything but packets. */
static inline void chain_on_event(struct chain *c, struct chain_leg *leg,
                                  const struct transport_event *e)
{
    struct buf signature;
    buf_init(&signature, KEY_BLOB_MAX);
    switch (e->type) {
    case TRANSPORT_KEX_SIGN:
        CHECK_OK(private_key_sign(c->host_key, view_str(e->kex_sign.algorithm), e->kex_sign.hash,
                                  &signature));
        CHECK_OK(transport_signed(leg->t, buf_view(&signature)));
        break;
    case TRANSPORT_HOST_KEY:
        CHECK_OK(transport_host_key_accept(leg->t));
        break;
    case TRANSPORT_READY:
        leg->ready = true;
        leg->rekeys += !e->ready.is_first;
        break;
    case TRANSPORT_DISCONNECTED:
        chain_end_text(leg, e->disconnected.text);
        break;
    case TRANSPORT_FAILED:
        chain_end_text(leg, e->failed.text);
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_EXT_INFO:
    case TRANSPORT_PACKET:
        break;
    }
    buf_fini(&signature);
}

/* --- wires --- */

static inline bool chain_flush(struct chain *c, struct chain_leg *leg)
{
    size_t room = leg->out.bytes.len < c->wire_max ? c->wire_max - leg->out.bytes.len : 0;
    struct view v = view_take(transport_output(leg->t), room);
    if (!v.len)
        return false;
    size_t n = v.len;
    CHECK_OK(buf_append(&leg->out.bytes, v));
    transport_sent(leg->t, n);
    return true;
}

static inline bool chain_deliver(struct chain *c, struct chain_leg *from, struct transport *to)
{
    size_t n = transport_room(to);
    size_t cut = 1 + chain_random(c, (uint32_t)c->cut_max);
    n = n < cut ? n : cut;
    struct view v = view_take(buf_view(&from->out.bytes), n);
    if (!v.len)
        return false;
    n = v.len;
    CHECK_OK(transport_feed(to, v, c->now));
    buf_consume(&from->out.bytes, n);
    return true;
}

static inline bool chain_wires(struct chain *c)
{
    bool moved = chain_flush(c, &c->client.leg);
    moved |= chain_flush(c, &c->target.leg);
    moved |= chain_flush(c, &c->proxy[0]);
    moved |= chain_flush(c, &c->proxy[1]);
    /* The proxy leaves bytes in the socket where it may not take packets. */
    if (!c->bridged || bridge_takes(&c->bridge, RELAY_CLIENT))
        moved |= chain_deliver(c, &c->client.leg, c->proxy[RELAY_CLIENT].t);
    if (!c->bridged || bridge_takes(&c->bridge, RELAY_TARGET))
        moved |= chain_deliver(c, &c->target.leg, c->proxy[RELAY_TARGET].t);
    moved |= chain_deliver(c, &c->proxy[RELAY_CLIENT], c->client.leg.t);
    moved |= chain_deliver(c, &c->proxy[RELAY_TARGET], c->target.leg.t);
    return moved;
}

/* --- authentication --- */

static inline void chain_certify(struct chain *c, struct auth_client *a, struct view blob)
{
    struct public_key key = {0};
    CHECK_OK(public_key_parse(&key, blob));
    struct view principal = VIEW("dev");
    struct cert_spec spec = {.kind = CERT_USER,
                             .key = &key,
                             .key_id = VIEW("id"),
                             .principals = &principal,
                             .principals_len = 1,
                             .valid_after = 1,
                             .valid_before = 2};
    struct buf cert;
    buf_init(&cert, CERT_BLOB_MAX);
    CHECK_OK(cert_sign(&spec, &c->ca, &c->rng, &cert));
    auth_client_certificate(a, buf_view(&cert));
    buf_fini(&cert);
    public_key_fini(&key);
}

/* One turn of a leg that authenticates; `client` or `server` is NULL. True when it is done. */
static inline bool chain_auth_leg(struct chain *c, struct chain_leg *leg,
                                  struct auth_client *client, struct auth_server *server)
{
    struct transport_event e;
    bool was_ready = leg->ready;
    while (!leg->ended && transport_next(leg->t, &e)) {
        chain_on_event(c, leg, &e);
        if (leg->ready && !was_ready) {
            was_ready = true;
            struct view id = transport_session_id(leg->t);
            struct auth_server_config sc = {.out = bridge_sink(leg->t)};
            struct auth_client_config cc = {
                .out = bridge_sink(leg->t), .login = VIEW("dev@web1"), .rng = c->rng};
            if (server) {
                auth_server_init(server, &sc, id);
            } else {
                auth_client_init(client, &cc, id);
                auth_client_start(client);
            }
        }
        if (e.type == TRANSPORT_EXT_INFO && client)
            auth_client_sig_algs(client, e.ext_info.server_sig_algs);
        if (e.type != TRANSPORT_PACKET)
            continue;
        struct view payload = view_of(e.packet.payload, e.packet.len);
        struct auth_server_event se;
        struct auth_client_event ce;
        if (server) {
            CHECK_OK(auth_server_feed(server, payload));
            while (auth_server_next(server, &se)) {
                assert_int_equal(se.type, AUTH_SERVER_CHECK);
                CHECK_VIEW_STR(se.login, "dev");
                CHECK_VIEW_STR(se.route, "web1");
                auth_server_allow(server);
                auth_server_success(server);
                CHECK_OK(transport_authenticated(leg->t));
                return true;
            }
        } else {
            CHECK_OK(auth_client_feed(client, payload));
            while (auth_client_next(client, &ce)) {
                if (ce.type == AUTH_CLIENT_CERTIFY) {
                    chain_certify(c, client, ce.public_key);
                } else {
                    assert_int_equal(ce.type, AUTH_CLIENT_SUCCESS);
                    CHECK_OK(transport_authenticated(leg->t));
                    return true;
                }
            }
        }
    }
    return false;
}

/* Handshakes and signs in on both legs, then puts the bridge between them. */
static inline void chain_open(struct chain *c)
{
    chain_open_leg(c, &c->client.leg, TRANSPORT_CLIENT);
    chain_open_leg(c, &c->proxy[RELAY_CLIENT], TRANSPORT_SERVER);
    chain_open_leg(c, &c->proxy[RELAY_TARGET], TRANSPORT_CLIENT);
    chain_open_leg(c, &c->target.leg, TRANSPORT_SERVER);
    bool done[4] = {0};
    for (int i = 0; i < 1000000 && !(done[0] && done[1] && done[2] && done[3]); i++) {
        (void)chain_wires(c);
        done[0] = done[0] || chain_auth_leg(c, &c->client.leg, &c->client_auth, NULL);
        done[1] = done[1] || chain_auth_leg(c, &c->proxy[RELAY_CLIENT], NULL, &c->proxy_auth);
        done[2] = done[2] || chain_auth_leg(c, &c->proxy[RELAY_TARGET], &c->upstream_auth, NULL);
        done[3] = done[3] || chain_auth_leg(c, &c->target.leg, NULL, &c->target_auth);
    }
    assert_true(done[0] && done[1] && done[2] && done[3]);
    struct relay_config rc = {0};
    bridge_init(&c->bridge, c->proxy[RELAY_CLIENT].t, c->proxy[RELAY_TARGET].t, &rc);
    c->bridged = true;
}

static inline void chain_leg_fini(struct chain_leg *leg)
{
    transport_free(leg->t);
    buf_fini(&leg->out.bytes);
    mem_free(leg->ended);
}

static inline void chain_end_fini(struct chain_end *end)
{
    chain_leg_fini(&end->leg);
    for (int i = 0; i < CHAIN_CHANNELS; i++)
        buf_fini(&end->channels[i].stderr_text);
    buf_fini(&end->debug);
}

static inline void chain_fini(struct chain *c)
{
    auth_client_fini(&c->client_auth);
    auth_client_fini(&c->upstream_auth);
    auth_server_fini(&c->proxy_auth);
    auth_server_fini(&c->target_auth);
    bridge_fini(&c->bridge);
    chain_end_fini(&c->client);
    chain_end_fini(&c->target);
    chain_leg_fini(&c->proxy[0]);
    chain_leg_fini(&c->proxy[1]);
    private_key_fini(&c->ca);
}

/* --- what the ends do --- */

static inline uint8_t chain_byte(uint64_t at, uint32_t channel)
{
    return (uint8_t)(at % CHAIN_PATTERN + channel);
}

static inline void chain_send(struct chain_end *end, struct buf *b)
{
    CHECK_OK(transport_send(end->leg.t, buf_view(b)));
    buf_clear(b);
}

static inline void chain_open_channel(struct chain *c, uint32_t number, const char *type)
{
    struct buf b;
    buf_init(&b, 1024);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_OPEN);
    write_cstring(&w, type);
    write_u32(&w, number);
    write_u32(&w, c->window[RELAY_CLIENT]);
    write_u32(&w, c->packet);
    c->client.channels[number].granted = c->window[RELAY_CLIENT];
    chain_send(&c->client, &b);
    buf_fini(&b);
}

static inline void chain_short(struct chain_end *end, enum msg type, uint32_t peer)
{
    uint8_t p[5] = {(uint8_t)type};
    store_u32(p + 1, peer);
    CHECK_OK(transport_send(end->leg.t, view_of(p, sizeof p)));
}

/* As much as it may: data, then EOF, then CLOSE when the other side is done too. */
static inline bool chain_talk(struct chain *c, struct chain_end *end)
{
    bool moved = false;
    for (uint32_t i = 0; i < CHAIN_CHANNELS; i++) {
        struct chain_channel *ch = &end->channels[i];
        if (!ch->is_open || !transport_writable(end->leg.t) || ch->close_sent)
            continue;
        uint64_t n = ch->to_send - ch->sent;
        n = n < ch->window ? n : ch->window;
        n = n < ch->packet ? n : ch->packet;
        if (n > 1 && chain_random(c, 4) == 0)
            n = 1 + chain_random(c, (uint32_t)n);
        if (n) {
            struct buf b;
            uint8_t *p;
            buf_init(&b, 1 << 20);
            struct writer w = writer_to(&b);
            write_u8(&w, MSG_CHANNEL_DATA);
            write_u32(&w, ch->peer);
            write_u32(&w, (uint32_t)n);
            CHECK_OK(buf_reserve(&b, n, &p));
            for (uint64_t k = 0; k < n; k++)
                p[k] = chain_byte(ch->sent + k, i);
            buf_commit(&b, n);
            chain_send(end, &b);
            buf_fini(&b);
            ch->sent += n;
            ch->window -= n;
            moved = true;
        }
        if (ch->sent == ch->to_send && !ch->eof_sent) {
            chain_short(end, MSG_CHANNEL_EOF, ch->peer);
            ch->eof_sent = true;
            moved = true;
        }
        if (ch->eof_sent && ch->eof_seen && (end == &c->target || ch->close_seen)) {
            chain_short(end, MSG_CHANNEL_CLOSE, ch->peer);
            ch->close_sent = true;
            moved = true;
        }
    }
    return moved;
}

static inline void chain_ask(struct chain_end *end)
{
    struct buf b;
    buf_init(&b, 1024);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_GLOBAL_REQUEST);
    write_cstring(&w, "count@test");
    write_bool(&w, true);
    write_u32(&w, end->requests_sent++);
    chain_send(end, &b);
    buf_fini(&b);
}

static inline void chain_grant(struct chain *c, struct chain_end *end, uint32_t number)
{
    struct chain_channel *ch = &end->channels[number];
    uint32_t window = c->window[end == &c->client ? RELAY_CLIENT : RELAY_TARGET];
    uint64_t left = ch->granted - ch->received;
    if (left > window / 2 || ch->close_sent)
        return;
    uint8_t p[9] = {MSG_CHANNEL_WINDOW_ADJUST};
    store_u32(p + 1, ch->peer);
    store_u32(p + 5, (uint32_t)(window - left));
    ch->granted += window - left;
    CHECK_OK(transport_send(end->leg.t, view_of(p, sizeof p)));
}

static inline void chain_on_open(struct chain *c, struct chain_end *end, struct reader *r)
{
    (void)read_string(r);
    uint32_t peer = read_u32(r);
    uint32_t number = 0;
    while (end->channels[number].is_open)
        number++;
    struct chain_channel *ch = &end->channels[number];
    ch->peer = peer;
    ch->window = read_u32(r);
    ch->packet = read_u32(r);
    ch->is_open = true;
    ch->granted = c->window[RELAY_TARGET];
    struct buf b;
    buf_init(&b, 1024);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_OPEN_CONFIRMATION);
    write_u32(&w, peer);
    write_u32(&w, number);
    write_u32(&w, c->window[RELAY_TARGET]);
    write_u32(&w, c->packet);
    chain_send(end, &b);
    buf_fini(&b);
}

static inline void chain_on_data(struct chain *c, struct chain_end *end, uint32_t number,
                                 struct view data)
{
    struct chain_channel *ch = &end->channels[number];
    assert_true(ch->is_open && !ch->eof_seen);
    for (size_t i = 0; i < data.len; i++)
        assert_int_equal(data.ptr[i], chain_byte(ch->received + i - ch->stderr_text.len, number));
    ch->received += data.len;
    assert_true(ch->received <= ch->granted);
    chain_grant(c, end, number);
}

static inline void chain_on_packet(struct chain *c, struct chain_end *end, struct view payload)
{
    struct reader r = reader_of(payload);
    uint8_t type = read_u8(&r);
    if (type == MSG_CHANNEL_OPEN) {
        chain_on_open(c, end, &r);
        return;
    }
    if (type == MSG_GLOBAL_REQUEST) {
        CHECK_VIEW_STR(read_string(&r), "count@test");
        (void)read_bool(&r);
        assert_int_equal(read_u32(&r), end->requests_seen);
        uint8_t p[5] = {MSG_REQUEST_SUCCESS};
        store_u32(p + 1, end->requests_seen++);
        CHECK_OK(transport_send(end->leg.t, view_of(p, sizeof p)));
        return;
    }
    uint32_t number = read_u32(&r);
    if (type == MSG_REQUEST_SUCCESS) {
        assert_int_equal(number, end->requests_answered);
        end->requests_answered++;
        return;
    }
    assert_true(number < CHAIN_CHANNELS);
    struct chain_channel *ch = &end->channels[number];
    if (type == MSG_CHANNEL_OPEN_CONFIRMATION) {
        ch->peer = read_u32(&r);
        ch->window = read_u32(&r);
        ch->packet = read_u32(&r);
        ch->is_open = true;
    } else if (type == MSG_CHANNEL_DATA) {
        chain_on_data(c, end, number, read_string(&r));
    } else if (type == MSG_CHANNEL_EXTENDED_DATA) {
        (void)read_u32(&r);
        struct view text = read_string(&r);
        if (!ch->stderr_text.max)
            buf_init(&ch->stderr_text, 1 << 20);
        CHECK_OK(buf_append(&ch->stderr_text, text));
        ch->received += text.len;
        assert_true(ch->received <= ch->granted);
        chain_grant(c, end, number);
    } else if (type == MSG_CHANNEL_WINDOW_ADJUST) {
        ch->window += read_u32(&r);
        assert_true(ch->window <= UINT32_MAX);
    } else if (type == MSG_CHANNEL_EOF) {
        ch->eof_seen = true;
    } else if (type == MSG_CHANNEL_CLOSE) {
        ch->close_seen = true;
    } else {
        fail_msg("packet of type %d", type);
    }
    CHECK_OK(reader_ok(&r));
}

static inline bool chain_read(struct chain *c, struct chain_end *end)
{
    if (!end->reads_one_in || chain_random(c, end->reads_one_in))
        return false;
    struct transport_event e;
    bool moved = false;
    while (transport_next(end->leg.t, &e)) {
        moved = true;
        if (e.type == TRANSPORT_PACKET)
            chain_on_packet(c, end, view_of(e.packet.payload, e.packet.len));
        else
            chain_on_event(c, &end->leg, &e);
        if (end->reads_one_in > 1)
            break; /* a slow one takes one at a time */
    }
    return moved;
}

/* --- the proxy --- */

static inline bool chain_relay(struct chain *c)
{
    struct bridge_event e;
    bool moved = false;
    while (bridge_next(&c->bridge, &e)) {
        moved = true;
        if (e.type == BRIDGE_TRANSPORT) {
            chain_on_event(c, &c->proxy[e.side], &e.transport);
        } else {
            assert_int_equal(e.relay.type, RELAY_DISCONNECT);
            transport_disconnect(c->proxy[e.side].t, (enum msg_reason)e.relay.reason, e.relay.text);
            if (!e.relay.cut)
                chain_end_text(&c->proxy[e.side], e.relay.text);
        }
    }
    return moved;
}

/* The proxy's half goes through its encoding, as if another process had it now. */
static inline void chain_move(struct chain *c)
{
    struct buf state[3];
    for (int i = 0; i < 3; i++)
        buf_init(&state[i], 64 << 20);
    bool ok = transport_export(c->proxy[0].t, &state[0]) == OK &&
              transport_export(c->proxy[1].t, &state[1]) == OK;
    if (ok) {
        CHECK_OK(relay_export(&c->bridge.relay, &state[2]));
        bridge_fini(&c->bridge);
        for (int i = 0; i < 2; i++) {
            struct view blob;
            enum transport_role role = i == RELAY_CLIENT ? TRANSPORT_SERVER : TRANSPORT_CLIENT;
            struct transport_config config = chain_config(c, &c->proxy[i], role, &blob);
            transport_free(c->proxy[i].t);
            CHECK_OK(transport_import(&config, buf_view(&state[i]), &c->proxy[i].t));
        }
        struct relay_config rc = {0};
        bridge_init(&c->bridge, c->proxy[0].t, c->proxy[1].t, &rc);
        CHECK_OK(relay_import(&c->bridge.relay, buf_view(&state[2])));
        c->moves++;
    }
    for (int i = 0; i < 3; i++)
        buf_wipe(&state[i]);
}

static inline bool chain_step(struct chain *c)
{
    struct transport *all[] = {c->client.leg.t, c->target.leg.t, c->proxy[0].t, c->proxy[1].t};
    if (c->rekey_one_in && chain_random(c, c->rekey_one_in) == 0)
        IGNORE(transport_rekey(all[chain_random(c, 4)]), "one may have ended");
    if (c->move_one_in && chain_random(c, c->move_one_in) == 0)
        chain_move(c);
    bool moved = chain_talk(c, &c->client);
    moved |= chain_talk(c, &c->target);
    moved |= chain_wires(c);
    moved |= chain_relay(c);
    moved |= chain_read(c, &c->client);
    moved |= chain_read(c, &c->target);
    return moved;
}

static inline bool chain_is_done(const struct chain_end *end, size_t channels)
{
    for (size_t i = 0; i < channels; i++) {
        if (!end->channels[i].close_sent || !end->channels[i].close_seen)
            return false;
    }
    return end->requests_answered == end->requests_sent;
}

/* Until all channels are closed; fails when nothing has moved for long. */
static inline void chain_run(struct chain *c, size_t channels)
{
    size_t idle = 0;
    while (!chain_is_done(&c->client, channels) || !chain_is_done(&c->target, channels)) {
        idle = chain_step(c) ? 0 : idle + 1;
        if (c->client.leg.ended || c->target.leg.ended)
            fail_msg("ended: client %s, target %s", c->client.leg.ended, c->target.leg.ended);
        if (idle > 5000)
            fail_msg("nothing moves: client sent %llu received %llu, target sent %llu received "
                     "%llu; writable %d %d rekeying %d %d",
                     (unsigned long long)c->client.channels[0].sent,
                     (unsigned long long)c->client.channels[0].received,
                     (unsigned long long)c->target.channels[0].sent,
                     (unsigned long long)c->target.channels[0].received,
                     transport_writable(c->proxy[0].t), transport_writable(c->proxy[1].t),
                     transport_rekeying(c->proxy[0].t), transport_rekeying(c->proxy[1].t));
    }
}

#endif
