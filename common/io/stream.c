#include "common/io/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/timer.h"
#include "common/io/tls_session.h"

enum {
    READS_PER_TURN = 8, /* so that one busy peer does not starve the others */
    WRITE_STEP = 65536,
    WHY_MAX = 200,
};

struct stream {
    struct loop *loop;
    uv_poll_t poll;
    int fd;
    int mask; /* what the poll waits for */
    struct timer deadline;
    struct timer kick;
    struct tls_session *tls;
    struct stream_handler handler;
    void *ctx;
    struct buf queue;
    size_t queue_low;
    struct address peer;
    struct address local;
    uint64_t bytes_in;
    uint64_t bytes_out;
    enum tls_want read_want; /* TLS: what reading and writing wait for */
    enum tls_want write_want;
    bool opened;
    bool told_open;
    bool above_low;
    bool paused;
    bool shut_asked;
    bool shut_sent;
    bool read_ended;
    bool told_end;
    bool told_failure;
    bool in_turn;
    bool closing; /* the owner is gone */
    bool raw;     /* closing after a TLS failure: what comes is dropped as it is */
    bool dead;    /* waits for libuv to let go of the handle */
    enum err write_err;
    enum err failed; /* OK while the connection is usable */
    loop_fn on_closed;
    void *closed_ctx;
    char why[WHY_MAX];
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
    timer_clear(&s->deadline);
}

static enum err errno_err(int number)
{
    return number == ECONNRESET || number == EPIPE ? ERR_CLOSED
           : number == ETIMEDOUT                   ? ERR_TIMEOUT
                                                   : ERR_IO;
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
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
    timer_fini(&s->deadline);
    timer_fini(&s->kick);
    (void)uv_poll_stop(&s->poll);
    uv_close((uv_handle_t *)&s->poll, on_poll_closed);
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
    s->read_want = TLS_WANT_READ;
    if (!s->closing)
        timer_clear(&s->deadline);
}

/* OK and how much was sent, ERR_MORE, or a failure with its text in s->why. */
static enum err send_some(struct stream *s, struct view bytes, size_t *out_n)
{
    if (s->tls) {
        enum err e = tls_session_write(s->tls, view_take(bytes, WRITE_STEP), out_n);
        s->write_want = e == ERR_MORE ? tls_session_want(s->tls) : TLS_WANT_WRITE;
        if (e != OK && e != ERR_MORE)
            say(s, tls_session_why(s->tls));
        return e;
    }
    ssize_t n = send(s->fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
        *out_n = (size_t)n;
        return OK;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return ERR_MORE;
    int number = errno;
    say(s, strerror(number));
    return errno_err(number);
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
}

static void write_step(struct stream *s)
{
    if (s->dead)
        return;
    while (s->opened && s->failed == OK && s->write_err == OK && s->queue.len > 0) {
        size_t n = 0;
        enum err e = send_some(s, buf_view(&s->queue), &n);
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

/* OK with 0 bytes is the peer's end. */
static enum err receive(struct stream *s, size_t *out_n)
{
    if (s->tls && !s->raw) {
        enum err e = tls_session_read(s->tls, s->loop->scratch, LOOP_SCRATCH, out_n);
        s->read_want = e == ERR_MORE ? tls_session_want(s->tls) : TLS_WANT_READ;
        if (e != OK && e != ERR_MORE)
            say(s, tls_session_why(s->tls));
        return e;
    }
    ssize_t n = recv(s->fd, s->loop->scratch, LOOP_SCRATCH, MSG_DONTWAIT);
    if (n >= 0) {
        *out_n = (size_t)n;
        return OK;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
        return ERR_MORE;
    int number = errno;
    say(s, strerror(number));
    return errno_err(number);
}

static bool may_read(const struct stream *s)
{
    bool usable = (s->opened && s->failed == OK) || s->raw;
    return usable && !s->dead && !s->read_ended && (!s->paused || s->closing);
}

static void read_step(struct stream *s)
{
    for (int i = 0; i < READS_PER_TURN && may_read(s); i++) {
        size_t n = 0;
        enum err e = receive(s, &n);
        if (e == ERR_MORE) {
            if (s->write_err != OK)
                fail(s, s->write_err, "");
            return;
        }
        if (e != OK && !s->raw) {
            fail(s, e, "");
            return;
        }
        if (n == 0) {
            s->read_ended = true;
            return;
        }
        if (s->closing)
            continue;
        s->bytes_in += n;
        if (s->handler.on_read)
            s->handler.on_read(s->ctx, view_of(s->loop->scratch, n));
    }
    if (s->tls && !s->raw && may_read(s) && tls_session_has_pending(s->tls))
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

static void tell_drain(struct stream *s)
{
    if (!s->above_low || s->queue.len > s->queue_low || s->closing || s->failed != OK ||
        s->write_err != OK)
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

static void on_poll(uv_poll_t *poll, int status, int events);

static int wanted(const struct stream *s)
{
    if (s->failed != OK)
        return s->raw && !s->read_ended ? UV_READABLE : 0;
    if (!s->opened)
        return s->read_want == TLS_WANT_READ    ? UV_READABLE
               : s->read_want == TLS_WANT_WRITE ? UV_WRITABLE
                                                : 0;
    int mask = 0;
    if (may_read(s))
        mask |= s->read_want == TLS_WANT_WRITE ? UV_WRITABLE : UV_READABLE;
    bool to_write = s->queue.len > 0 || ((s->shut_asked || s->closing) && !s->shut_sent);
    if (to_write && s->write_err == OK)
        mask |= s->write_want == TLS_WANT_READ ? UV_READABLE : UV_WRITABLE;
    return mask;
}

static void rearm(struct stream *s)
{
    int mask = wanted(s);
    if (mask == s->mask)
        return;
    s->mask = mask;
    if (mask == 0)
        (void)uv_poll_stop(&s->poll);
    else
        CHECK(uv_poll_start(&s->poll, mask, on_poll) == 0);
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
    /* What the callbacks have written. */
    write_step(s);
    drain_after_alert(s);
    if (s->closing && is_done(s))
        destroy(s);
    else
        rearm(s);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct stream *s = poll->data;
    /* libuv stops on EPOLLERR; what it was, reading or writing finds out. */
    if (status < 0)
        s->mask = 0;
    turn(s);
}

static void on_kick(void *ctx)
{
    turn(ctx);
}

static void on_deadline(void *ctx)
{
    struct stream *s = ctx;
    if (s->closing) {
        destroy(s);
        return;
    }
    fail(s, ERR_TIMEOUT, "the TLS handshake took too long");
    turn(s);
}

/* --- the owner's side --- */

static void set_socket_options(int fd, bool keepalive)
{
    int on = 1;
    int idle = 60;
    int interval = 10;
    int count = 6;
    /* Not on a UNIX socket, which is fine. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!keepalive)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}

static struct address name_of(int fd, int (*get)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    memset(&sa, 0, sizeof sa);
    if (get(fd, (struct sockaddr *)&sa, &len) != 0)
        return (struct address){0};
    return address_of_sockaddr((const struct sockaddr *)&sa);
}

static void start_tls(struct stream *s, const struct stream_spec *spec)
{
    const struct tls_session_spec tls = {.context = spec->tls,
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
    s->read_want = TLS_WANT_READ;
    s->write_want = TLS_WANT_WRITE;
    buf_init(&s->queue, max);
    set_socket_options(fd, spec->keepalive);
    s->peer = name_of(fd, getpeername);
    s->local = name_of(fd, getsockname);
    timer_init(&s->deadline, s->loop, on_deadline, s);
    timer_init(&s->kick, s->loop, on_kick, s);
    CHECK(uv_poll_init(&s->loop->uv, &s->poll, fd) == 0);
    s->poll.data = s;
    if (spec->tls)
        start_tls(s, spec);
    kick(s);
    return s;
}

static bool may_write(const struct stream *s)
{
    return s->failed == OK && s->write_err == OK && !s->shut_asked && !s->closing;
}

enum err stream_write(struct stream *s, struct view bytes)
{
    if (!may_write(s))
        return ERR_CLOSED;
    if (bytes.len > buf_room(&s->queue))
        return ERR_LIMIT;
    if (!s->tls && s->opened && s->queue.len == 0 && bytes.len > 0) {
        size_t n = 0;
        enum err e = send_some(s, bytes, &n);
        if (e != OK && e != ERR_MORE) {
            stop_writing(s, e);
            kick(s);
            return OK;
        }
        s->bytes_out += n;
        bytes = view_skip(bytes, n);
    }
    TRY(buf_append(&s->queue, bytes));
    if (s->tls)
        write_step(s);
    if (s->write_err != OK)
        kick(s);
    s->above_low = s->above_low || s->queue.len > s->queue_low;
    if (!s->in_turn)
        rearm(s);
    return OK;
}

size_t stream_room(const struct stream *s)
{
    return may_write(s) ? buf_room(&s->queue) : 0;
}

size_t stream_pending(const struct stream *s)
{
    return s->queue.len;
}

void stream_pause(struct stream *s)
{
    s->paused = true;
    if (!s->in_turn)
        rearm(s);
}

void stream_resume(struct stream *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    kick(s);
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
    timer_after(&s->deadline, linger_ms ? linger_ms : STREAM_LINGER_MS);
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

const struct address *stream_peer(const struct stream *s)
{
    return &s->peer;
}

const struct address *stream_local(const struct stream *s)
{
    return &s->local;
}

const char *stream_peer_uri(const struct stream *s)
{
    return s->tls ? tls_session_peer_uri(s->tls) : NULL;
}

const char *stream_server_name(const struct stream *s)
{
    return s->tls ? tls_session_server_name(s->tls) : NULL;
}

const char *stream_why(const struct stream *s)
{
    return s->why;
}

uint64_t stream_bytes_in(const struct stream *s)
{
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    return s->bytes_out;
}

struct loop *stream_loop(const struct stream *s)
{
    return s->loop;
}
