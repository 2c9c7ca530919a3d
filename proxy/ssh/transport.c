#include "proxy/ssh/transport.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "proxy/ssh/engine.h"

enum {
    INPUT_SLACK = 64 * 1024,   /* what may be fed behind one whole packet */
    OUTPUT_SLACK = 128 * 1024, /* for key exchange and DISCONNECT, beyond all limits */
    EXT_INFOS_MAX = 3,
    POISON = 0xdb,
};

static const uint64_t default_rekey_bytes = UINT64_C(1) << 30;
static const uint64_t default_rekey_packets = UINT64_C(1) << 31;

static struct transport_limits limits_of(const struct transport_limits *l)
{
    struct transport_limits out = *l;
    if (out.rekey_bytes == 0)
        out.rekey_bytes = default_rekey_bytes;
    if (out.rekey_packets == 0 || out.rekey_packets > default_rekey_packets)
        out.rekey_packets = default_rekey_packets;
    if (out.output_soft == 0)
        out.output_soft = TRANSPORT_OUTPUT_SOFT;
    if (out.output_hard == 0)
        out.output_hard = TRANSPORT_OUTPUT_HARD;
    if (out.held_max == 0)
        out.held_max = TRANSPORT_HELD_MAX;
    return out;
}

struct transport *engine_new(const struct transport_config *given)
{
    struct transport_config c = *given;
    if (!c.algorithms)
        c.algorithms = transport_profile(TRANSPORT_COMPAT, c.role);
    struct transport *t = mem_zalloc(sizeof *t);
    t->role = c.role;
    t->algorithms = c.algorithms;
    t->limits = limits_of(&c.limits);
    t->rng = c.rng;
    t->key_count = c.role == TRANSPORT_SERVER ? c.host_key_count : 0;
    t->keys = mem_zalloc_array(t->key_count, sizeof *t->keys);
    for (size_t i = 0; i < t->key_count; i++)
        algorithms_key_init(&t->keys[i], c.host_keys[i]);
    algorithms_lists(&c, t->keys, t->key_count, &t->lists);
    t->ident = mem_printf("SSH-2.0-%s", c.software);
    size_t overhead = PACKET_LENGTH_LEN + CIPHER_TAG_MAX;
    buf_init(&t->input, TRANSPORT_PACKET_MAX + overhead + INPUT_SLACK);
    buf_init(&t->output, t->limits.output_hard + t->limits.held_max + OUTPUT_SLACK);
    buf_init(&t->held, t->limits.held_max);
    buf_init(&t->host_key, 2 * TRANSPORT_PACKET_MAX);
    t->deadline = UINT64_MAX;
    return t;
}

struct transport *transport_new(const struct transport_config *c)
{
    struct transport *t = engine_new(c);
    if (c->limits.handshake_ms)
        t->deadline = c->now_ms + c->limits.handshake_ms;
    CHECK(buf_printf(&t->output, "%s\r\n", t->ident) == OK);
    return t;
}

void transport_free(struct transport *t)
{
    if (!t)
        return;
    exchange_free(t);
    for (size_t i = 0; i < t->key_count; i++)
        algorithms_key_fini(&t->keys[i]);
    mem_free(t->keys);
    algorithms_lists_fini(&t->lists);
    mem_free(t->ident);
    mem_free(t->peer_ident);
    mem_free(t->peer_sig_algs);
    mem_free(t->text);
    /* Input and output have held keystrokes in clear text. */
    buf_wipe(&t->input);
    buf_wipe(&t->output);
    buf_wipe(&t->held);
    buf_fini(&t->host_key);
    packet_dir_fini(&t->rx);
    packet_dir_fini(&t->tx);
    mem_wipe(t, sizeof *t);
    mem_free(t);
}

/* The bytes of the last event are over. */
void engine_release(struct transport *t)
{
    if (t->taken == 0)
        return;
#ifdef POSTERN_POISON
    memset(buf_ptr(&t->input), POISON, t->taken);
#endif
    buf_consume(&t->input, t->taken);
    t->taken = 0;
}

static size_t body_max(const struct transport *t)
{
    return t->is_authenticated ? TRANSPORT_PACKET_MAX : TRANSPORT_PACKET_MAX_PREAUTH;
}

size_t transport_room(const struct transport *t)
{
    if (t->is_ended)
        return 0;
    size_t max = body_max(t) + PACKET_LENGTH_LEN + CIPHER_TAG_MAX + INPUT_SLACK;
    return t->input.len < max ? max - t->input.len : 0;
}

static void expire(struct transport *t)
{
    transport_fail(t, ERR_TIMEOUT, message_text(MESSAGE_SSH_HANDSHAKE_TIMEOUT));
}

enum err transport_feed(struct transport *t, struct view bytes, uint64_t now_ms)
{
    engine_release(t);
    transport_tick(t, now_ms);
    if (t->is_ended)
        return OK;
    if (bytes.len > transport_room(t))
        return ERR_LIMIT;
    return buf_append(&t->input, bytes);
}

uint64_t transport_deadline(const struct transport *t)
{
    return t->deadline;
}

void transport_tick(struct transport *t, uint64_t now_ms)
{
    if (!t->is_ended && now_ms >= t->deadline)
        expire(t);
}

void transport_trim(struct transport *t)
{
    struct buf *const all[] = {&t->input, &t->output, &t->held};
    engine_release(t);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i]->len == 0)
            buf_wipe(all[i]);
    }
}

static enum state_phase phase_of(const struct transport *t)
{
    if (!t->peer_ident)
        return STATE_IDENT;
    if (!t->is_ready)
        return STATE_KEX;
    if (t->exchange && t->exchange->step != STEP_SENT)
        return STATE_REKEY;
    return t->is_authenticated ? STATE_OPEN : STATE_AUTH;
}

/* What one turn of transport_next did. */
enum turn { TURN_MORE, TURN_AGAIN, TURN_EVENT };

static enum turn take_ident(struct transport *t, struct transport_event *out)
{
    size_t used = 0;
    struct view line;
    enum err e =
        ident_take(&t->ident_state, !engine_is_server(t), buf_view(&t->input), &used, &line);
    if (e == OK)
        t->peer_ident = mem_strndup(line.ptr, line.len);
    else if (e == ERR_UNSUPPORTED)
        engine_fail(t, e, "only version 2.0 is supported");
    else if (e != ERR_MORE)
        engine_fail(t, e, "no SSH identification was received");
    buf_consume(&t->input, used);
    if (e != OK)
        return e == ERR_MORE ? TURN_MORE : TURN_AGAIN;
    exchange_start(t);
    struct view ident = view_str(t->peer_ident);
    *out = (struct transport_event){
        .type = TRANSPORT_IDENT,
        .ident = {.ident = ident, .software = ident_software(ident)},
    };
    return TURN_EVENT;
}

static bool on_disconnect(struct transport *t, const struct packet *p, struct transport_event *out)
{
    struct msg_disconnect d;
    struct buf clean;
    if (msg_disconnect_parse(view_of(p->payload, p->len), &d) != OK) {
        engine_fail(t, ERR_SYNTAX, "malformed DISCONNECT");
        return false;
    }
    buf_init(&clean, 4 * MSG_TEXT_MAX);
    mem_free(t->text);
    t->text = msg_text_clean(d.text, &clean) == OK ? buf_to_str(&clean) : mem_strdup("");
    buf_fini(&clean);
    t->is_ended = true;
    t->deadline = UINT64_MAX;
    *out = (struct transport_event){
        .type = TRANSPORT_DISCONNECTED,
        .disconnected = {.reason = d.reason, .text = view_str(t->text)},
    };
    return true;
}

/* RFC 8308 §2.4: right after NEWKEYS; a server once more before USERAUTH_SUCCESS. */
static bool on_ext_info(struct transport *t, const struct packet *p, struct transport_event *out)
{
    bool in_time = t->ext_info_now || !engine_is_server(t);
    struct msg_ext_info info;
    if (!in_time || ++t->ext_infos > EXT_INFOS_MAX) {
        engine_fail(t, ERR_PROTOCOL, "unexpected EXT_INFO");
        return false;
    }
    if (msg_ext_info_parse(view_of(p->payload, p->len), &info) != OK) {
        engine_fail(t, ERR_SYNTAX, "malformed EXT_INFO");
        return false;
    }
    engine_keep_ext_info(t, &info);
    *out = (struct transport_event){.type = TRANSPORT_EXT_INFO, .ext_info = t->peer_ext};
    return true;
}

/* OpenSSH PROTOCOL §1.9: PONG carries the bytes of PING; here in the place of the PING. */
static bool on_ping(struct transport *t, const struct packet *p, struct transport_event *out)
{
    (void)out;
    struct reader r = reader_of(view_of(p->payload + 1, p->len - 1));
    (void)read_string(&r);
    if (reader_done(&r) != OK) {
        engine_fail(t, ERR_SYNTAX, "malformed PING");
        return false;
    }
    p->payload[0] = MSG_PONG;
    engine_answer(t, view_of(p->payload, p->len));
    return false;
}

static const struct {
    uint8_t number;
    bool (*handle)(struct transport *t, const struct packet *p, struct transport_event *out);
} handlers[] = {
    {MSG_DISCONNECT, on_disconnect},
    {MSG_EXT_INFO, on_ext_info},
    {MSG_KEXINIT, exchange_on_kexinit},
    {MSG_NEWKEYS, exchange_on_newkeys},
    {MSG_KEX_ECDH_INIT, exchange_on_share},
    {MSG_KEX_ECDH_REPLY, exchange_on_share},
    {MSG_PING, on_ping},
};

static bool handle(struct transport *t, const struct packet *p, struct transport_event *out)
{
    bool is_first_after_newkeys = t->ext_info_now;
    for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
        if (handlers[i].number != p->payload[0])
            continue;
        bool is_event = handlers[i].handle(t, p, out);
        if (is_first_after_newkeys)
            t->ext_info_now = false;
        return is_event;
    }
    engine_fail(t, ERR_INTERNAL, "no handler for %s", msg_name(p->payload[0]));
    return false;
}

static void fail_packet(struct transport *t, enum err e)
{
    const char *why = e == ERR_MAC     ? "a packet's authenticator is wrong"
                      : e == ERR_RANGE ? "a packet's length is impossible"
                                       : "a packet's padding is impossible";
    engine_fail(t, e, "%s", why);
}

static void refuse(struct transport *t, uint8_t number)
{
    engine_fail(t, ERR_PROTOCOL, "%s (%u) is not allowed %s", msg_name(number), (unsigned)number,
                state_phase_text(phase_of(t)));
}

/* True when *out is an event. */
static bool judge(struct transport *t, const struct packet *p, struct transport_event *out)
{
    uint8_t number = p->payload[0];
    enum state_verdict verdict = state_judge(engine_is_server(t), phase_of(t), number);
    if (verdict == STATE_HANDLE)
        return handle(t, p, out);
    t->ext_info_now = false;
    switch (verdict) {
    case STATE_DELIVER:
        *out = (struct transport_event){
            .type = TRANSPORT_PACKET,
            .packet = {.type = number, .payload = p->payload, .len = p->len, .seq = p->seq},
        };
        return true;
    case STATE_UNKNOWN:
        transport_unimplemented(t, p->seq);
        return false;
    case STATE_LOOSE:
        /* Terrapin, CVE-2023-48795: nothing may be slipped into a strict first exchange. */
        if (t->is_strict)
            refuse(t, number);
        return false;
    case STATE_REFUSE:
        refuse(t, number);
        return false;
    case STATE_HANDLE:
    case STATE_DROP:
        return false;
    }
    return false;
}

/* RFC 4253 §7: the packet behind a wrong guess is a kex message, and ignored. */
static bool skip_guess(struct transport *t, uint8_t number)
{
    if (!t->exchange || !t->exchange->skip_next)
        return false;
    t->exchange->skip_next = false;
    return number >= 30 && number <= 49;
}

static enum turn take_packet(struct transport *t, struct transport_event *out)
{
    struct packet p;
    enum err e = packet_open(&t->rx, buf_ptr(&t->input), t->input.len, body_max(t), &p);
    if (e == ERR_MORE)
        return TURN_MORE;
    if (e != OK) {
        fail_packet(t, e);
        return TURN_AGAIN;
    }
    t->taken = p.total;
    if (t->rx.packets >= UINT32_MAX) {
        /* The sequence number, which is the nonce, must not come round. */
        engine_fail(t, ERR_PROTOCOL, "too many packets without a key exchange");
        return TURN_AGAIN;
    }
    if (skip_guess(t, p.payload[0]))
        return TURN_AGAIN;
    bool is_event = judge(t, &p, out);
    engine_check_rekey(t);
    return is_event ? TURN_EVENT : TURN_AGAIN;
}

bool transport_next(struct transport *t, struct transport_event *out)
{
    for (;;) {
        engine_release(t);
        if (t->fail_pending) {
            t->fail_pending = false;
            *out = (struct transport_event){
                .type = TRANSPORT_FAILED,
                .failed = {.err = t->failed, .text = view_str(t->text)},
            };
            return true;
        }
        if (t->is_ended) {
            exchange_free(t); /* its secrets are of no more use */
            return false;
        }
        if (exchange_waits(t))
            return false;
        enum turn turn = t->peer_ident ? take_packet(t, out) : take_ident(t, out);
        if (turn != TURN_AGAIN)
            return turn == TURN_EVENT;
    }
}
