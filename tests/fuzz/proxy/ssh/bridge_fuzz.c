/*
 * client - proxy - target with four real transports, wires of a capacity and rekeys at any time.
 * The input is a list of steps of three bytes: what happens next, to whom, how much. Ends behave
 * until a step makes one of them hostile. What must hold:
 *   - an end that behaves never sees a peer break the protocol, whatever the other end does;
 *   - what two ends that behave have sent arrives, in order, when everybody reads again;
 *   - nothing that waits in the proxy grows beyond its bound.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/key.h"
#include "proxy/ssh/bridge.h"
#include "proxy/ssh/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CHANNELS = 5,
    ASKED_MAX = 200,
    WIRE_MAX = 20000,
    BYTES_MAX = 3 << 20,
    PROVE = UINT16_MAX,
};

#define C RELAY_CLIENT
#define T RELAY_TARGET

static const struct view our_keys[] = {{(const uint8_t *)"key zero", 8}};

struct chan {
    bool used;
    bool open;
    bool eof_out;
    bool eof_in;
    bool close_out;
    bool close_in;
    uint32_t id; /* the same at both ends */
    uint32_t peer;
    uint64_t window; /* this end may send */
    uint32_t packet;
    uint64_t granted; /* this end takes, in all */
    uint64_t received;
    uint32_t my_packet;
    uint32_t at_out;
    uint32_t at_in;
    uint32_t pending; /* requests without a reply */
};

struct end {
    struct transport *t;
    struct buf wire; /* towards the proxy */
    struct rng_test seed;
    struct chan chans[CHANNELS];
    uint16_t asked[ASKED_MAX];
    size_t asked_count;
    uint16_t next_asked;
    uint16_t next_seen;
    bool hostile;
};

struct rig {
    struct end ends[2];
    struct transport *proxy[2];
    struct buf wires[2]; /* towards the ends */
    struct rng_test seeds[2];
    struct bridge bridge;
    struct buf hash; /* of the KEX_SIGN that waits */
    uint32_t next_id;
    size_t bytes;
    bool late;  /* the proxy's signatures take their time */
    bool prove; /* a proof is asked for */
    bool over;  /* somebody was disconnected or the connection was cut */
};

static const struct private_key *host_key(void)
{
    static struct private_key key;
    static bool made;
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 3);
    if (!made)
        CHECK(private_key_generate(&key, KEY_ED25519, &rng) == OK);
    made = true;
    return &key;
}

/* --- four transports, already signed in and in clear text until somebody rekeys --- */

static const struct transport_limits limits = {.output_soft = 8000, .output_hard = 600 << 10};

static struct transport_config config_of(enum transport_role role, struct rng_test *seed,
                                         struct view *blob)
{
    static struct transport_algorithms algorithms[2];
    algorithms[role] = *transport_profile(TRANSPORT_COMPAT, role);
    algorithms[role].kex = "curve25519-sha256";
    *blob = public_key_blob(&host_key()->public);
    return (struct transport_config){.role = role,
                                     .software = "x",
                                     .algorithms = &algorithms[role],
                                     .host_keys = blob,
                                     .host_key_count = 1,
                                     .rng = rng_test(seed, role + 1)};
}

static struct transport *make(enum transport_role role, struct rng_test *seed, bool is_proxy)
{
    struct view blob;
    struct transport_config c = config_of(role, seed, &blob);
    if (is_proxy)
        c.limits = limits;
    struct transport *t = transport_new(&c);
    transport_sent(t, transport_output(t).len);
    t->peer_ident = mem_strdup("SSH-2.0-x");
    t->is_ready = true;
    t->is_strict = true;
    t->session_id_len = TRANSPORT_HASH_LEN;
    CHECK(transport_authenticated(t) == OK);
    return t;
}

static void rig_bridge(struct rig *r)
{
    struct relay_config rc = {
        .host_keys = our_keys, .host_key_count = 1, .max_channels = 8, .max_requests = 255};
    bridge_init(&r->bridge, r->proxy[C], r->proxy[T], &rc);
}

static void rig_init(struct rig *r)
{
    *r = (struct rig){0};
    for (int side = 0; side < 2; side++) {
        enum transport_role end = side == C ? TRANSPORT_CLIENT : TRANSPORT_SERVER;
        enum transport_role proxy = side == C ? TRANSPORT_SERVER : TRANSPORT_CLIENT;
        r->ends[side].t = make(end, &r->ends[side].seed, false);
        r->proxy[side] = make(proxy, &r->seeds[side], true);
        buf_init(&r->ends[side].wire, 64 << 20);
        buf_init(&r->wires[side], 64 << 20);
    }
    buf_init(&r->hash, 64);
    rig_bridge(r);
}

static void rig_fini(struct rig *r)
{
    bridge_fini(&r->bridge);
    for (int side = 0; side < 2; side++) {
        transport_free(r->ends[side].t);
        transport_free(r->proxy[side]);
        buf_fini(&r->ends[side].wire);
        buf_fini(&r->wires[side]);
    }
    buf_fini(&r->hash);
}

static void sign(struct transport *t, struct view hash)
{
    struct buf b;
    buf_init(&b, KEY_BLOB_MAX);
    CHECK(private_key_sign(host_key(), VIEW("ssh-ed25519"), hash, &b) == OK);
    IGNORE(transport_signed(t, buf_view(&b)), "may have ended");
    buf_fini(&b);
}

static void answer_late(struct rig *r)
{
    if (r->hash.len)
        sign(r->proxy[C], buf_view(&r->hash));
    buf_clear(&r->hash);
}

/* Everything but packets, for all four. */
static void on_event(struct rig *r, struct transport *t, const struct transport_event *e)
{
    bool is_late = r->late && t == r->proxy[C];
    if (e->type == TRANSPORT_KEX_SIGN && is_late)
        CHECK(buf_append(&r->hash, e->kex_sign.hash) == OK);
    else if (e->type == TRANSPORT_KEX_SIGN)
        sign(t, e->kex_sign.hash);
    else if (e->type == TRANSPORT_HOST_KEY)
        CHECK(transport_host_key_accept(t) == OK);
    else if (e->type == TRANSPORT_DISCONNECTED || e->type == TRANSPORT_FAILED)
        r->over = true;
    /* Nobody who behaves is ever told that he does not, unless the other one made us end it. */
    if (e->type == TRANSPORT_FAILED && !r->ends[C].hostile && !r->ends[T].hostile)
        check_failed("an end that behaves is refused", __FILE__, __LINE__);
}

/* --- what an end sends --- */

static void send(struct end *e, struct buf *b)
{
    IGNORE(transport_send(e->t, buf_view(b)), "may have ended; room was looked at");
    buf_fini(b);
}

static struct writer begin(struct buf *b, uint8_t type)
{
    buf_init(b, 300 << 10);
    struct writer w = writer_to(b);
    write_u8(&w, type);
    return w;
}

static bool has_room(const struct end *e)
{
    return transport_pending(e->t) < 100000;
}

static uint8_t pattern(uint32_t id, int side, uint32_t at)
{
    return (uint8_t)(id * 7 + (uint32_t)side * 13 + at * 31);
}

static struct chan *free_chan(struct end *e, uint32_t *out_number)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if (!e->chans[i].used) {
            *out_number = i;
            e->chans[i] = (struct chan){.used = true};
            return &e->chans[i];
        }
    }
    return NULL;
}

static uint32_t size_of(uint8_t n)
{
    static const uint32_t sizes[] = {0,    1,     5,      300,     4000,      8191,          8192,
                                     9000, 32768, 200000, 1 << 20, 700 << 20, UINT32_MAX - 1};
    return sizes[n % ARRAY_LEN(sizes)];
}

static void do_open(struct rig *r, int side, uint8_t n)
{
    uint32_t number;
    struct buf b;
    struct chan *c = free_chan(&r->ends[side], &number);
    if (!c)
        return;
    c->id = r->next_id++;
    c->granted = size_of(n);
    c->my_packet = size_of(n >> 4);
    struct writer w = begin(&b, MSG_CHANNEL_OPEN);
    write_cstring(&w, n & 1 ? "session" : "x");
    write_u32(&w, number);
    write_u32(&w, (uint32_t)c->granted);
    write_u32(&w, c->my_packet);
    write_u32(&w, c->id);
    send(&r->ends[side], &b);
}

static void do_data(struct rig *r, int side, struct chan *c, uint8_t n)
{
    uint32_t len = (uint32_t)(n & 15) << (n >> 4);
    struct buf b;
    uint8_t *p;
    len = len < c->window ? len : (uint32_t)c->window;
    len = len < c->packet ? len : c->packet;
    if (c->eof_out || r->bytes + len > BYTES_MAX)
        return;
    struct writer w = begin(&b, n & 1 ? MSG_CHANNEL_DATA : MSG_CHANNEL_EXTENDED_DATA);
    write_u32(&w, c->peer);
    if (!(n & 1))
        write_u32(&w, 7);
    write_u32(&w, len);
    CHECK(buf_reserve(&b, len, &p) == OK);
    for (uint32_t i = 0; i < len; i++)
        p[i] = pattern(c->id, side, c->at_out++);
    buf_commit(&b, len);
    c->window -= len;
    r->bytes += len;
    send(&r->ends[side], &b);
}

static void do_short(struct rig *r, int side, uint8_t type, uint32_t peer)
{
    struct buf b;
    struct writer w = begin(&b, type);
    write_u32(&w, peer);
    send(&r->ends[side], &b);
}

static void do_close(struct rig *r, int side, struct chan *c, uint8_t n)
{
    if (!c->eof_out && !(n & 1)) {
        c->eof_out = true;
        do_short(r, side, MSG_CHANNEL_EOF, c->peer);
        return;
    }
    c->eof_out = c->close_out = true;
    do_short(r, side, MSG_CHANNEL_CLOSE, c->peer);
    if (c->close_in)
        c->used = false;
}

static void do_adjust(struct rig *r, int side, struct chan *c, uint8_t n)
{
    uint64_t left = c->granted - c->received;
    uint32_t add = size_of(n);
    struct buf b;
    if (add > UINT32_MAX - left)
        add = (uint32_t)(UINT32_MAX - left);
    struct writer w = begin(&b, MSG_CHANNEL_WINDOW_ADJUST);
    write_u32(&w, c->peer);
    write_u32(&w, add);
    c->granted += add;
    send(&r->ends[side], &b);
}

static void do_request(struct rig *r, int side, struct chan *c, uint8_t n)
{
    struct buf b;
    struct writer w = begin(&b, MSG_CHANNEL_REQUEST);
    write_u32(&w, c->peer);
    write_cstring(&w, n & 2 ? "pty-req" : "env");
    write_bool(&w, n & 1);
    c->pending += n & 1;
    send(&r->ends[side], &b);
}

static void do_ask(struct rig *r, int side, bool prove)
{
    struct end *e = &r->ends[side];
    struct buf b;
    if (e->asked_count == ASKED_MAX)
        return;
    struct writer w = begin(&b, MSG_GLOBAL_REQUEST);
    write_cstring(&w, prove ? "hostkeys-prove-00@openssh.com" : "count@test");
    write_bool(&w, true);
    if (prove)
        write_string(&w, our_keys[0]);
    else
        write_u16(&w, e->next_asked);
    e->asked[e->asked_count++] = prove ? PROVE : e->next_asked++;
    send(e, &b);
}

/* From here on the end sends anything. The numbers are small, so that they mean something. */
static void do_hostile(struct rig *r, int side, uint8_t n, struct view tail)
{
    struct buf b;
    r->ends[side].hostile = true;
    struct writer w = begin(&b, n < 64 ? (uint8_t)(80 + n % 21) : n);
    if (n % 21 >= 10)
        write_u32(&w, n / 21);
    write_bytes(&w, tail);
    send(&r->ends[side], &b);
}

/* --- what an end gets: it checks that the proxy keeps to the protocol --- */

static struct chan *chan_at(struct end *e, uint32_t number)
{
    CHECK(number < CHANNELS && e->chans[number].used);
    return &e->chans[number];
}

static void on_open(struct rig *r, int side, struct reader *in)
{
    struct end *e = &r->ends[side];
    struct buf b;
    uint32_t number;
    (void)read_string(in);
    uint32_t peer = read_u32(in);
    uint32_t window = read_u32(in);
    uint32_t packet = read_u32(in);
    uint32_t id = read_u32(in);
    struct chan *c = free_chan(e, &number);
    if (!c) {
        struct writer w = begin(&b, MSG_CHANNEL_OPEN_FAILURE);
        write_u32(&w, peer);
        write_u32(&w, OPEN_RESOURCE_SHORTAGE);
        write_u64(&w, 0);
        send(e, &b);
        return;
    }
    *c = (struct chan){.used = true, .open = true, .id = id, .peer = peer, .window = window};
    c->packet = packet;
    c->granted = size_of((uint8_t)(id * 5 + 3));
    c->my_packet = 32768;
    struct writer w = begin(&b, MSG_CHANNEL_OPEN_CONFIRMATION);
    write_u32(&w, peer);
    write_u32(&w, number);
    write_u32(&w, (uint32_t)c->granted);
    write_u32(&w, c->my_packet);
    send(e, &b);
}

static void on_data(struct rig *r, int side, struct chan *c, bool extended, struct reader *in)
{
    uint32_t code = extended ? read_u32(in) : 0;
    struct view v = read_string(in);
    CHECK(reader_done(in) == OK && c->open && !c->close_in && !c->eof_in);
    c->received += v.len;
    CHECK(c->received <= c->granted && v.len <= c->my_packet);
    if (code == MSG_EXTENDED_STDERR && side == C)
        return; /* a line of the proxy's, or of a hostile target */
    if (r->ends[1 - side].hostile)
        return;
    for (size_t i = 0; i < v.len; i++)
        CHECK(v.ptr[i] == pattern(c->id, 1 - side, c->at_in++));
}

static void on_channel(struct rig *r, int side, uint8_t type, struct reader *in)
{
    struct chan *c = chan_at(&r->ends[side], read_u32(in));
    CHECK(type == MSG_CHANNEL_OPEN_CONFIRMATION || type == MSG_CHANNEL_OPEN_FAILURE ? !c->open
                                                                                    : c->open);
    CHECK(!c->close_in);
    struct view name;
    switch (type) {
    case MSG_CHANNEL_OPEN_CONFIRMATION:
        c->open = true;
        c->peer = read_u32(in);
        c->window = read_u32(in);
        c->packet = read_u32(in);
        break;
    case MSG_CHANNEL_OPEN_FAILURE:
        c->used = false;
        break;
    case MSG_CHANNEL_WINDOW_ADJUST:
        c->window += read_u32(in);
        CHECK(c->window <= UINT32_MAX);
        break;
    case MSG_CHANNEL_DATA:
    case MSG_CHANNEL_EXTENDED_DATA:
        on_data(r, side, c, type == MSG_CHANNEL_EXTENDED_DATA, in);
        break;
    case MSG_CHANNEL_EOF:
        c->eof_in = !r->ends[1 - side].hostile;
        break;
    case MSG_CHANNEL_CLOSE:
        c->close_in = true;
        c->used = !c->close_out;
        break;
    case MSG_CHANNEL_REQUEST:
        name = read_string(in);
        CHECK(name.ptr != NULL);
        if (read_bool(in) && !c->close_out)
            do_short(r, side, MSG_CHANNEL_SUCCESS, c->peer);
        break;
    default:
        CHECK(type == MSG_CHANNEL_SUCCESS || type == MSG_CHANNEL_FAILURE);
        CHECK(c->pending-- > 0);
    }
    CHECK(reader_ok(in) == OK);
}

static void on_global(struct rig *r, int side, uint8_t type, struct reader *in)
{
    struct end *e = &r->ends[side];
    bool is_known = !r->ends[1 - side].hostile;
    struct buf b;
    if (type == MSG_GLOBAL_REQUEST) {
        (void)read_string(in);
        bool wants = read_bool(in);
        uint16_t n = read_u16(in);
        CHECK(!is_known || (wants && n == e->next_seen++));
        if (!wants)
            return;
        struct writer w = begin(&b, MSG_REQUEST_SUCCESS);
        write_u16(&w, n);
        send(e, &b);
        return;
    }
    CHECK(e->asked_count > 0);
    if (is_known && e->asked[0] != PROVE)
        CHECK(type == MSG_REQUEST_SUCCESS && read_u16(in) == e->asked[0]);
    e->asked_count--;
    memmove(e->asked, e->asked + 1, e->asked_count * sizeof *e->asked);
}

static void on_packet(struct rig *r, int side, const struct transport_event *ev)
{
    struct reader in = reader_of(view_of(ev->packet.payload, ev->packet.len));
    uint8_t type = read_u8(&in);
    if (r->ends[side].hostile)
        return;
    if (type == MSG_CHANNEL_OPEN)
        on_open(r, side, &in);
    else if (type >= MSG_CHANNEL_OPEN_CONFIRMATION)
        on_channel(r, side, type, &in);
    else
        on_global(r, side, type, &in);
}

/* --- moving --- */

static bool read_end(struct rig *r, int side, size_t most)
{
    struct transport_event e;
    bool moved = false;
    while (most-- && transport_next(r->ends[side].t, &e)) {
        moved = true;
        if (e.type == TRANSPORT_PACKET)
            on_packet(r, side, &e);
        else
            on_event(r, r->ends[side].t, &e);
    }
    return moved;
}

static bool run_proxy(struct rig *r)
{
    struct bridge_event e;
    bool moved = false;
    while (bridge_next(&r->bridge, &e)) {
        moved = true;
        if (e.type == BRIDGE_TRANSPORT) {
            on_event(r, r->proxy[e.side], &e.transport);
        } else if (e.relay.type == RELAY_PROVE) {
            r->prove = true;
        } else {
            CHECK(e.relay.cut || r->ends[C].hostile || r->ends[T].hostile);
            CHECK(e.relay.cut || r->ends[e.relay.side].hostile);
            r->over = true;
            transport_disconnect(r->proxy[C], (enum msg_reason)e.relay.reason, e.relay.text);
            transport_disconnect(r->proxy[T], (enum msg_reason)e.relay.reason, e.relay.text);
        }
    }
    for (int side = 0; side < 2; side++) {
        const struct transport *t = r->proxy[side];
        CHECK(t->output.len <= t->limits.output_hard + t->limits.held_max + (128 << 10));
        CHECK(t->held_cost <= t->limits.held_max && t->held.len <= t->held_cost);
        CHECK(t->input.len <= TRANSPORT_PACKET_MAX + (128 << 10));
    }
    return moved;
}

static bool flush(struct transport *t, struct buf *wire)
{
    size_t room = wire->len < WIRE_MAX ? WIRE_MAX - wire->len : 0;
    struct view v = view_take(transport_output(t), room);
    CHECK(buf_append(wire, v) == OK);
    transport_sent(t, v.len);
    return v.len > 0;
}

static bool deliver(struct buf *wire, struct transport *t, size_t most)
{
    size_t n = transport_room(t);
    struct view v = view_take(view_take(buf_view(wire), n), most);
    CHECK(transport_feed(t, v, 0) == OK);
    buf_consume(wire, v.len);
    return v.len > 0;
}

/* One of the four wires. */
static bool move_wire(struct rig *r, int which, size_t most)
{
    enum relay_side side = which & 1 ? T : C;
    if (which & 2) {
        bool flushed = flush(r->proxy[side], &r->wires[side]);
        return deliver(&r->wires[side], r->ends[side].t, most) || flushed;
    }
    bool flushed = flush(r->ends[side].t, &r->ends[side].wire);
    bool takes = bridge_takes(&r->bridge, side);
    return (takes && deliver(&r->ends[side].wire, r->proxy[side], most)) || flushed;
}

static bool is_encrypted(const struct transport *t)
{
    return t->rx.cipher.keys.alg != CIPHER_NONE && t->tx.cipher.keys.alg != CIPHER_NONE;
}

/* The proxy's half goes to another process. */
static void move_proxy(struct rig *r)
{
    struct buf state[3];
    for (int i = 0; i < 3; i++)
        buf_init(&state[i], 64 << 20);
    bool ok = is_encrypted(r->proxy[C]) && is_encrypted(r->proxy[T]) && !r->bridge.relay.prove_busy;
    ok = ok && transport_export(r->proxy[C], &state[C]) == OK &&
         transport_export(r->proxy[T], &state[T]) == OK &&
         relay_export(&r->bridge.relay, &state[2]) == OK;
    for (int i = 0; ok && i < 2; i++) {
        struct view blob;
        enum transport_role role = transport_role(r->proxy[i]);
        struct transport_config c = config_of(role, &r->seeds[i], &blob);
        c.limits = limits;
        transport_free(r->proxy[i]);
        CHECK(transport_import(&c, buf_view(&state[i]), &r->proxy[i]) == OK);
    }
    if (ok) {
        bridge_fini(&r->bridge);
        rig_bridge(r);
        CHECK(relay_import(&r->bridge.relay, buf_view(&state[2])) == OK);
    }
    for (int i = 0; i < 3; i++)
        buf_fini(&state[i]);
}

static void prove_answer(struct rig *r, bool good)
{
    struct view signature = VIEW("sig");
    if (r->prove && good)
        relay_proved(&r->bridge.relay, &signature, 1);
    else if (r->prove)
        relay_not_proved(&r->bridge.relay);
    r->prove = false;
}

static void rekey(struct rig *r, uint8_t n)
{
    struct transport *all[] = {r->proxy[C], r->proxy[T], r->ends[C].t, r->ends[T].t};
    IGNORE(transport_rekey(all[n % 4]), "may have ended");
}

/* --- steps --- */

static void on_chan(struct rig *r, uint8_t what, int side, uint8_t n, uint8_t which)
{
    struct chan *c = &r->ends[side].chans[which % CHANNELS];
    if (!c->used || !c->open || c->close_out || r->ends[side].hostile || !has_room(&r->ends[side]))
        return;
    if (what == 1)
        do_data(r, side, c, n);
    else if (what == 2)
        do_close(r, side, c, n);
    else if (what == 3)
        do_adjust(r, side, c, n);
    else
        do_request(r, side, c, n);
}

/* True when the step was one of the proxy's own. */
static bool on_proxy(struct rig *r, uint8_t what, uint8_t n)
{
    static const char text[] = "The quick brown fox jumps over the lazy dog.";
    switch (what) {
    case 8:
        rekey(r, n);
        return true;
    case 9:
        relay_warn(&r->bridge.relay, view_of(text, n % sizeof text));
        return true;
    case 10:
        if (n != 7)
            return true;
        relay_cut(&r->bridge.relay, VIEW("cut"), REASON_BY_APPLICATION, 0);
        transport_disconnect(r->proxy[T], REASON_BY_APPLICATION, VIEW("cut"));
        r->over = true;
        return true;
    case 11:
        move_proxy(r);
        return true;
    case 12:
        r->late = n & 1;
        answer_late(r);
        prove_answer(r, n & 2);
        return true;
    default:
        return false;
    }
}

/* False when the step took the rest of the input. */
static bool step(struct rig *r, uint8_t what, uint8_t who, uint8_t n, struct view rest)
{
    int side = who & 1;
    bool may_send = !r->ends[side].hostile && has_room(&r->ends[side]);
    if (on_proxy(r, what, n)) {
        (void)run_proxy(r);
        return true;
    }
    if (what >= 1 && what <= 4) {
        on_chan(r, what, side, n, who >> 1);
    } else if (what == 0 && may_send) {
        do_open(r, side, n);
    } else if (what == 5 && may_send) {
        do_ask(r, side, side == C && n % 8 == 0);
    } else if (what == 6) {
        (void)read_end(r, side, n);
    } else if (what == 7) {
        (void)move_wire(r, who, (size_t)n * n + 1);
        (void)run_proxy(r);
    } else if (what == 13) {
        do_hostile(r, side, n, view_take(rest, who >> 1));
        return false;
    }
    return true;
}

/* Everybody reads: what was sent arrives. */
static void settle(struct rig *r)
{
    r->late = false;
    /* A message of a key exchange moves things on without an event: twice nothing is the end. */
    for (int idle = 0; idle < 2;) {
        answer_late(r);
        prove_answer(r, true);
        bool moved = run_proxy(r);
        for (int i = 0; i < 4; i++)
            moved |= move_wire(r, i, SIZE_MAX);
        moved |= read_end(r, C, SIZE_MAX);
        moved |= read_end(r, T, SIZE_MAX);
        idle = moved ? 0 : idle + 1;
    }
    if (r->over || r->ends[C].hostile || r->ends[T].hostile)
        return;
    for (int side = 0; side < 2; side++) {
        CHECK(!r->proxy[side]->exchange && !r->ends[side].t->exchange);
        CHECK(transport_pending(r->proxy[side]) == 0 && r->proxy[side]->input.len == 0);
        CHECK(r->ends[side].asked_count == 0);
        for (int i = 0; i < CHANNELS; i++) {
            const struct chan *c = &r->ends[side].chans[i];
            if (!c->used)
                continue;
            CHECK(c->open && (c->pending == 0 || c->close_in || c->close_out));
            for (int k = 0; k < CHANNELS; k++) {
                const struct chan *o = &r->ends[1 - side].chans[k];
                if (o->used && o->id == c->id)
                    CHECK(o->at_in == c->at_out && o->close_in == c->close_out);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rig r;
    struct reader in = reader_of(view_of(data, size < 6000 ? size : 6000));
    rig_init(&r);
    while (reader_left(&in) >= 3) {
        uint8_t what = read_u8(&in) & 15;
        uint8_t who = read_u8(&in);
        uint8_t n = read_u8(&in);
        struct view rest = view_of(in.pos, reader_left(&in));
        if (!step(&r, what, who, n, rest))
            (void)read_bytes(&in, view_take(rest, who >> 1).len);
    }
    settle(&r);
    rig_fini(&r);
    return 0;
}
