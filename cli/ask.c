/* One question to a gateway, over HTTP/1.1 on a connection of its own. */
#include <string.h>

#include "cli/gateway.h"
#include "common/base/mem.h"
#include "common/daemon/daemon.h"
#include "common/io/http_link.h"
#include "common/io/timer.h"

struct ask {
    struct gateway *gateway;
    struct conn *conn;
    struct http_link http;
    struct timer deadline;
    struct buf request_body;
    struct buf body;
    unsigned status;
    bool done;
    ask_fn on_done;
    void *ctx;
    char *method;
    char *path;
    bool with_token;
};

void ask_cancel(struct ask *a)
{
    if (!a)
        return;
    conn_close(a->conn);
    http_link_fini(&a->http);
    timer_fini(&a->deadline);
    buf_wipe(&a->request_body);
    buf_wipe(&a->body);
    mem_free(a->method);
    mem_free(a->path);
    mem_free(a);
}

static void finish(struct ask *a, enum err e, const char *why)
{
    const struct ask_answer answer = {
        .err = e, .why = why, .status = a->status, .body = buf_view(&a->body)};
    a->on_done(a->ctx, &answer);
    ask_cancel(a);
}

static bool take_events(struct ask *a)
{
    struct http1_event e;
    while (http_link_next(&a->http, &e)) {
        switch (e.type) {
        case HTTP1_HEAD:
            a->status = e.head->status;
            break;
        case HTTP1_BODY:
            if (buf_append(&a->body, e.bytes) != OK) {
                finish(a, ERR_LIMIT, "the answer is too long");
                return false;
            }
            break;
        case HTTP1_END:
            finish(a, OK, "");
            return false;
        case HTTP1_INTERIM:
        case HTTP1_TUNNEL:
            break;
        case HTTP1_CLOSED:
        case HTTP1_FAILED:
            finish(a, ERR_PROTOCOL, e.text ? e.text : "it closed the connection without an answer");
            return false;
        }
    }
    return true;
}

static void on_read(void *ctx, struct view bytes)
{
    struct ask *a = ctx;
    http_link_take(&a->http, bytes);
    (void)take_events(a);
}

static void on_drain(void *ctx)
{
    struct ask *a = ctx;
    http_link_flush(&a->http);
}

static void on_end(void *ctx, enum err e)
{
    struct ask *a = ctx;
    if (e != OK) {
        finish(a, e, stream_why(a->http.stream));
        return;
    }
    http_link_end(&a->http);
    (void)take_events(a);
}

static const struct stream_handler events = {
    .on_read = on_read, .on_drain = on_drain, .on_end = on_end};

static enum err send_request(struct ask *a)
{
    AUTO(fields_fini) struct fields fields = {0};
    TRY(fields_add_str(&fields, "Host", a->gateway->at.authority));
    AUTO_FREE char *agent = mem_printf("postern/%s", daemon_version());
    TRY(fields_add_str(&fields, "User-Agent", agent));
    TRY(fields_add_str(&fields, "Accept", "application/json"));
    if (a->request_body.len)
        TRY(fields_add_str(&fields, "Content-Type", "application/x-www-form-urlencoded"));
    if (a->with_token && *a->gateway->token) {
        char *value = gateway_authorization(a->gateway);
        enum err e = fields_add_str(&fields, "Authorization", value);
        mem_wipe(value, strlen(value));
        mem_free(value);
        TRY(e);
    }
    const struct http1_head head = {.method = view_str(a->method),
                                    .target = view_str(a->path),
                                    .fields = &fields,
                                    .body =
                                        a->request_body.len ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE,
                                    .body_len = a->request_body.len,
                                    .close = true};
    TRY(http1_send_head(&a->http.http, &head));
    if (a->request_body.len)
        TRY(http1_send_body(&a->http.http, buf_view(&a->request_body)));
    TRY(http1_send_end(&a->http.http));
    http_link_flush(&a->http);
    return OK;
}

static void on_ready(void *ctx, enum err e, const char *why)
{
    struct ask *a = ctx;
    if (e != OK) {
        a->conn = NULL;
        finish(a, e, why);
        return;
    }
    a->http.stream = conn_stream(a->conn);
    conn_use(a->conn, &events, a);
    e = send_request(a);
    if (e != OK)
        finish(a, e, err_text(e));
}

static void on_deadline(void *ctx)
{
    finish(ctx, ERR_TIMEOUT, "it did not answer in time");
}

struct ask *ask_open(struct gateway *g, const struct ask_spec *spec, ask_fn on_done, void *ctx)
{
    struct ask *a = mem_zalloc(sizeof *a);
    a->gateway = g;
    a->on_done = on_done;
    a->ctx = ctx;
    a->method = mem_strdup(spec->method);
    a->path = mem_strdup(spec->path);
    a->with_token = spec->with_token;
    http_link_init(&a->http, HTTP1_CLIENT);
    buf_init(&a->body, ASK_BODY_MAX);
    buf_init(&a->request_body, HTTP1_OUTPUT_MAX);
    IGNORE(buf_append(&a->request_body, spec->body), "forms of ours are short");
    timer_init(&a->deadline, g->loop, on_deadline, a);
    timer_after(&a->deadline, ASK_TIMEOUT_MS);
    a->conn = conn_open(g, CONN_HTTP1, on_ready, a);
    return a;
}

struct now {
    struct loop *loop;
    struct buf *body;
    unsigned status;
    enum err err;
    char *why;
};

static void on_now(void *ctx, const struct ask_answer *answer)
{
    struct now *n = ctx;
    n->err = answer->err;
    n->status = answer->status;
    n->why = mem_strdup(answer->why);
    if (n->err == OK && n->body)
        n->err = buf_append(n->body, answer->body);
    loop_stop(n->loop);
}

enum err ask_now(struct gateway *g, const struct ask_spec *spec, unsigned *out_status,
                 struct buf *body)
{
    struct now n = {.loop = g->loop, .body = body};
    (void)ask_open(g, spec, on_now, &n);
    loop_run(g->loop);
    if (n.err != OK)
        (void)cli_fail("%s", n.why);
    mem_free(n.why);
    *out_status = n.status;
    return n.err;
}
