#include "common/io/stream_parts.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/socket.h"
#include "common/io/timer.h"
#include "common/io/tls_session.h"

enum {
    READS_PER_TURN = 8, /* so that one busy peer does not starve the others */
    BUSY_STEP_MS = 500,
};

static void turn(struct stream *s);

static void say(struct stream *s, const char *text)
{
    if (s->why[0] == '\0')
        (void)snprintf(s->why, sizeof s->why, "%s", text);
}

static void fail(struct stream *s, enum err e, const char *why)
{
    if (s->failed != OK)
        return;
    say(s, why);
    s->failed = e;
    buf_clear(&s->queue);
    if (!s->closing)
        timer_clear(&s->deadline);
}

static void on_dead(void *ctx)
{
    struct stream *s = ctx;
    tls_session_free(s->tls);
    (void)close(s->fd);
    buf_wipe(&s->queue);
    if (s->on_closed)
        s->on_closed(s->closed_ctx);
    mem_free(s);
}

static void destroy(struct stream *s)
{
    if (s->dead)
        return;
    s->dead = true;
    tick_clear(&s->tick);
    timer_fini(&s->deadline);
    timer_fini_then(&s->kick, on_dead, s);
    poller_close(s->poller);
}

static void kick(void *ctx)
{
    struct stream *s = ctx;
    if (!s->dead)
        timer_after(&s->kick, 0);
}

/* --- one step in each direction --- */

static void open_step(struct stream *s)
{
    if (s->opened || s->failed != OK)
        return;
    enum err e = s->tls ? tls_session_handshake(s->tls) : OK;
    if (e == ERR_MORE) {
        s->read_want = tls_session_want(s->tls);
        return;
    }
    if (e != OK) {
        fail(s, e, tls_session_why(s->tls));
        return;
    }
    s->opened = true;
    s->may_have = s->may_have && !(s->tls && tls_session_is_drained(s->tls));
    s->read_want = TLS_WANT_READ;
    if (!s->closing)
        timer_clear(&s->deadline);
}

/* OK and how much was sent, ERR_MORE, or a failure with its text in s->why. */
static enum err send_some(struct stream *s, struct view bytes, size_t *out_n)
{
    if (s->tls) {
        enum err e = tls_session_write(s->tls, bytes, out_n);
        s->write_want = e == ERR_MORE ? tls_session_want(s->tls) : TLS_WANT_WRITE;
        if (e != OK && e != ERR_MORE)
            say(s, tls_session_why(s->tls));
        return e;
    }
    const char *why = "";
    enum err e = socket_send(s->fd, bytes, out_n, &why);
    say(s, why);
    return e;
}

static size_t pending(const struct stream *s)
{
    return s->queue.len + (s->tls ? tls_session_unsent(s->tls) : 0);
}

static enum err flush_records(struct stream *s)
{
    enum err e = s->tls ? tls_session_flush(s->tls) : OK;
    if (e == ERR_MORE)
        s->write_want = TLS_WANT_WRITE;
    else if (e != OK)
        say(s, tls_session_why(s->tls));
    return e;
}

static void stop_writing(struct stream *s, enum err e)
{
    s->write_err = e;
    buf_clear(&s->queue);
}

static void shutdown_step(struct stream *s)
{
    if (!(s->shut_asked || s->closing) || s->shut_sent)
        return;
    if (s->tls) {
        enum err e = tls_session_shutdown(s->tls);
        if (e == ERR_MORE) {
            s->write_want = tls_session_want(s->tls);
            return;
        }
        IGNORE(e, "FIN follows in any case");
    }
    (void)shutdown(s->fd, SHUT_WR);
    s->shut_sent = true;
    s->raw = s->closing;
}

static void write_step(struct stream *s)
{
    if (s->dead)
        return;
    while (s->opened && s->failed == OK && s->write_err == OK && pending(s) > 0) {
        size_t n = 0;
        enum err e = s->queue.len ? send_some(s, buf_view(&s->queue), &n) : flush_records(s);
        if (e == ERR_MORE)
            return;
        if (e != OK) {
            stop_writing(s, e);
            return;
        }
        buf_consume(&s->queue, n);
        s->bytes_out += n;
    }
    if (s->queue.len == 0)
        buf_trim(&s->queue);
    if (s->opened && s->failed == OK && s->write_err == OK)
        shutdown_step(s);
}

/* Nobody wants it. False: that is all for now. */
static bool drop_some(struct stream *s)
{
    size_t n = 0;
    enum err e = socket_drop(s->fd, &n);
    s->dropped = s->dropped || n > 0;
    s->read_ended = e != ERR_MORE && n == 0;
    return n > 0;
}

/* OK with nothing is the peer's end. */
static enum err receive(struct stream *s, struct view *out, bool *out_drained)
{
    if (s->tls) {
        enum err e = tls_session_read(s->tls, s->read_max, out, out_drained);
        s->read_want = e == ERR_MORE ? tls_session_want(s->tls) : TLS_WANT_READ;
        if (e != OK && e != ERR_MORE)
            say(s, tls_session_why(s->tls));
        return e;
    }
    size_t n = 0;
    const char *why = "";
    enum err e = socket_receive(s->fd, s->loop->scratch, s->read_max, &n, &why);
    say(s, why);
    *out = view_of(s->loop->scratch, n);
    *out_drained = n > 0 && n < s->read_max;
    return e;
}

static bool may_read(const struct stream *s)
{
    bool usable = (s->opened && s->failed == OK) || s->raw;
    return usable && !s->dead && !s->read_ended && (!s->paused || s->closing);
}

static bool has_pending(const struct stream *s)
{
    return s->tls && tls_session_has_pending(s->tls);
}

/* Whether a read can be worth its system call. What a failure was, only a read tells. */
static bool is_worth_reading(const struct stream *s)
{
    return s->may_have || s->closing || s->write_err != OK || has_pending(s);
}

/* Up to the owner, one piece. False: that is all for now. */
static bool read_one(struct stream *s)
{
    struct view bytes = {0};
    bool drained = false;
    enum err e = receive(s, &bytes, &drained);
    if (e != OK) {
        e = e == ERR_MORE ? s->write_err : e;
        if (e != OK)
            fail(s, e, "");
        return false;
    }
    if (bytes.len == 0) {
        s->read_ended = true;
        return false;
    }
    if (s->closing) {
        s->dropped = true;
        return !drained;
    }
    s->bytes_in += bytes.len;
    if (s->handler.on_read)
        s->handler.on_read(s->ctx, bytes);
    return !drained;
}

static void read_step(struct stream *s)
{
    bool more = is_worth_reading(s);
    for (int i = 0; i < READS_PER_TURN && more && may_read(s); i++) {
        more = s->raw ? drop_some(s) : read_one(s);
        s->may_have = more;
    }
    if (!s->raw && may_read(s) && has_pending(s))
        kick(s);
}

/* --- a turn: step, tell, wait --- */

static void tell_open(struct stream *s)
{
    if (!s->opened || s->told_open || s->closing)
        return;
    s->told_open = true;
    if (s->handler.on_open)
        s->handler.on_open(s->ctx);
}

static bool is_drain_due(const struct stream *s)
{
    return s->above_low && pending(s) <= s->queue_low && !s->closing && s->failed == OK &&
           s->write_err == OK;
}

static void tell_drain(struct stream *s)
{
    if (!is_drain_due(s))
        return;
    s->above_low = false;
    if (s->handler.on_drain)
        s->handler.on_drain(s->ctx);
}

static void tell_end(struct stream *s)
{
    if (s->write_err != OK && s->failed == OK && (s->paused || s->read_ended))
        fail(s, s->write_err, "");
    bool due = s->failed != OK ? !s->told_failure : s->read_ended && !s->told_end;
    if (s->closing || !due)
        return;
    s->told_end = true;
    s->told_failure = s->failed != OK;
    if (s->handler.on_end)
        s->handler.on_end(s->ctx, s->failed);
}

static int wanted(const struct stream *s)
{
    if (s->failed != OK)
        return s->raw && !s->read_ended ? UV_READABLE : 0;
    if (!s->opened)
        return s->read_want == TLS_WANT_READ    ? UV_READABLE
               : s->read_want == TLS_WANT_WRITE ? UV_WRITABLE
                                                : 0;
    int mask = 0;
    if (may_read(s) && !tick_is_set(&s->tick))
        mask |= s->read_want == TLS_WANT_WRITE ? UV_WRITABLE : UV_READABLE;
    bool to_write = pending(s) > 0 || ((s->shut_asked || s->closing) && !s->shut_sent);
    if (to_write && s->write_err == OK)
        mask |= s->write_want == TLS_WANT_READ ? UV_READABLE : UV_WRITABLE;
    return mask;
}

/* Only who reads much at a time has anything to gain. */
static void wait_for_tick(struct stream *s)
{
    size_t got = s->bytes_in - s->paced;
    s->paced = s->bytes_in;
    if (s->read_max == LOOP_SCRATCH || tick_is_set(&s->tick) || (!got && !s->pace.ticks))
        return;
    if (pace_next(&s->pace, uv_hrtime(), got) && may_read(s) && !s->may_have && !s->closing)
        (void)tick_set(&s->tick);
}

static void rearm(struct stream *s)
{
    poller_set(s->poller, wanted(s));
}

/* The alert that says why has been written: the peer gets the time to read it. */
static void drain_after_alert(struct stream *s)
{
    if (!s->closing || !s->tls || s->raw || (s->failed != ERR_PROTOCOL && s->failed != ERR_VERIFY))
        return;
    s->raw = true;
    s->shut_sent = true;
    (void)shutdown(s->fd, SHUT_WR);
}

static bool is_done(const struct stream *s)
{
    if (s->raw)
        return s->read_ended;
    return !s->opened || s->failed != OK || s->write_err != OK || (s->shut_sent && s->read_ended);
}

static void turn(struct stream *s)
{
    if (s->dead || s->in_turn)
        return;
    s->in_turn = true;
    drain_after_alert(s);
    open_step(s);
    tell_open(s);
    write_step(s);
    read_step(s);
    tell_drain(s);
    tell_end(s);
    s->in_turn = false;
    if (s->dead)
        return;
    /* What the callbacks have written. When all of it went by now, no poll tells of it. */
    write_step(s);
    if (is_drain_due(s))
        kick(s);
    drain_after_alert(s);
    if (s->closing && is_done(s)) {
        destroy(s);
        return;
    }
    wait_for_tick(s);
    rearm(s);
}

static void look(struct stream *s, bool is_readable)
{
    s->may_have = s->may_have || is_readable;
    if (s->may_have && s->tls)
        tls_session_readable(s->tls);
    turn(s);
}

static void on_tick(void *ctx)
{
    look(ctx, true);
}

/* An error, too: reading or writing finds out what it was. */
static void on_poll(void *ctx, int status, int events)
{
    struct stream *s = ctx;
    int readable = s->read_want == TLS_WANT_WRITE ? UV_WRITABLE : UV_READABLE;
    look(s, status < 0 || (events & readable));
}

static void on_kick(void *ctx)
{
    turn(ctx);
}

/* A close while bytes still come would answer them with RST: they are dropped for some more time.
 */
static void end_linger(struct stream *s)
{
    if (!s->dropped && !s->read_ended)
        (void)drop_some(s);
    if (!s->dropped || loop_now_ms(s->loop) >= s->busy_until) {
        destroy(s);
        return;
    }
    if (!s->shut_sent) {
        /* The peer does not take what is queued. */
        buf_clear(&s->queue);
        (void)shutdown(s->fd, SHUT_WR);
        s->shut_sent = true;
    }
    s->raw = true;
    s->dropped = false;
    timer_after(&s->deadline, BUSY_STEP_MS);
    rearm(s);
}

static void on_deadline(void *ctx)
{
    struct stream *s = ctx;
    if (s->closing) {
        end_linger(s);
        return;
    }
    fail(s, ERR_TIMEOUT, "the TLS handshake took too long");
    turn(s);
}

/* --- the owner's side --- */

static void start_tls(struct stream *s, const struct stream_spec *spec)
{
    const struct tls_session_spec tls = {.context = spec->tls,
                                         .loop = s->loop,
                                         .fd = s->fd,
                                         .server_name = spec->server_name,
                                         .wake = kick,
                                         .ctx = s};
    s->tls = tls_session_new(&tls);
    if (!s->tls)
        fail(s, ERR_VERIFY, "there is no valid name to verify the server by");
    else
        timer_after(&s->deadline, spec->handshake_ms ? spec->handshake_ms : STREAM_HANDSHAKE_MS);
}

struct stream *stream_new(const struct stream_spec *spec, int fd,
                          const struct stream_handler *handler, void *ctx)
{
    struct stream *s = mem_zalloc(sizeof *s);
    size_t max = spec->queue_max ? spec->queue_max : STREAM_QUEUE_MAX;
    s->loop = spec->loop;
    s->fd = fd;
    s->handler = *handler;
    s->ctx = ctx;
    s->queue_low = spec->queue_low ? spec->queue_low : max / 4;
    s->paused = spec->paused;
    stream_set_read_max(s, spec->read_max ? spec->read_max : LOOP_SCRATCH);
    s->read_want = TLS_WANT_READ;
    s->write_want = TLS_WANT_WRITE;
    buf_init(&s->queue, max);
    unsigned idle_s = spec->keepalive_s ? spec->keepalive_s : STREAM_KEEPALIVE_S;
    if (!spec->inherits)
        socket_set_options(fd, spec->keepalive ? idle_s : 0);
    timer_init(&s->deadline, s->loop, on_deadline, s);
    tick_init(&s->tick, s->loop, on_tick, s);
    timer_init(&s->kick, s->loop, on_kick, s);
    s->poller = poller_open(s->loop, fd, on_poll, s);
    if (spec->tls)
        start_tls(s, spec);
    kick(s);
    return s;
}

static bool may_write(const struct stream *s)
{
    return s->failed == OK && s->write_err == OK && !s->shut_asked && !s->closing;
}

/* What goes at once goes without a copy. Returns what is left. */
static struct view write_through(struct stream *s, struct view bytes)
{
    while (s->opened && s->queue.len == 0 && bytes.len > 0) {
        size_t n = 0;
        enum err e = send_some(s, bytes, &n);
        if (e == ERR_MORE)
            break;
        if (e != OK) {
            stop_writing(s, e);
            return (struct view){0};
        }
        s->bytes_out += n;
        bytes = view_skip(bytes, n);
    }
    return bytes;
}

enum err stream_write(struct stream *s, struct view bytes)
{
    if (!may_write(s))
        return ERR_CLOSED;
    size_t room = stream_room(s);
    if (bytes.len > room)
        return ERR_LIMIT;
    /* Whoever fills the room waits for on_drain, also when the kernel took all of it at once. */
    bool is_full = bytes.len == room;
    bytes = write_through(s, bytes);
    TRY(buf_append(&s->queue, bytes));
    if (s->write_err != OK || is_full)
        kick(s);
    s->above_low = s->above_low || is_full || pending(s) > s->queue_low;
    if (!s->in_turn)
        rearm(s);
    return OK;
}

size_t stream_room(const struct stream *s)
{
    size_t used = pending(s);
    return may_write(s) && used < s->queue.max ? s->queue.max - used : 0;
}

size_t stream_pending(const struct stream *s)
{
    return pending(s);
}

/*
 * The poll goes on until it tells of something that nobody wants: whoever pauses often resumes
 * before that.
 */
void stream_pause(struct stream *s)
{
    if (!s->paused)
        s->paused_in = s->loop->turns;
    s->paused = true;
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    /* Nobody looked in the turns between. */
    s->may_have = s->may_have || s->paused_in != s->loop->turns;
    if (is_worth_reading(s))
        kick(s);
    else if (!s->in_turn)
        rearm(s);
}

void stream_shutdown(struct stream *s)
{
    s->shut_asked = true;
    kick(s);
}

void stream_close(struct stream *s, uint32_t linger_ms, loop_fn on_closed, void *ctx)
{
    CHECK(!s->closing);
    s->closing = true;
    s->on_closed = on_closed;
    s->closed_ctx = ctx;
    linger_ms = linger_ms ? linger_ms : STREAM_LINGER_MS;
    s->busy_until = loop_now_ms(s->loop) + linger_ms + STREAM_BUSY_LINGER_MS;
    s->raw = s->shut_sent;
    timer_after(&s->deadline, linger_ms);
    kick(s);
}

void stream_abort(struct stream *s, loop_fn on_closed, void *ctx)
{
    CHECK(!s->closing);
    s->closing = true;
    s->on_closed = on_closed;
    s->closed_ctx = ctx;
    destroy(s);
}
