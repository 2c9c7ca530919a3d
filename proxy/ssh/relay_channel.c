#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay_internal.h"

/* --- the table --- */

void relay_channels_reserve(struct relay *r, size_t cap)
{
    if (cap <= r->channel_cap)
        return;
    size_t grown = r->channel_cap ? r->channel_cap * 2 : 4;
    while (grown < cap)
        grown *= 2;
    r->channels = mem_realloc(r->channels, grown * sizeof *r->channels);
    memset(r->channels + r->channel_cap, 0, (grown - r->channel_cap) * sizeof *r->channels);
    r->channel_cap = grown;
}

static struct relay_channel *channel_new(struct relay *r, uint32_t *out_number)
{
    if (r->channel_count >= r->config.max_channels)
        return NULL;
    size_t n = r->channel_hint;
    while (n < r->channel_cap && r->channels[n].state != RELAY_CHANNEL_FREE)
        n++;
    relay_channels_reserve(r, n + 1);
    r->channel_hint = n + 1;
    r->channel_count++;
    *out_number = (uint32_t)n;
    return &r->channels[n];
}

void relay_channel_free(struct relay *r, uint32_t number)
{
    r->channels[number] = (struct relay_channel){0};
    r->channel_count--;
    if (number < r->channel_hint)
        r->channel_hint = number;
}

/*
 * What a peer with several threads may let slip out behind its own CLOSE: without effect, where
 * data would be a fault.
 */
static bool is_late(uint8_t type)
{
    return type == MSG_CHANNEL_WINDOW_ADJUST || type == MSG_CHANNEL_REQUEST ||
           type == MSG_CHANNEL_SUCCESS || type == MSG_CHANNEL_FAILURE;
}

/*
 * A channel on which `from` may send the message: RFC 4254 §5. NULL: a fault was raised, or the
 * message is to be dropped.
 */
static struct relay_channel *channel_of(struct relay *r, enum relay_side from, const uint8_t *p,
                                        size_t len)
{
    uint32_t number = len >= 5 ? load_u32(p + 1) : UINT32_MAX;
    struct relay_channel *c = number < r->channel_cap ? &r->channels[number] : NULL;
    if (c && c->state == RELAY_CHANNEL_OPEN && !c->closed[from])
        return c;
    if (len < 5 || !c || c->state != RELAY_CHANNEL_OPEN || !is_late(p[0]))
        relay_fault(r, from, ERR_PROTOCOL,
                    len >= 5 ? "message for an unknown channel" : "short message");
    return NULL;
}

/* The one verb: the other side's number goes where ours was. */
static void forward(struct relay *r, enum relay_side from, const struct relay_channel *c,
                    uint8_t *p, size_t len)
{
    enum relay_side to = relay_other(from);
    store_u32(p + 1, c->peer[to]);
    relay_send(r, to, view_of(p, len));
}

static void malformed(struct relay *r, enum relay_side from, const uint8_t *p)
{
    relay_fault(r, from, ERR_SYNTAX, msg_name(p[0]));
}

/* --- opening --- */

static void refuse_open(struct relay *r, enum relay_side side, uint32_t sender)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 256);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_OPEN_FAILURE);
    write_u32(&w, sender);
    write_u32(&w, OPEN_RESOURCE_SHORTAGE);
    write_cstring(&w, "too many channels");
    write_cstring(&w, "");
    CHECK(writer_done(&w) == OK);
    relay_send(r, side, buf_view(&b));
}

/* RFC 4254 §5.1. */
void relay_on_open(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct reader in = reader_of(view_of(p + 1, len - 1));
    struct view type = read_string(&in);
    size_t at = len - reader_left(&in); /* of the sender's number */
    uint32_t sender = read_u32(&in);
    uint32_t window = read_u32(&in);
    uint32_t packet = read_u32(&in);
    if (reader_ok(&in) != OK) {
        malformed(r, from, p);
        return;
    }
    uint32_t number;
    struct relay_channel *c = channel_new(r, &number);
    if (!c) {
        refuse_open(r, from, sender);
        return;
    }
    enum relay_side to = relay_other(from);
    *c = (struct relay_channel){.state = RELAY_CHANNEL_OPENING, .opener = (uint8_t)from};
    c->session = from == RELAY_CLIENT && view_eq_str(type, "session");
    if (c->session && window >= RELAY_RESERVE_WINDOW)
        c->base = c->want = c->reserve = RELAY_RESERVE;
    c->line_max = c->base ? RELAY_RESERVE : window / 4;
    c->peer[from] = sender;
    c->packet[from] = packet < RELAY_PACKET_MAX ? packet : RELAY_PACKET_MAX;
    c->credit[to] = window - c->reserve;
    store_u32(p + at, number);
    store_u32(p + at + 4, c->credit[to]);
    store_u32(p + at + 8, c->packet[from]);
    relay_send(r, to, view_of(p, len));
}

/* The channel that `from` was asked to open. */
static struct relay_channel *opening_of(struct relay *r, enum relay_side from, const uint8_t *p,
                                        size_t len, uint32_t *out_number)
{
    uint32_t number = len >= 5 ? load_u32(p + 1) : UINT32_MAX;
    struct relay_channel *c = number < r->channel_cap ? &r->channels[number] : NULL;
    if (c && c->state == RELAY_CHANNEL_OPENING && c->opener != from) {
        *out_number = number;
        return c;
    }
    relay_fault(r, from, ERR_PROTOCOL, "answer for a channel that is not being opened");
    return NULL;
}

void relay_on_open_confirmation(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    uint32_t number;
    struct relay_channel *c = opening_of(r, from, p, len, &number);
    if (!c)
        return;
    if (len < 17) {
        malformed(r, from, p);
        return;
    }
    c->state = RELAY_CHANNEL_OPEN;
    c->peer[from] = load_u32(p + 5);
    c->credit[relay_other(from)] = load_u32(p + 9);
    uint32_t packet = load_u32(p + 13);
    c->packet[from] = packet < RELAY_PACKET_MAX ? packet : RELAY_PACKET_MAX;
    store_u32(p + 5, number);
    store_u32(p + 13, c->packet[from]);
    forward(r, from, c, p, len);
}

void relay_on_open_failure(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    uint32_t number;
    struct relay_channel *c = opening_of(r, from, p, len, &number);
    if (!c)
        return;
    forward(r, from, c, p, len);
    relay_channel_free(r, number);
}

/* --- windows and data --- */

/* RFC 4254 §5.2. */
void relay_on_window_adjust(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct relay_channel *c = channel_of(r, from, p, len);
    if (!c)
        return;
    if (len != 9) {
        malformed(r, from, p);
        return;
    }
    uint32_t add = load_u32(p + 5);
    enum relay_side to = relay_other(from);
    uint64_t window = (uint64_t)c->credit[to] + add;
    if (from == RELAY_CLIENT)
        window += c->reserve;
    if (window > UINT32_MAX) {
        relay_fault(r, from, ERR_PROTOCOL, "the window exceeds 2^32 - 1");
        return;
    }
    uint32_t kept = 0;
    if (from == RELAY_CLIENT && c->reserve < c->want)
        kept = c->want - c->reserve < add ? c->want - c->reserve : add;
    c->reserve += kept;
    c->credit[to] += add - kept;
    store_u32(p + 5, add - kept);
    if (add > kept)
        forward(r, from, c, p, len);
    if (kept)
        relay_line_paid(r, c);
}

/* DATA and EXTENDED_DATA. RFC 4254 §5.2: both count against window and packet size. */
void relay_on_data(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct relay_channel *c = channel_of(r, from, p, len);
    if (!c)
        return;
    size_t head = p[0] == MSG_CHANNEL_DATA ? 9 : 13;
    size_t size = len - head; /* not used when it wraps */
    if (len < head || load_u32(p + head - 4) != size) {
        malformed(r, from, p);
        return;
    }
    if (size > c->credit[from]) {
        relay_fault(r, from, ERR_PROTOCOL, "more data than the window allows");
        return;
    }
    if (size > c->packet[relay_other(from)]) {
        relay_fault(r, from, ERR_PROTOCOL, "more data than a packet may hold");
        return;
    }
    c->credit[from] -= (uint32_t)size;
    r->bytes[from] += size;
    forward(r, from, c, p, len);
}

/* --- closing --- */

void relay_on_eof(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct relay_channel *c = channel_of(r, from, p, len);
    if (!c)
        return;
    c->eof[from] = true;
    forward(r, from, c, p, len);
}

/* RFC 4254 §5.3: a number is free when both sides have sent CLOSE. */
void relay_on_close(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct relay_channel *c = channel_of(r, from, p, len);
    if (!c)
        return;
    uint32_t number = (uint32_t)(c - r->channels);
    c->closed[from] = true;
    if (!r->cut)
        forward(r, from, c, p, len);
    if (c->closed[relay_other(from)])
        relay_channel_free(r, number);
    if (r->cut)
        relay_cut_progress(r);
}

/* --- requests --- */

/* RFC 4254 §5.4. Opaque; pty-req tells how lines end. */
void relay_on_channel_request(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct relay_channel *c = channel_of(r, from, p, len);
    if (!c)
        return;
    struct reader in = reader_of(view_of(p + 5, len - 5));
    struct view name = read_string(&in);
    bool want_reply = read_bool(&in);
    if (reader_ok(&in) != OK) {
        malformed(r, from, p);
        return;
    }
    if (want_reply && c->pending[from] == UINT32_MAX) {
        relay_fault(r, from, ERR_LIMIT, "too many channel requests");
        return;
    }
    c->pending[from] += want_reply;
    if (from == RELAY_CLIENT && view_eq_str(name, "pty-req")) {
        c->tty = true;
        relay_line_paid(r, c); /* what is due has become longer */
    }
    forward(r, from, c, p, len);
}

/* A reply that nobody waits for is dropped: it could be taken for another one. */
void relay_on_channel_reply(struct relay *r, enum relay_side from, uint8_t *p, size_t len)
{
    struct relay_channel *c = channel_of(r, from, p, len);
    if (!c || !c->pending[relay_other(from)])
        return;
    c->pending[relay_other(from)]--;
    forward(r, from, c, p, len);
}
