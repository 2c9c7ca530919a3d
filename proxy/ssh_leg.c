#include "proxy/ssh_leg.h"

#include "common/base/mem.h"

enum { SSH_LEG_IN_MAX = LOOP_SCRATCH };

static void on_read(void *ctx, struct view bytes)
{
    struct ssh_leg *l = ctx;
    size_t n = l->in.len || !l->transport ? 0 : transport_room(l->transport);
    n = n < bytes.len ? n : bytes.len;
    if (n && transport_feed(l->transport, view_take(bytes, n),
                            loop_now_ms(stream_loop(l->stream))) == OK)
        bytes = view_skip(bytes, n);
    /* While something waits nothing is read (ssh_leg_pace), so this fits. */
    IGNORE(buf_append(&l->in, bytes), "a read is at most LOOP_SCRATCH");
    l->on_turn(l->ctx);
}

static void on_drain(void *ctx)
{
    struct ssh_leg *l = ctx;
    l->on_turn(l->ctx);
}

static void on_end(void *ctx, enum err why)
{
    struct ssh_leg *l = ctx;
    (void)why;
    l->has_ended = true;
    l->on_turn(l->ctx);
}

static const struct stream_handler handler = {
    .on_read = on_read,
    .on_drain = on_drain,
    .on_end = on_end,
};

void ssh_leg_open(struct ssh_leg *l, struct loop *loop, int fd, struct transport *transport,
                  loop_fn on_turn, void *ctx)
{
    *l = (struct ssh_leg){.transport = transport, .on_turn = on_turn, .ctx = ctx};
    buf_init(&l->in, SSH_LEG_IN_MAX);
    struct stream_spec spec = {.loop = loop, .keepalive = true};
    l->stream = stream_new(&spec, fd, &handler, l);
}

bool ssh_leg_feed(struct ssh_leg *l, uint64_t now)
{
    size_t n = l->transport ? transport_room(l->transport) : 0;
    struct view v = view_take(buf_view(&l->in), n);
    if (!v.len)
        return false;
    n = v.len;
    if (transport_feed(l->transport, v, now) != OK)
        return false;
    buf_consume(&l->in, n);
    buf_trim(&l->in);
    return true;
}

bool ssh_leg_flush(struct ssh_leg *l)
{
    if (!l->stream || !l->transport)
        return false;
    struct view v = view_take(transport_output(l->transport), stream_room(l->stream));
    if (!v.len)
        return false;
    size_t n = v.len;
    if (stream_write(l->stream, v) != OK)
        return false;
    transport_sent(l->transport, n);
    return true;
}

bool ssh_leg_is_flushed(const struct ssh_leg *l)
{
    return !l->transport || transport_output(l->transport).len == 0;
}

bool ssh_leg_is_empty(const struct ssh_leg *l)
{
    return l->in.len == 0;
}

void ssh_leg_pace(struct ssh_leg *l, bool wanted)
{
    if (!l->stream)
        return;
    bool pause = !wanted || l->in.len;
    if (pause == l->is_paused)
        return;
    l->is_paused = pause;
    if (pause)
        stream_pause(l->stream);
    else
        stream_resume(l->stream);
}

void ssh_leg_close(struct ssh_leg *l, uint32_t linger_ms)
{
    if (l->stream)
        stream_close(l->stream, linger_ms, NULL, NULL);
    l->stream = NULL;
}

void ssh_leg_fini(struct ssh_leg *l)
{
    if (l->stream)
        stream_abort(l->stream, NULL, NULL);
    l->stream = NULL;
    transport_free(l->transport);
    l->transport = NULL;
    buf_fini(&l->in);
}
