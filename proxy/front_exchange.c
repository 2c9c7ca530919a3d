#include "common/base/check.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "proxy/front_parts.h"

static void fail(struct front_conn *c, uint16_t status, const char *why)
{
    struct front_exchange *x = &c->exchange;
    bool begun = x->response_begun;
    log_warn("authenticate does not answer", LOG_STR("reason", why),
             LOG_STR("request-id", c->request_id));
    front_exchange_end(c);
    if (begun)
        http1_abort(&c->link.http); /* the browser sees that the page is cut */
    else
        front_answer(c, status, message_text(MESSAGE_FRONT_UNAVAILABLE), false);
}

void front_exchange_end(struct front_conn *c)
{
    struct front_exchange *x = &c->exchange;
    if (!x->active)
        return;
    x->active = false;
    dial_cancel(x->dial);
    x->dial = NULL;
    if (x->link.stream)
        stream_close(x->link.stream, 0, NULL, NULL);
    http_link_fini(&x->link);
    x->link.stream = NULL;
}

/* --- the inner connection --- */

static void on_open(void *ctx)
{
    struct front_conn *c = ctx;
    c->exchange.opened = true;
    front_turn(c);
}

static void on_read(void *ctx, struct view bytes)
{
    struct front_conn *c = ctx;
    http_link_take(&c->exchange.link, bytes);
    front_turn(c);
}

static void on_drain(void *ctx)
{
    front_turn(ctx);
}

static void on_end(void *ctx, enum err why)
{
    struct front_conn *c = ctx;
    if (why == OK)
        http_link_end(&c->exchange.link);
    else
        fail(c, 502, stream_why(c->exchange.link.stream));
    front_turn(c);
}

static void connected(struct front_conn *c, int fd)
{
    static const struct stream_handler handler = {
        .on_open = on_open, .on_read = on_read, .on_drain = on_drain, .on_end = on_end};
    struct front_exchange *x = &c->exchange;
    const struct stream_spec spec = {
        .loop = c->front->loop, .tls = c->front->client, .handshake_ms = FRONT_DIAL_MS};
    x->link.stream = stream_new(&spec, fd, &handler, c);
    x->connected = true;
    enum err e = http1_send_head(&x->link.http, &x->request);
    if (e != OK)
        fail(c, 502, err_text(e));
    else
        IGNORE(http1_send_continue(&c->link.http), "the browser's output is empty");
}

static void on_dial(void *ctx, const struct dial_result *r)
{
    struct front_conn *c = ctx;
    c->exchange.dial = NULL;
    if (r->err == OK)
        connected(c, r->fd);
    else
        fail(c, 503, r->why);
    front_turn(c);
}

void front_exchange_begin(struct front_conn *c, const struct http1_head *head)
{
    struct front_exchange *x = &c->exchange;
    *x = (struct front_exchange){.active = true, .request = *head, .body_left = FRONT_BODY_MAX};
    http_link_init(&x->link, HTTP1_CLIENT);
    x->dial = dial_open(c->front->loop, c->front->target, FRONT_DIAL_MS, on_dial, c);
}

/* --- browser to authenticate --- */

bool front_exchange_takes(const struct front_conn *c)
{
    const struct front_exchange *x = &c->exchange;
    return x->connected && !x->request_done && http1_writable(&x->link.http) >= HTTP1_INPUT_MAX;
}

static void send_part(struct front_conn *c, struct view bytes)
{
    struct front_exchange *x = &c->exchange;
    if (bytes.len > x->body_left) {
        bool begun = x->response_begun;
        front_exchange_end(c);
        if (begun)
            http1_abort(&c->link.http);
        else
            front_answer(c, 413, message_text(MESSAGE_FRONT_TOO_LARGE), true);
        return;
    }
    x->body_left -= bytes.len;
    enum err e = http1_send_body(&x->link.http, bytes);
    if (e != OK)
        fail(c, 502, err_text(e));
}

void front_exchange_request(struct front_conn *c, const struct http1_event *e)
{
    struct front_exchange *x = &c->exchange;
    if (e->type == HTTP1_BODY) {
        send_part(c, e->bytes);
    } else if (e->type == HTTP1_END) {
        x->request_done = true;
        enum err err = http1_send_end(&x->link.http);
        if (err != OK)
            fail(c, 502, err_text(err));
    }
}

/* --- authenticate to browser --- */

static void begin_response(struct front_conn *c, struct http1_head *head)
{
    struct front_exchange *x = &c->exchange;
    struct http1_head out = *head;
    fields_remove_hop_by_hop(out.fields);
    /* The inner connection ends with each request, the browser's need not. */
    out.close = c->front->draining;
    x->response_begun = true;
    c->status = head->status;
    front_count_status(head->status);
    enum err e = http1_send_head(&c->link.http, &out);
    if (e != OK)
        fail(c, 502, err_text(e));
}

static void finish_response(struct front_conn *c)
{
    c->exchange.response_done = true;
    enum err e = http1_send_end(&c->link.http);
    if (e != OK)
        fail(c, 502, err_text(e));
    else
        front_exchange_end(c);
}

static void take_response(struct front_conn *c, const struct http1_event *e)
{
    enum err err = OK;
    switch (e->type) {
    case HTTP1_HEAD:
        begin_response(c, e->head);
        break;
    case HTTP1_BODY:
        err = http1_send_body(&c->link.http, e->bytes);
        if (err != OK)
            fail(c, 502, err_text(err));
        break;
    case HTTP1_END:
        finish_response(c);
        break;
    case HTTP1_INTERIM:
        break;
    case HTTP1_TUNNEL:
        fail(c, 502, "it switched protocols");
        break;
    case HTTP1_CLOSED:
        fail(c, 502, "it closed the connection");
        break;
    case HTTP1_FAILED:
        fail(c, 502, e->text);
        break;
    }
}

bool front_exchange_step(struct front_conn *c)
{
    struct front_exchange *x = &c->exchange;
    struct http1_event e;
    if (!x->active || !x->connected ||
        (x->response_begun && http1_writable(&c->link.http) < HTTP1_INPUT_MAX))
        return false;
    if (!http_link_next(&x->link, &e))
        return false;
    take_response(c, &e);
    return true;
}

void front_exchange_timeout(struct front_conn *c)
{
    fail(c, 504, "it took too long");
    front_turn(c);
}
