#include "common/io/httpd.h"

#include <stdio.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/http/http1.h"
#include "common/io/http_link.h"
#include "common/io/listen.h"
#include "common/io/stream.h"
#include "common/io/timer.h"

/* So low that on_drain tells when all is sent. */
enum { QUEUE_LOW = 1 };

enum phase {
    PHASE_IDLE,    /* between two requests */
    PHASE_HEAD,    /* a request was begun, or none has come yet */
    PHASE_BODY,    /* its body is coming */
    PHASE_HANDLER, /* the answer is awaited; the handler's own time */
    PHASE_WRITE,   /* the answer is going out */
    PHASE_COUNT,
};

static const uint32_t phase_ms[PHASE_COUNT] = {
    [PHASE_IDLE] = HTTPD_IDLE_MS, [PHASE_HEAD] = HTTPD_HEAD_MS,   [PHASE_BODY] = HTTPD_BODY_MS,
    [PHASE_HANDLER] = 0,          [PHASE_WRITE] = HTTPD_WRITE_MS,
};

struct httpd_reply {
    struct conn *conn;
};

/* Lives until its stream is closed and its reply was sent. */
struct conn {
    struct httpd *httpd;
    struct conn *next;
    struct conn *previous;
    struct http_link link;
    struct timer deadline;
    enum phase phase;
    size_t written; /* what was pending when the deadline was set */
    struct buf body;
    struct buf out; /* body of the answer that the engine has not taken yet */
    struct httpd_request request;
    struct httpd_reply reply;
    char *peer_uri;
    struct address peer;
    bool waits;   /* for the handler */
    bool sending; /* out */
    bool close;   /* after the answer */
    bool in_turn;
    bool stream_gone;
};

struct httpd {
    struct httpd_spec spec;
    struct listener *listener;
    struct tls_context *tls;
    struct conn *first;
    size_t streams; /* connections that have a socket */
    size_t conns;
    struct timer grace;
    bool closing;
    bool told_closed;
    loop_fn on_closed;
    void *closed_ctx;
};

static void turn(struct conn *c);

/* --- ends --- */

static void maybe_free(struct httpd *h)
{
    if (!h->closing || h->streams > 0)
        return;
    if (!h->told_closed) {
        h->told_closed = true;
        if (h->on_closed)
            h->on_closed(h->closed_ctx);
    }
    if (h->conns > 0)
        return;
    timer_fini(&h->grace);
    tls_unref(h->tls);
    mem_free(h);
}

static void maybe_free_conn(struct conn *c)
{
    if (!c->stream_gone || c->waits)
        return;
    struct httpd *h = c->httpd;
    if (c->previous)
        c->previous->next = c->next;
    else
        h->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    h->conns--;
    timer_fini(&c->deadline);
    http_link_fini(&c->link);
    buf_wipe(&c->body);
    buf_wipe(&c->out);
    mem_free(c->peer_uri);
    mem_free(c);
}

static void on_stream_closed(void *ctx)
{
    struct conn *c = ctx;
    struct httpd *h = c->httpd;
    c->stream_gone = true;
    if (h->streams-- == h->spec.connections_max && h->listener)
        listener_resume(h->listener);
    maybe_free_conn(c);
    maybe_free(h);
}

static void close_conn(struct conn *c)
{
    if (!c->link.stream)
        return;
    timer_clear(&c->deadline);
    stream_close(c->link.stream, 0, on_stream_closed, c);
    c->link.stream = NULL;
}

/* --- deadlines --- */

static void set_phase(struct conn *c, enum phase phase)
{
    size_t written = http1_output(&c->link.http).len + c->out.len +
                     (c->link.stream ? stream_pending(c->link.stream) : 0);
    /* A write that goes on is fine, one that stands still is not. */
    bool progress = phase == PHASE_WRITE && written != c->written;
    if (phase == c->phase && !progress)
        return;
    c->phase = phase;
    c->written = written;
    if (phase_ms[phase])
        timer_after(&c->deadline, phase_ms[phase]);
    else
        timer_clear(&c->deadline);
}

static enum phase phase_of(const struct conn *c)
{
    if (c->waits)
        return PHASE_HANDLER;
    if (c->sending || http1_output(&c->link.http).len ||
        (c->link.stream && stream_pending(c->link.stream) > QUEUE_LOW))
        return PHASE_WRITE;
    if (http1_in_head(&c->link.http))
        return PHASE_HEAD;
    if (http1_is_idle(&c->link.http))
        return c->phase == PHASE_HEAD ? PHASE_HEAD : PHASE_IDLE;
    return PHASE_BODY;
}

static void on_deadline(void *ctx)
{
    close_conn(ctx);
}

/* --- answers --- */

static enum err add_date(struct fields *f)
{
    char text[64];
    struct tm tm;
    time_t now = (time_t)(loop_wall_ms() / 1000);
    (void)gmtime_r(&now, &tm);
    /* RFC 9110 §5.6.7; the C locale of a daemon has these names. */
    if (strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
        return ERR_INTERNAL;
    return fields_add_str(f, "Date", text);
}

static enum err begin_answer(struct conn *c, unsigned status, const struct fields *fields,
                             struct view body)
{
    AUTO(fields_fini) struct fields f = {0};
    if (fields)
        TRY(fields_append(&f, fields));
    TRY(add_date(&f));
    const struct http1_head head = {.status = (uint16_t)status,
                                    .fields = &f,
                                    .body = HTTP1_BODY_LENGTH,
                                    .body_len = body.len,
                                    .close = c->close || c->httpd->closing};
    buf_clear(&c->out);
    TRY(buf_append(&c->out, body));
    return http1_send_head(&c->link.http, &head);
}

static void answer(struct conn *c, unsigned status, const struct fields *fields, struct view body)
{
    if (begin_answer(c, status, fields, body) == OK)
        c->sending = true;
    else
        http1_abort(&c->link.http);
}

static void answer_error(struct conn *c, uint16_t status)
{
    AUTO(fields_fini) struct fields f = {0};
    char text[80];
    int n = snprintf(text, sizeof text, "%u %s\n", status, http1_reason(status));
    c->close = true;
    if (fields_add_str(&f, "Content-Type", "text/plain; charset=utf-8") == OK)
        answer(c, status, &f, view_of(text, (size_t)n));
}

static void send_body(struct conn *c)
{
    while (c->sending) {
        struct view part = view_take(buf_view(&c->out), http1_writable(&c->link.http));
        if (part.len && http1_send_body(&c->link.http, part) != OK) {
            http1_abort(&c->link.http);
            c->sending = false;
            return;
        }
        buf_consume(&c->out, part.len);
        if (c->out.len == 0) {
            c->sending = false;
            buf_trim(&c->out);
            IGNORE(http1_send_end(&c->link.http), "the engine closes then");
        }
        (void)http_link_flush(&c->link);
        if (part.len == 0)
            return;
    }
}

void httpd_reply_send(struct httpd_reply *reply, unsigned status, const struct fields *fields,
                      struct view body)
{
    struct conn *c = reply->conn;
    struct httpd *h = c->httpd;
    CHECK(c->waits);
    c->waits = false;
    if (c->link.stream) {
        if (body.len > HTTPD_RESPONSE_MAX)
            answer_error(c, 500);
        else
            answer(c, status, fields, body);
        turn(c);
    }
    maybe_free_conn(c);
    maybe_free(h);
}

const struct httpd_request *httpd_reply_request(const struct httpd_reply *reply)
{
    return &reply->conn->request;
}

/* --- requests --- */

static void on_head(struct conn *c, const struct http1_head *head)
{
    buf_clear(&c->body);
    c->close = head->close;
    c->request = (struct httpd_request){.method = head->method,
                                        .target = head->path,
                                        .fields = head->fields,
                                        .peer = c->peer,
                                        .peer_uri = c->peer_uri};
    if (head->body == HTTP1_BODY_LENGTH && head->body_len > c->body.max)
        answer_error(c, 413);
    else
        IGNORE(http1_send_continue(&c->link.http), "the output is empty");
}

static void on_request(struct conn *c)
{
    c->request.body = buf_view(&c->body);
    c->waits = true;
    set_phase(c, PHASE_HANDLER);
    c->httpd->spec.on_request(c->httpd->spec.ctx, &c->request, &c->reply);
}

static void handle(struct conn *c, const struct http1_event *e)
{
    switch (e->type) {
    case HTTP1_HEAD:
        on_head(c, e->head);
        break;
    case HTTP1_BODY:
        if (!c->sending && buf_append(&c->body, e->bytes) != OK)
            answer_error(c, 413);
        break;
    case HTTP1_END:
        if (!c->sending)
            on_request(c);
        break;
    case HTTP1_FAILED:
        if (e->status)
            answer_error(c, e->status);
        break;
    case HTTP1_CLOSED:
    case HTTP1_INTERIM: /* a server sees none */
    case HTTP1_TUNNEL:  /* nothing that begins one is answered with 2xx or 101 */
        http1_abort(&c->link.http);
        break;
    }
}

static void turn(struct conn *c)
{
    if (c->in_turn || !c->link.stream)
        return;
    c->in_turn = true;
    struct http1_event e;
    send_body(c);
    while (c->link.stream && !c->waits && !c->sending && http_link_next(&c->link, &e)) {
        handle(c, &e);
        send_body(c);
    }
    c->in_turn = false;
    if (!c->link.stream)
        return;
    (void)http_link_flush(&c->link);
    bool over = http1_should_close(&c->link.http) ||
                (c->httpd->closing && http1_is_idle(&c->link.http) && !c->waits);
    if (over && !c->sending && !c->waits && http1_output(&c->link.http).len == 0)
        close_conn(c);
    else
        set_phase(c, phase_of(c));
}

/* --- connections --- */

static void on_open(void *ctx)
{
    struct conn *c = ctx;
    const char *uri = stream_peer_uri(c->link.stream);
    if (uri)
        c->peer_uri = mem_strdup(uri);
    c->phase = PHASE_HEAD;
    timer_after(&c->deadline, HTTPD_HEAD_MS);
}

static void on_read(void *ctx, struct view bytes)
{
    struct conn *c = ctx;
    http_link_take(&c->link, bytes);
    turn(c);
}

static void on_drain(void *ctx)
{
    turn(ctx);
}

static void on_end(void *ctx, enum err why)
{
    struct conn *c = ctx;
    if (why != OK) {
        close_conn(c);
        return;
    }
    http_link_end(&c->link);
    turn(c);
}

static void on_accept(void *ctx, int fd, const struct address *peer)
{
    static const struct stream_handler handler = {
        .on_open = on_open, .on_read = on_read, .on_drain = on_drain, .on_end = on_end};
    struct httpd *h = ctx;
    struct conn *c = mem_zalloc(sizeof *c);
    c->httpd = h;
    c->peer = *peer;
    c->reply.conn = c;
    c->phase = PHASE_COUNT;
    buf_init(&c->body, h->spec.body_max);
    buf_init(&c->out, HTTPD_RESPONSE_MAX);
    http_link_init(&c->link, HTTP1_SERVER);
    timer_init(&c->deadline, h->spec.loop, on_deadline, c);
    c->next = h->first;
    if (c->next)
        c->next->previous = c;
    h->first = c;
    h->conns++;
    if (++h->streams == h->spec.connections_max)
        listener_pause(h->listener);
    const struct stream_spec spec = {.loop = h->spec.loop, .tls = h->tls, .queue_low = QUEUE_LOW};
    c->link.stream = stream_new(&spec, fd, &handler, c);
}

struct httpd *httpd_open(const struct httpd_spec *spec, int fd)
{
    struct httpd *h = mem_zalloc(sizeof *h);
    h->spec = *spec;
    if (!h->spec.body_max)
        h->spec.body_max = HTTPD_BODY_MAX;
    if (!h->spec.connections_max)
        h->spec.connections_max = HTTPD_CONNECTIONS_MAX;
    httpd_set_tls(h, spec->tls);
    h->listener = listener_open(spec->loop, fd, on_accept, h);
    return h;
}

void httpd_set_tls(struct httpd *h, struct tls_context *tls)
{
    struct tls_context *old = h->tls;
    h->tls = tls ? tls_ref(tls) : NULL;
    tls_unref(old);
}

static void close_all(struct httpd *h, bool idle_only)
{
    struct conn *next;
    for (struct conn *c = h->first; c; c = next) {
        next = c->next;
        if (!idle_only || (!c->waits && !c->sending && http1_is_idle(&c->link.http)))
            close_conn(c);
    }
}

static void on_grace_over(void *ctx)
{
    close_all(ctx, false);
}

void httpd_close(struct httpd *h, uint32_t grace_ms, loop_fn on_closed, void *ctx)
{
    if (!h)
        return;
    h->closing = true;
    h->on_closed = on_closed;
    h->closed_ctx = ctx;
    listener_close(h->listener);
    h->listener = NULL;
    timer_init(&h->grace, h->spec.loop, on_grace_over, h);
    timer_after(&h->grace, grace_ms);
    close_all(h, true);
    maybe_free(h);
}
