/* What the management shell has to say, message by message. */
#include "common/base/check.h"
#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "proxy/ssh/shell.h"

/*
 * RFC 4254 §5.2. On stderr, so that what a program reads is never taken for a server's output.
 * False: the client's window is closed.
 */
static bool write_text(struct shell_channel *c, struct writer *w)
{
    size_t n = c->text.len;
    n = n < c->window ? n : c->window;
    n = n < c->packet ? n : c->packet;
    if (!n)
        return false;
    write_u8(w, MSG_CHANNEL_EXTENDED_DATA);
    write_u32(w, c->peer);
    write_u32(w, MSG_EXTENDED_STDERR);
    write_string(w, view_take(buf_view(&c->text), n));
    buf_consume(&c->text, n);
    c->window -= (uint32_t)n;
    return true;
}

/* §6.10. */
static void write_status(const struct shell_channel *c, struct writer *w)
{
    write_u8(w, MSG_CHANNEL_REQUEST);
    write_u32(w, c->peer);
    write_cstring(w, "exit-status");
    write_bool(w, false);
    write_u32(w, c->status);
}

static void write_short(const struct shell_channel *c, struct writer *w, enum msg type)
{
    write_u8(w, (uint8_t)type);
    write_u32(w, c->peer);
}

static bool write_channel(struct shell_channel *c, struct writer *w)
{
    /* A client that takes packets of no bytes gets none. */
    if (c->phase == SHELL_WRITING && (!c->text.len || !c->packet)) {
        buf_fini(&c->text);
        c->phase = SHELL_STATUS;
    }
    switch (c->phase) {
    case SHELL_WRITING:
        return write_text(c, w);
    case SHELL_STATUS:
        write_status(c, w);
        c->phase = SHELL_EOF;
        return true;
    case SHELL_EOF:
        write_short(c, w, MSG_CHANNEL_EOF);
        c->phase = SHELL_CLOSE;
        return true;
    case SHELL_CLOSE:
        write_short(c, w, MSG_CHANNEL_CLOSE);
        c->phase = SHELL_CLOSED;
        return true;
    case SHELL_FREE:
    case SHELL_IDLE:
    case SHELL_ASKING:
    case SHELL_CLOSED:
        break;
    }
    return false;
}

bool shell_output(struct shell *s, uint8_t **out_payload, size_t *out_len)
{
    struct writer w = writer_to(&s->out);
    bool any = false;
    buf_clear(&s->out);
    if (s->replies.len) {
        struct reader in = reader_of(buf_view(&s->replies));
        struct view payload = read_string(&in);
        write_bytes(&w, payload);
        buf_consume(&s->replies, 4 + payload.len);
        any = true;
    }
    for (size_t i = 0; i < SHELL_CHANNELS_MAX && !any; i++)
        any = write_channel(&s->channels[(s->turn + i) % SHELL_CHANNELS_MAX], &w);
    if (!any) {
        buf_trim(&s->out);
        buf_trim(&s->replies);
        return false;
    }
    CHECK(writer_done(&w) == OK);
    s->turn = (s->turn + 1) % SHELL_CHANNELS_MAX;
    *out_payload = buf_ptr(&s->out);
    *out_len = s->out.len;
    return true;
}
