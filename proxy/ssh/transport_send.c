#include <stdarg.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "proxy/ssh/engine.h"

enum {
    ANSWER_SLACK = 64 * 1024,  /* our own answers may fill this much beyond output_soft */
    OUTPUT_KEPT = 1024 * 1024, /* a larger allocation is given back as soon as it is empty */
};

enum err engine_seal(struct transport *t, struct view payload)
{
    enum err e = packet_seal(&t->tx, &t->pad, &t->rng, payload, &t->output);
    if (e != OK && !t->is_ended)
        engine_fail(t, e, "too many bytes are waiting to be sent");
    return e;
}

static enum err hold(struct transport *t, struct view payload)
{
    size_t cost = payload.len + PACKET_OVERHEAD;
    if (cost > t->limits.held_max || t->held_cost > t->limits.held_max - cost)
        return ERR_LIMIT;
    uint8_t len[4];
    store_u32(len, (uint32_t)payload.len);
    TRY(buf_append(&t->held, view_of(len, sizeof len)));
    TRY(buf_append(&t->held, payload));
    t->held_cost += cost;
    return OK;
}

enum err transport_send(struct transport *t, struct view payload)
{
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->is_ready)
        return ERR_STATE;
    if (payload.len == 0 || payload.len > TRANSPORT_PAYLOAD_MAX)
        return ERR_LIMIT;
    if (t->tx_blocked)
        return hold(t, payload);
    if (t->output.len + payload.len + PACKET_OVERHEAD > t->limits.output_hard)
        return ERR_LIMIT;
    TRY(engine_seal(t, payload));
    engine_check_rekey(t);
    return OK;
}

void engine_release_held(struct transport *t)
{
    while (t->held.len && !t->is_ended) {
        size_t len = load_u32(buf_ptr(&t->held));
        if (engine_seal(t, view_of(buf_ptr(&t->held) + 4, len)) != OK)
            return;
        buf_consume(&t->held, 4 + len);
    }
    t->held_cost = 0;
    buf_wipe(&t->held); /* clear text */
}

/* RFC 4344 §3.2: 2^(block bits / 4) blocks, and at most a gigabyte for short blocks. */
static const uint64_t bytes_max_short = UINT64_C(1) << 30;
static const uint64_t bytes_max = UINT64_C(1) << 36;

static bool is_due(const struct transport *t, const struct packet_dir *d)
{
    if (d->bytes >= t->limits.rekey_bytes || d->packets >= t->limits.rekey_packets)
        return true;
    return d->bytes >= bytes_max_short &&
           (cipher_block_len(&d->cipher) < 16 || d->bytes >= bytes_max);
}

void engine_check_rekey(struct transport *t)
{
    if (t->exchange || !t->is_authenticated || t->is_ended)
        return;
    if (is_due(t, &t->tx) || is_due(t, &t->rx))
        exchange_start(t);
}

enum err transport_rekey(struct transport *t)
{
    if (t->is_ended)
        return ERR_CLOSED;
    if (!t->is_authenticated)
        return ERR_STATE;
    if (!t->exchange)
        exchange_start(t);
    return OK;
}

bool transport_writable(const struct transport *t)
{
    return t->is_ready && !t->is_ended && !t->tx_blocked && t->output.len < t->limits.output_soft;
}

bool transport_rekeying(const struct transport *t)
{
    return t->is_ready && t->tx_blocked;
}

size_t transport_pending(const struct transport *t)
{
    return t->output.len + t->held.len;
}

struct view transport_output(const struct transport *t)
{
    return buf_view(&t->output);
}

void transport_sent(struct transport *t, size_t n)
{
    buf_consume(&t->output, n);
    if (t->output.len == 0 && t->output.cap > OUTPUT_KEPT)
        buf_fini(&t->output);
}

void engine_answer(struct transport *t, struct view payload)
{
    if (t->is_ended || !t->is_ready || t->output.len > t->limits.output_soft + ANSWER_SLACK)
        return;
    /* RFC 4253 §7.1: UNIMPLEMENTED may go out in the middle of a rekey, PONG may not. */
    if (payload.ptr[0] == MSG_UNIMPLEMENTED)
        IGNORE(engine_seal(t, payload), "a failure has ended the transport");
    else if (t->held_cost <= ANSWER_SLACK)
        IGNORE(transport_send(t, payload), "the peer does not read");
}

void transport_unimplemented(struct transport *t, uint32_t seq)
{
    uint8_t payload[5] = {MSG_UNIMPLEMENTED};
    store_u32(payload + 1, seq);
    engine_answer(t, view_of(payload, sizeof payload));
}

/* The end of everything that is sent. */
static void send_disconnect(struct transport *t, uint32_t reason, struct view text)
{
    t->is_ended = true;
    t->deadline = UINT64_MAX;
    t->held_cost = 0;
    buf_wipe(&t->held);
    /* To a stranger who does not speak SSH a packet would be noise. */
    if (!t->peer_ident && !t->ident_state.is_ssh)
        return;
    struct buf out;
    buf_init(&out, MSG_TEXT_MAX + 64);
    if (msg_disconnect_write(&out, reason, text) == OK)
        IGNORE(engine_seal(t, buf_view(&out)), "without room the connection just ends");
    buf_fini(&out);
}

void transport_disconnect(struct transport *t, enum msg_reason reason, struct view text)
{
    if (t->is_ended)
        return;
    send_disconnect(t, reason, text);
    exchange_free(t);
}

void transport_fail(struct transport *t, enum err e, const char *text)
{
    if (t->is_ended)
        return;
    struct buf clean;
    buf_init(&clean, MSG_TEXT_MAX * 4);
    if (msg_text_clean(view_str(text), &clean) == OK) {
        mem_free(t->text);
        t->text = buf_to_str(&clean);
    }
    buf_fini(&clean);
    t->failed = e;
    t->fail_pending = true;
    /* The exchange stays until the end: callers up the stack may still look at it. */
    send_disconnect(t, msg_reason_of(e), view_str(t->text));
}

void engine_fail(struct transport *t, enum err e, const char *format, ...)
{
    if (t->is_ended)
        return;
    va_list args;
    va_start(args, format);
    struct buf detail;
    buf_init(&detail, 4096);
    IGNORE(buf_vprintf(&detail, format, args), "what fits");
    va_end(args);
    AUTO_FREE char *why = buf_to_str(&detail);
    buf_fini(&detail);
    AUTO_FREE char *text = message_format(MESSAGE_SSH_PROTOCOL, why, NULL);
    transport_fail(t, e, text);
}
