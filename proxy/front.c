#include "proxy/front.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/front_parts.h"

/* So low that on_drain tells when all is sent. */
enum { QUEUE_LOW = 1 };

static const uint32_t phase_ms[FRONT_PHASE_COUNT] = {
    [FRONT_PHASE_HEAD] = FRONT_HEAD_MS,         [FRONT_PHASE_IDLE] = FRONT_IDLE_MS,
    [FRONT_PHASE_BODY] = FRONT_BODY_MS,         [FRONT_PHASE_DIAL] = 2 * FRONT_DIAL_MS,
    [FRONT_PHASE_UPSTREAM] = FRONT_UPSTREAM_MS, [FRONT_PHASE_WRITE] = FRONT_WRITE_MS,
};

/* --- ends --- */

static void maybe_done(struct front *f)
{
    if (f->count > 0)
        return;
    if (f->draining && f->on_drained) {
        loop_fn fn = f->on_drained;
        f->on_drained = NULL;
        fn(f->drained_ctx);
        return;
    }
    if (!f->closing)
        return;
    tls_unref(f->server);
    tls_unref(f->client);
    mem_free(f->host);
    mem_free(f->target);
    loop_fn fn = f->on_closed;
    void *ctx = f->closed_ctx;
    mem_free(f);
    if (fn)
        fn(ctx);
}

static void pace(struct front *f)
{
    if (!f->arrivals)
        return;
    if (f->resting || f->count >= FRONT_CONNECTIONS_MAX)
        arrivals_pause(f->arrivals);
    else
        arrivals_resume(f->arrivals);
}

void front_rest(struct front *f, bool rest)
{
    if (!f)
        return;
    f->resting = rest;
    pace(f);
}

static void on_stream_closed(void *ctx)
{
    struct front_conn *c = ctx;
    struct front *f = c->front;
    if (c->previous)
        c->previous->next = c->next;
    else
        f->first = c->next;
    if (c->next)
        c->next->previous = c->previous;
    else
        f->last = c->previous;
    http_link_fini(&c->link);
    timer_fini(&c->deadline);
    mem_free(c);
    f->count--;
    pace(f);
    maybe_done(f);
}

void front_close_conn(struct front_conn *c)
{
    if (!c->link.stream)
        return;
    front_exchange_end(c);
    timer_clear(&c->deadline);
    stream_close(c->link.stream, 0, on_stream_closed, c);
    c->link.stream = NULL;
}

/* --- deadlines --- */

static enum front_phase phase_of(const struct front_conn *c)
{
    const struct front_exchange *x = &c->exchange;
    const struct http1 *http = &c->link.http;
    if (x->active && !x->opened)
        return FRONT_PHASE_DIAL;
    if (x->active && !x->response_begun)
        return x->request_done ? FRONT_PHASE_UPSTREAM : FRONT_PHASE_BODY;
    if (x->active || http1_output(http).len || stream_pending(c->link.stream) > QUEUE_LOW)
        return FRONT_PHASE_WRITE;
    if (http1_in_head(http))
        return FRONT_PHASE_HEAD;
    if (http1_is_idle(http))
        return c->phase == FRONT_PHASE_HEAD ? FRONT_PHASE_HEAD : FRONT_PHASE_IDLE;
    return FRONT_PHASE_BODY;
}

static void set_deadline(struct front_conn *c)
{
    enum front_phase phase = phase_of(c);
    uint64_t progress = stream_bytes_out(c->link.stream);
    if (phase == c->phase && (phase != FRONT_PHASE_WRITE || progress == c->progress))
        return;
    c->phase = phase;
    c->progress = progress;
    timer_after(&c->deadline, phase_ms[phase]);
}

static void on_deadline(void *ctx)
{
    struct front_conn *c = ctx;
    if (c->phase == FRONT_PHASE_DIAL || c->phase == FRONT_PHASE_UPSTREAM)
        front_exchange_timeout(c);
    else
        front_close_conn(c);
}

/* --- requests --- */

void front_count_status(unsigned status)
{
    char code[16];
    (void)snprintf(code, sizeof code, "%u", status);
    metrics_add(METRIC_HTTP_REQUESTS, 1, code);
}

void front_answer(struct front_conn *c, uint16_t status, const char *sentence, bool close)
{
    AUTO(fields_fini) struct fields f = {0};
    AUTO_FREE char *page = mem_printf("%s\n", sentence);
    struct view body = view_str(page);
    const struct http1_head head = {.status = status,
                                    .fields = &f,
                                    .body = HTTP1_BODY_LENGTH,
                                    .body_len = body.len,
                                    .close = close || c->front->draining};
    struct http1 *http = &c->link.http;
    c->status = status;
    front_count_status(status);
    bool ok = fields_add_str(&f, "Content-Type", "text/plain; charset=utf-8") == OK &&
              fields_add_str(&f, "Cache-Control", "no-store") == OK &&
              fields_add_str(&f, "X-Content-Type-Options", "nosniff") == OK &&
              http1_send_head(http, &head) == OK && http1_send_body(http, body) == OK &&
              http1_send_end(http) == OK;
    if (!ok)
        http1_abort(http);
}

static void draw_id(struct front_conn *c)
{
    uint8_t id[16];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, FRONT_ID_TEXT);
    rng_fill(&c->front->rng, id, sizeof id);
    IGNORE(text_hex(view_of(id, sizeof id), &hex), "fits");
    memcpy(c->request_id, buf_ptr(&hex), hex.len);
}

static void begin_request(struct front_conn *c, struct http1_head *head)
{
    draw_id(c);
    c->status = 0;
    enum front_route route = front_route(head->authority, head->path, c->front->host);
    bool is_get = view_eq_str(head->method, "GET") || view_eq_str(head->method, "HEAD");
    if (log_enabled(CONFIG_LOG_DEBUG) || route == FRONT_FORWARD) {
        char ip[ADDRESS_TEXT_MAX];
        address_ip_text(&c->peer, ip);
        log_at(route == FRONT_FORWARD ? CONFIG_LOG_INFO : CONFIG_LOG_DEBUG, "http request",
               LOG_STR("request-id", c->request_id), LOG_STR("ip", ip),
               LOG_VIEW("method", head->method), LOG_VIEW("host", head->authority),
               LOG_VIEW("path", front_log_path(head->path)));
    }
    if (route == FRONT_NOT_FOUND) {
        front_answer(c, 404, message_text(MESSAGE_FRONT_NOT_FOUND), false);
    } else if (route == FRONT_ALIVE) {
        if (is_get)
            front_answer(c, 200, "OK", false);
        else
            front_answer(c, 405, message_text(MESSAGE_FRONT_METHOD), false);
    } else if (head->body == HTTP1_BODY_LENGTH && head->body_len > FRONT_BODY_MAX) {
        front_answer(c, 413, message_text(MESSAGE_FRONT_TOO_LARGE), true);
    } else if (front_forward_head(head, &c->peer, c->request_id) != OK) {
        front_answer(c, 431, message_text(MESSAGE_FRONT_TOO_LARGE), true);
    } else {
        front_exchange_begin(c, head);
    }
}

static void take_event(struct front_conn *c, const struct http1_event *e)
{
    switch (e->type) {
    case HTTP1_HEAD:
        begin_request(c, e->head);
        break;
    case HTTP1_BODY:
    case HTTP1_END:
        /* Without an exchange it is the rest of a request that has been answered. */
        if (c->exchange.active)
            front_exchange_request(c, e);
        break;
    case HTTP1_FAILED:
        if (c->exchange.active)
            front_exchange_end(c);
        if (e->status)
            front_answer(c, e->status, http1_reason(e->status), true);
        else
            http1_abort(&c->link.http);
        break;
    case HTTP1_CLOSED:
    case HTTP1_INTERIM:
    case HTTP1_TUNNEL:
        http1_abort(&c->link.http);
        break;
    }
}

static bool step_request(struct front_conn *c)
{
    struct http1_event e;
    if (!c->link.stream || (c->exchange.active && !front_exchange_takes(c)))
        return false;
    /* A full output waits for its reader before the next request is looked at. */
    if (!c->exchange.active && http1_output(&c->link.http).len)
        return false;
    if (!http_link_next(&c->link, &e))
        return false;
    take_event(c, &e);
    return true;
}

/* True when what was to be sent is gone, so that the next request may be looked at. */
static bool flush(struct front_conn *c)
{
    bool was_full = http1_output(&c->link.http).len > 0;
    if (c->exchange.active)
        http_link_flush(&c->exchange.link);
    http_link_flush(&c->link);
    return was_full && http1_output(&c->link.http).len == 0;
}

void front_turn(struct front_conn *c)
{
    if (c->in_turn || !c->link.stream)
        return;
    c->in_turn = true;
    bool more = true;
    while (more && c->link.stream) {
        more = step_request(c);
        more = front_exchange_step(c) || more;
        more = flush(c) || more;
    }
    c->in_turn = false;
    if (!c->link.stream)
        return;
    const struct http1 *http = &c->link.http;
    bool idle_end = c->front->draining && http1_is_idle(http);
    if (!c->exchange.active && (http1_should_close(http) || idle_end))
        front_close_conn(c);
    else if (c->opened)
        set_deadline(c);
}

/* --- connections --- */

static void on_open(void *ctx)
{
    struct front_conn *c = ctx;
    c->opened = true;
    metrics_add(METRIC_TLS_HANDSHAKES, 1, "completed");
    c->phase = FRONT_PHASE_HEAD;
    timer_after(&c->deadline, FRONT_HEAD_MS);
}

static void on_read(void *ctx, struct view bytes)
{
    struct front_conn *c = ctx;
    http_link_take(&c->link, bytes);
    front_turn(c);
}

static void on_drain(void *ctx)
{
    front_turn(ctx);
}

static void on_end(void *ctx, enum err why)
{
    struct front_conn *c = ctx;
    if (!c->opened)
        metrics_add(METRIC_TLS_HANDSHAKES, 1, "failed");
    if (why != OK) {
        front_close_conn(c);
        return;
    }
    http_link_end(&c->link);
    front_turn(c);
}

/*
 * Room for a newcomer: the oldest connection without a request, of the newcomer's source when that
 * has many, else of any.
 */
static void shed(struct front *f, const struct address *peer)
{
    struct front_conn *own = NULL;
    struct front_conn *any = NULL;
    size_t owned = 0;
    struct ip newcomer = address_to_ip(peer);
    for (struct front_conn *c = f->last; c; c = c->previous) {
        if (!c->link.stream || c->exchange.active)
            continue;
        struct ip ip = address_to_ip(&c->peer);
        bool same = view_eq(ip_source(&ip), ip_source(&newcomer));
        owned += same;
        if (same && !own)
            own = c;
        if (!any)
            any = c;
    }
    struct front_conn *victim = own && owned > FRONT_CONNECTIONS_MAX / 4 ? own : any;
    if (victim)
        front_close_conn(victim);
}

static void on_accept(void *ctx, int fd, const struct address *peer)
{
    static const struct stream_handler handler = {
        .on_open = on_open, .on_read = on_read, .on_drain = on_drain, .on_end = on_end};
    struct front *f = ctx;
    struct front_conn *c = mem_zalloc(sizeof *c);
    c->front = f;
    c->peer = *peer;
    http_link_init(&c->link, HTTP1_SERVER);
    timer_init(&c->deadline, f->loop, on_deadline, c);
    c->next = f->first;
    if (c->next)
        c->next->previous = c;
    else
        f->last = c;
    f->first = c;
    const struct stream_spec spec = {
        .loop = f->loop, .tls = f->server, .queue_low = QUEUE_LOW, .keepalive = true};
    c->link.stream = stream_new(&spec, fd, &handler, c);
    if (++f->count == FRONT_CONNECTIONS_MAX) {
        pace(f);
        shed(f, peer);
    }
}

struct front *front_open(struct loop *l, int fd, const struct rng *rng,
                         const struct front_settings *settings)
{
    struct front *f = mem_zalloc(sizeof *f);
    f->loop = l;
    f->rng = *rng;
    front_set(f, settings);
    f->arrivals = arrivals_open(l, fd, "address", &settings->arrivals, on_accept, f);
    return f;
}

void front_set(struct front *f, const struct front_settings *settings)
{
    struct tls_context *server = f->server;
    struct tls_context *client = f->client;
    f->server = tls_ref(settings->server);
    f->client = tls_ref(settings->client);
    tls_unref(server);
    tls_unref(client);
    mem_set_str(&f->host, settings->authenticate_host);
    mem_set_str(&f->target, settings->authenticate_target);
    if (f->arrivals)
        arrivals_set(f->arrivals, &settings->arrivals);
}

void front_drain(struct front *f, loop_fn on_drained, void *ctx)
{
    f->draining = true;
    f->on_drained = on_drained;
    f->drained_ctx = ctx;
    arrivals_close(f->arrivals);
    f->arrivals = NULL;
    struct front_conn *next;
    for (struct front_conn *c = f->first; c; c = next) {
        next = c->next;
        if (!c->exchange.active && http1_is_idle(&c->link.http))
            front_close_conn(c);
    }
    maybe_done(f);
}

void front_close(struct front *f, loop_fn on_closed, void *ctx)
{
    if (!f) {
        if (on_closed)
            on_closed(ctx);
        return;
    }
    f->closing = true;
    f->on_drained = NULL;
    f->on_closed = on_closed;
    f->closed_ctx = ctx;
    arrivals_close(f->arrivals);
    f->arrivals = NULL;
    struct front_conn *next;
    for (struct front_conn *c = f->first; c; c = next) {
        next = c->next;
        front_close_conn(c);
    }
    maybe_done(f);
}
