#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/relay_internal.h"

enum {
    RELAY_LINE_PACKET_MAX = RELAY_LINE_MAX + 64,
    LINE_ENDS = 4, /* CR LF in front and behind */
};

static void set_line(struct relay *r, struct view line)
{
    AUTO(buf_fini) struct buf clean;
    buf_init(&clean, RELAY_LINE_MAX);
    buf_clear(&r->line);
    IGNORE(text_printable(view_take(line, RELAY_LINE_MAX), &clean), "cut to what fits");
    IGNORE(buf_append(&r->line, buf_view(&clean)), "fits");
}

/* A line of its own also where a prompt or a program's screen is. */
static uint32_t line_len(const struct relay *r, const struct relay_channel *c)
{
    return (uint32_t)r->line.len + (c->tty ? LINE_ENDS : 1);
}

static bool takes_lines(const struct relay_channel *c)
{
    return c->state == RELAY_CHANNEL_OPEN && c->session && !c->closed[RELAY_TARGET] &&
           !c->closed[RELAY_CLIENT] && !c->eof[RELAY_TARGET];
}

/* RFC 4254 §5.2: data of type SSH_EXTENDED_DATA_STDERR. */
static void send_line(struct relay *r, const struct relay_channel *c)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, RELAY_LINE_PACKET_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_CHANNEL_EXTENDED_DATA);
    write_u32(&w, c->peer[RELAY_CLIENT]);
    write_u32(&w, MSG_EXTENDED_STDERR);
    size_t mark = write_begin(&w);
    write_bytes(&w, c->tty ? VIEW("\r\n") : VIEW(""));
    write_bytes(&w, buf_view(&r->line));
    write_bytes(&w, c->tty ? VIEW("\r\n") : VIEW("\n"));
    write_end(&w, mark);
    CHECK(writer_done(&w) == OK);
    relay_send(r, RELAY_CLIENT, buf_view(&b));
}

/* RFC 4253 §11.3; OpenSSH shows it under -v. */
static void send_debug(struct relay *r)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, RELAY_LINE_PACKET_MAX);
    struct writer w = writer_to(&b);
    write_u8(&w, MSG_DEBUG);
    write_bool(&w, true);
    write_string(&w, buf_view(&r->line));
    write_cstring(&w, "");
    CHECK(writer_done(&w) == OK);
    relay_send(r, RELAY_CLIENT, buf_view(&b));
}

/* What was withheld for a longer line than the one that was shown is the target's again. */
static void give_back(struct relay *r, struct relay_channel *c)
{
    if (c->reserve <= c->base)
        return;
    uint8_t p[9] = {MSG_CHANNEL_WINDOW_ADJUST};
    store_u32(p + 1, c->peer[RELAY_TARGET]);
    store_u32(p + 5, c->reserve - c->base);
    c->credit[RELAY_TARGET] += c->reserve - c->base;
    c->reserve = c->base;
    relay_send(r, RELAY_TARGET, view_of(p, sizeof p));
}

void relay_line_paid(struct relay *r, struct relay_channel *c)
{
    uint32_t len = line_len(r, c);
    if (!c->line_due || !takes_lines(c))
        return;
    if (c->want < len)
        c->want = len;
    if (c->reserve < len)
        return;
    c->line_due = false;
    c->reserve -= len;
    c->want = c->base;
    send_line(r, c);
    give_back(r, c);
}

/* The line is to be shown on the channel, now or when its window has grown. */
static void make_due(struct relay *r, struct relay_channel *c)
{
    uint32_t most = (uint32_t)r->line.len + LINE_ENDS; /* a pty may still be asked for */
    c->line_due = most <= c->line_max && most <= c->packet[RELAY_CLIENT];
    c->want = c->base;
    if (c->line_due)
        relay_line_paid(r, c);
    else
        give_back(r, c);
}

void relay_warn(struct relay *r, struct view line)
{
    if (r->over || r->cut)
        return;
    set_line(r, line);
    for (size_t i = 0; i < r->channel_cap; i++) {
        if (takes_lines(&r->channels[i]))
            make_due(r, &r->channels[i]);
    }
    send_debug(r);
}

static void send_short(struct relay *r, enum msg type, uint32_t channel)
{
    uint8_t p[5] = {(uint8_t)type};
    store_u32(p + 1, channel);
    relay_send(r, RELAY_CLIENT, view_of(p, sizeof p));
}

/* Ends one channel towards the client. True when the line was shown on it. */
static bool cut_channel(struct relay *r, uint32_t number)
{
    struct relay_channel *c = &r->channels[number];
    if (c->state == RELAY_CHANNEL_OPENING) {
        relay_channel_free(r, number);
        return false;
    }
    uint32_t len = line_len(r, c);
    uint64_t window = (uint64_t)c->credit[RELAY_TARGET] + c->reserve;
    bool shown = takes_lines(c) && window >= len && c->packet[RELAY_CLIENT] >= len;
    if (shown)
        send_line(r, c);
    if (!c->closed[RELAY_TARGET]) {
        if (!c->eof[RELAY_TARGET])
            send_short(r, MSG_CHANNEL_EOF, c->peer[RELAY_CLIENT]);
        send_short(r, MSG_CHANNEL_CLOSE, c->peer[RELAY_CLIENT]);
        c->closed[RELAY_TARGET] = true;
    }
    if (c->closed[RELAY_CLIENT])
        relay_channel_free(r, number);
    return shown;
}

static void finish_cut(struct relay *r)
{
    if (r->over)
        return;
    r->over = true;
    r->disconnect_pending = true;
    r->fault_side = RELAY_CLIENT;
}

void relay_cut_progress(struct relay *r)
{
    if (!r->channel_count)
        finish_cut(r);
}

void relay_cut(struct relay *r, struct view line, uint32_t reason, uint64_t now)
{
    if (r->over || r->cut)
        return;
    set_line(r, line);
    /* From here on a client that does not read gets the same DISCONNECT as any other. */
    r->cut = true;
    r->reason = reason;
    buf_clear(&r->text);
    IGNORE(buf_append(&r->text, view_take(line, r->text.max)), "fits");
    bool shown = false;
    for (size_t i = 0; i < r->channel_cap; i++) {
        if (r->channels[i].state != RELAY_CHANNEL_FREE)
            shown |= cut_channel(r, (uint32_t)i);
    }
    send_debug(r);
    r->cut_at = now + RELAY_CUT_GRACE_MS;
    /* DISCONNECT overtakes what a client has not printed yet; but where no line was shown its text
     * is all there is. */
    if (!shown || !r->channel_count)
        finish_cut(r);
}

uint64_t relay_deadline(const struct relay *r)
{
    return r->cut && !r->over ? r->cut_at : UINT64_MAX;
}

void relay_tick(struct relay *r, uint64_t now)
{
    if (now >= relay_deadline(r))
        finish_cut(r);
}
