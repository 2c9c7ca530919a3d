#include "cli/mux.h"

#include <string.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/h2.h"
#include "common/http/masque.h"

enum { MUX_REST_MAX = 1 << 20 };

struct mux {
    struct gateway *gateway; /* NULL: it takes no new links */
    struct conn *conn;
    struct h2 *h2;        /* NULL before the connection is there */
    struct link *waiting; /* in order */
    size_t links;         /* with a stream */
    struct buf rest;      /* read, and not yet taken by h2 */
    struct timer kick;
    struct loop *loop;
    bool busy;
    bool failed;
    bool resumed; /* a link that was paused and holds bytes is not any more */
};

static void turn(void *ctx);

static void mux_free(struct mux *m)
{
    timer_fini(&m->kick);
    buf_fini(&m->rest);
    h2_free(m->h2);
    conn_close(m->conn);
    mem_free(m);
}

/* New links go elsewhere. */
static void retire(struct mux *m)
{
    if (m->gateway && m->gateway->mux == m)
        m->gateway->mux = NULL;
    m->gateway = NULL;
}

static struct link *take_waiting(struct mux *m)
{
    struct link *l = m->waiting;
    m->waiting = l->next_waiting;
    l->next_waiting = NULL;
    l->mux = NULL;
    return l;
}

/* --- requests --- */

static enum err head_of(const struct link *l, struct buf *path, struct fields *fields,
                        struct h2_head *out)
{
    struct authority target;
    TRY(link_fields(l, NULL, fields));
    *out = (struct h2_head){
        .method = VIEW("CONNECT"), .authority = view_str(l->target), .fields = fields};
    if (l->kind == LINK_TCP)
        return OK;
    out->scheme = VIEW("https");
    out->authority = view_str(l->gateway->at.authority);
    if (l->kind == LINK_GET) {
        out->method = VIEW("GET");
        out->path = view_str(l->target);
        out->end = true;
        return OK;
    }
    TRY(authority_parse(view_str(l->target), &target));
    TRY(masque_write(&target, path));
    out->path = buf_view(path);
    out->protocol = VIEW("connect-udp");
    return fields_add_str(fields, "capsule-protocol", "?1");
}

/* ERR_LIMIT, ERR_CLOSED: this connection takes no more. ERR_MORE: its SETTINGS have not come. */
static enum err start(struct mux *m, struct link *l)
{
    AUTO(buf_fini) struct buf path;
    AUTO(fields_fini) struct fields fields = {0};
    struct h2_head head;
    buf_init(&path, URL_MAX);
    if (l->kind == LINK_UDP && !h2_is_ready(m->h2))
        return ERR_MORE;
    TRY(head_of(l, &path, &fields, &head));
    TRY(h2_send_request(m->h2, &head, &l->stream));
    h2_set_owner(m->h2, l->stream, l);
    m->links++;
    return OK;
}

/* Whoever cannot be a stream here becomes one elsewhere. */
static void start_waiting(struct mux *m)
{
    while (m->waiting) {
        struct link *l = m->waiting;
        enum err e = start(m, l);
        if (e == ERR_MORE)
            return;
        (void)take_waiting(m);
        if (e == OK) {
            l->mux = m;
        } else if (e == ERR_LIMIT || e == ERR_CLOSED) {
            retire(m);
            link_dial(l);
        } else if (e == ERR_UNSUPPORTED) {
            link_dial_http1(l);
        } else {
            link_refused(l, e, err_text(e));
        }
    }
}

/* --- events --- */

static void take_head(struct link *l, const struct h2_head *head)
{
    l->status = head->status;
    link_set_id(l, fields_get(head->fields, "X-Postern-Connection"));
    if (l->kind != LINK_GET && head->status / 100 == 2)
        link_opened(l);
}

static void take_body(struct mux *m, struct link *l, struct view bytes)
{
    uint32_t stream = l->stream;
    if (l->is_open && (l->paused || l->held.len)) {
        /* At most a stream's window, which is not given back before. */
        CHECK(buf_append(&l->held, bytes) == OK);
        return;
    }
    if (l->is_open)
        l->handler->on_read(l->ctx, bytes);
    else
        IGNORE(buf_append(&l->body, bytes), "a longer one is cut");
    h2_consume(m->h2, stream, bytes.len);
}

static void take_end(struct link *l)
{
    if (!l->is_open) {
        link_refused(l, OK, "");
    } else if (l->held.len) {
        l->end_waits = true;
    } else {
        l->ended = true;
        l->handler->on_end(l->ctx, OK);
    }
}

static void take_reset(struct mux *m, struct link *l)
{
    m->links--;
    l->mux = NULL;
    if (!l->is_open)
        link_refused(l, ERR_CLOSED, "the gateway has broken off the tunnel");
    else
        l->handler->on_end(l->ctx, ERR_CLOSED);
}

static void handle(struct mux *m, const struct h2_event *e)
{
    struct link *l = e->owner;
    switch (e->type) {
    case H2_GOAWAY:
        retire(m);
        return;
    case H2_FAILED:
        retire(m);
        m->failed = true;
        return;
    case H2_HEAD:
        if (l)
            take_head(l, e->head);
        return;
    case H2_BODY:
        if (l)
            take_body(m, l, e->bytes);
        else
            h2_consume(m->h2, e->stream, e->bytes.len);
        return;
    case H2_END:
        if (l)
            take_end(l);
        return;
    case H2_RESET:
        if (l)
            take_reset(m, l);
        return;
    case H2_DRAIN:
        if (l && l->is_open)
            l->handler->on_drain(l->ctx);
        return;
    }
}

static bool feed_rest(struct mux *m)
{
    if (m->rest.len == 0)
        return false;
    size_t n = h2_feed(m->h2, buf_view(&m->rest), loop_now_ms(m->loop));
    buf_consume(&m->rest, n);
    if (m->rest.len == 0)
        stream_resume(conn_stream(m->conn));
    return n > 0;
}

/* What was held for a link that is not paused any more. */
static void deliver(void *ctx, uint32_t stream, void *owner)
{
    struct mux *m = ctx;
    struct link *l = owner;
    if (l->paused || l->held.len == 0)
        return;
    AUTO(buf_fini) struct buf held = l->held;
    buf_init(&l->held, held.max);
    l->handler->on_read(l->ctx, buf_view(&held));
    h2_consume(m->h2, stream, held.len);
    if (h2_owner(m->h2, stream) == l && l->end_waits && l->held.len == 0) {
        l->end_waits = false;
        take_end(l);
    }
}

/* True when something was sent. */
static bool flush(struct mux *m)
{
    bool any = false;
    for (;;) {
        struct stream *s = conn_stream(m->conn);
        struct view now = view_take(h2_output(m->h2), stream_room(s));
        if (now.len == 0 || stream_write(s, now) != OK)
            return any;
        h2_sent(m->h2, now.len);
        any = true;
    }
}

static void finish(struct mux *m)
{
    retire(m);
    while (m->waiting)
        link_refused(take_waiting(m), ERR_CLOSED, "the gateway closed the connection");
    mux_free(m);
}

/* What comes of a turn may call for another: it ends when nothing is due any more. */
static void turn(void *ctx)
{
    struct mux *m = ctx;
    struct h2_event e;
    if (m->busy || !m->h2)
        return;
    m->busy = true;
    bool more = true;
    while (more) {
        start_waiting(m);
        if (m->resumed) {
            m->resumed = false;
            h2_each(m->h2, deliver, m);
        }
        more = false;
        while (h2_next(m->h2, &e)) {
            handle(m, &e);
            more = true;
        }
        more = flush(m) || more;
        more = feed_rest(m) || more;
    }
    m->busy = false;
    bool unused = !m->gateway && m->links == 0 && !m->waiting && h2_output(m->h2).len == 0;
    if (m->failed || h2_should_close(m->h2) || unused)
        finish(m);
}

/* A call of an owner: events that it makes due come later. */
static void later(struct mux *m)
{
    if (!m->busy)
        timer_after(&m->kick, 0);
}

/* --- the connection --- */

static void on_read(void *ctx, struct view bytes)
{
    struct mux *m = ctx;
    size_t n = m->rest.len ? 0 : h2_feed(m->h2, bytes, loop_now_ms(m->loop));
    if (n < bytes.len) {
        CHECK(buf_append(&m->rest, view_skip(bytes, n)) == OK);
        stream_pause(conn_stream(m->conn));
    }
    turn(m);
}

static void on_drain(void *ctx)
{
    turn(ctx);
}

static void on_end(void *ctx, enum err e)
{
    struct mux *m = ctx;
    (void)e;
    retire(m);
    h2_feed_end(m->h2);
    m->failed = true;
    turn(m);
}

static const struct stream_handler events = {
    .on_read = on_read, .on_drain = on_drain, .on_end = on_end};

/* The gateway speaks HTTP/1.1 alone. */
static void hand_over(struct mux *m)
{
    struct conn *conn = m->conn;
    m->conn = NULL;
    m->gateway->http1_only = true;
    retire(m);
    while (m->waiting) {
        struct link *l = take_waiting(m);
        if (conn)
            link_use_http1(l, conn);
        else
            link_dial(l);
        conn = NULL;
    }
    conn_close(conn);
    mux_free(m);
}

static void on_ready(void *ctx, enum err e, const char *why)
{
    struct mux *m = ctx;
    if (e != OK) {
        m->conn = NULL;
        retire(m);
        while (m->waiting)
            link_refused(take_waiting(m), e, why);
        mux_free(m);
    } else if (!conn_is_h2(m->conn)) {
        hand_over(m);
    } else {
        conn_use(m->conn, &events, m);
        m->h2 = h2_new(H2_CLIENT, loop_now_ms(m->loop));
        turn(m);
    }
}

static struct mux *mux_new(struct gateway *g)
{
    struct mux *m = mem_zalloc(sizeof *m);
    m->gateway = g;
    m->loop = g->loop;
    buf_init(&m->rest, MUX_REST_MAX);
    timer_init(&m->kick, g->loop, turn, m);
    m->conn = conn_open(g, CONN_ANY, on_ready, m);
    return m;
}

void mux_add(struct gateway *g, struct link *l)
{
    if (!g->mux)
        g->mux = mux_new(g);
    struct mux *m = g->mux;
    struct link **last = &m->waiting;
    while (*last)
        last = &(*last)->next_waiting;
    *last = l;
    l->mux = m;
    buf_init(&l->held, H2_WINDOW + LINK_BODY_MAX);
    later(m);
}

void mux_remove(struct link *l)
{
    struct mux *m = l->mux;
    for (struct link **at = &m->waiting; *at; at = &(*at)->next_waiting) {
        if (*at == l) {
            *at = l->next_waiting;
            break;
        }
    }
    l->mux = NULL;
    if (!l->stream)
        return;
    m->links--;
    h2_set_owner(m->h2, l->stream, NULL);
    IGNORE(h2_send_end(m->h2, l->stream), "it may have ended before");
    h2_reset(m->h2, l->stream, 0);
    later(m);
}

enum err mux_write(struct link *l, struct view bytes)
{
    TRY(h2_send_body(l->mux->h2, l->stream, bytes));
    later(l->mux);
    return OK;
}

size_t mux_room(const struct link *l)
{
    return h2_writable(l->mux->h2, l->stream);
}

size_t mux_pending(const struct link *l)
{
    return h2_pending(l->mux->h2, l->stream);
}

void mux_resume(struct link *l)
{
    l->paused = false;
    if (l->held.len == 0)
        return;
    l->mux->resumed = true;
    later(l->mux);
}

void mux_shutdown(struct link *l)
{
    IGNORE(h2_send_end(l->mux->h2, l->stream), "a stream that is gone has said so");
    later(l->mux);
}

void mux_close(struct mux *m)
{
    if (!m)
        return;
    retire(m);
    if (m->h2) {
        h2_goaway(m->h2);
        (void)flush(m);
    }
    mux_free(m);
}
