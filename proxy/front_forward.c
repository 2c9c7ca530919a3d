#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "proxy/front/forward_head.h"
#include "proxy/front_parts.h"

/* A request that authenticate answers. */
struct front_forward {
    struct front_exchange *exchange;
    struct http_link link; /* to authenticate */
    struct dial *dial;
    struct http1_head request;
    struct fields fields; /* of the request, with method and path: until it is sent */
    char *method;
    char *path;
    uint64_t body_left; /* of FRONT_BODY_MAX */
    bool connected;     /* the head is on its way */
    bool opened;        /* TLS is up */
    bool request_done;
    bool response_begun;
};

void front_forward_end(struct front_exchange *x)
{
    struct front_forward *fw = x->forward;
    if (!fw)
        return;
    x->forward = NULL;
    x->work = FRONT_WORK_NONE;
    x->conn->forwards--;
    front_wait_over(x);
    dial_cancel(fw->dial);
    if (fw->link.stream)
        stream_close(fw->link.stream, 0, NULL, NULL);
    http_link_fini(&fw->link);
    fields_fini(&fw->fields);
    mem_free(fw->method);
    mem_free(fw->path);
    mem_free(fw);
}

static void give_up(struct front_exchange *x, uint16_t status, enum message m)
{
    bool begun = x->forward->response_begun;
    front_forward_end(x);
    if (begun)
        x->carrier->abort(x); /* the browser sees that the page is cut */
    else
        front_reply(x, status, message_text(m), status == 413 || status == 408);
}

static void fail(struct front_exchange *x, uint16_t status, const char *why)
{
    log_warn("authenticate does not answer", LOG_STR("reason", why),
             LOG_STR("request-id", x->request_id));
    give_up(x, status, MESSAGE_FRONT_UNAVAILABLE);
}

void front_forward_timeout(struct front_exchange *x)
{
    fail(x, 504, "it took too long");
}

void front_forward_late(struct front_exchange *x)
{
    give_up(x, 408, MESSAGE_FRONT_LATE);
}

/* --- the inner connection --- */

static void on_open(void *ctx)
{
    struct front_exchange *x = ctx;
    x->forward->opened = true;
    front_turn(x->conn);
}

static void on_read(void *ctx, struct view bytes)
{
    struct front_exchange *x = ctx;
    http_link_take(&x->forward->link, bytes);
    front_turn(x->conn);
}

static void on_drain(void *ctx)
{
    struct front_exchange *x = ctx;
    front_turn(x->conn);
}

static void on_end(void *ctx, enum err why)
{
    struct front_exchange *x = ctx;
    if (why == OK)
        http_link_end(&x->forward->link);
    else
        fail(x, 502, stream_why(x->forward->link.stream));
    front_turn(x->conn);
}

static void connected(struct front_exchange *x, int fd)
{
    static const struct stream_handler handler = {
        .on_open = on_open, .on_read = on_read, .on_drain = on_drain, .on_end = on_end};
    struct front_forward *fw = x->forward;
    const struct front *f = x->conn->front;
    const struct stream_spec spec = {
        .loop = f->loop, .tls = f->client, .handshake_ms = FRONT_DIAL_MS};
    fw->link.stream = stream_new(&spec, fd, &handler, x);
    fw->connected = true;
    enum err e = http1_send_head(&fw->link.http, &fw->request);
    if (e != OK)
        fail(x, 502, err_text(e));
    else
        x->carrier->proceed(x);
}

static void on_dial(void *ctx, const struct dial_result *r)
{
    struct front_exchange *x = ctx;
    x->forward->dial = NULL;
    if (r->err == OK)
        connected(x, r->fd);
    else
        fail(x, 503, r->why);
    front_turn(x->conn);
}

static enum err make_request(struct front_forward *fw, const struct front_request *r)
{
    const struct front_exchange *x = fw->exchange;
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(&x->conn->peer, ip);
    const struct forward_head ours = {.authority = r->head.authority,
                                      .ip = ip,
                                      .proto = x->conn->is_tls ? "https" : "http",
                                      .request_id = x->request_id};
    TRY(fields_append(&fw->fields, r->fields));
    TRY(forward_head(&ours, &fw->fields));
    fw->method = mem_strndup(r->head.method.ptr, r->head.method.len);
    fw->path = mem_strndup(r->head.path.ptr, r->head.path.len);
    fw->request = (struct http1_head){.method = view_str(fw->method),
                                      .target = view_str(fw->path),
                                      .fields = &fw->fields,
                                      .body = r->body,
                                      .body_len = r->body_len,
                                      .close = true};
    return OK;
}

void front_forward_begin(struct front_exchange *x, const struct front_request *r)
{
    const struct front *f = x->conn->front;
    struct front_forward *fw = mem_zalloc(sizeof *fw);
    fw->exchange = x;
    fw->body_left = FRONT_BODY_MAX;
    http_link_init(&fw->link, HTTP1_CLIENT);
    x->work = FRONT_WORK_FORWARD;
    x->forward = fw;
    x->conn->forwards++;
    if (make_request(fw, r) != OK) {
        front_forward_end(x);
        front_reply(x, 431, message_text(MESSAGE_FRONT_TOO_LARGE), true);
        return;
    }
    fw->dial = dial_open(f->loop, f->target, FRONT_DIAL_MS, on_dial, x);
}

enum front_phase front_forward_phase(const struct front_forward *fw)
{
    if (!fw->opened)
        return FRONT_PHASE_DIAL;
    if (!fw->response_begun)
        return fw->request_done ? FRONT_PHASE_UPSTREAM : FRONT_PHASE_BODY;
    return FRONT_PHASE_WRITE;
}

/* --- client to authenticate --- */

bool front_forward_takes(const struct front_forward *fw)
{
    return fw->connected && !fw->request_done && http1_writable(&fw->link.http) >= HTTP1_INPUT_MAX;
}

void front_forward_body(struct front_exchange *x, struct view bytes)
{
    struct front_forward *fw = x->forward;
    if (bytes.len > fw->body_left) {
        give_up(x, 413, MESSAGE_FRONT_TOO_LARGE);
        return;
    }
    fw->body_left -= bytes.len;
    enum err e = http1_send_body(&fw->link.http, bytes);
    if (e != OK)
        fail(x, 502, err_text(e));
}

void front_forward_finish(struct front_exchange *x)
{
    struct front_forward *fw = x->forward;
    fw->request_done = true;
    enum err e = http1_send_end(&fw->link.http);
    if (e != OK)
        fail(x, 502, err_text(e));
}

/* --- authenticate to client --- */

static void begin_response(struct front_exchange *x, struct http1_head *head)
{
    struct http1_head out = *head;
    fields_remove_hop_by_hop(out.fields);
    enum err e = fields_set(out.fields, "X-Request-Id", view_str(x->request_id));
    /* The inner connection ends with each request, the client's need not. */
    out.close = x->conn->front->draining;
    x->forward->response_begun = true;
    if (e == OK)
        e = x->carrier->head(x, &out);
    front_count_status(head->status);
    if (e != OK)
        fail(x, 502, err_text(e));
}

static void take_response(struct front_exchange *x, const struct http1_event *e)
{
    enum err err = OK;
    switch (e->type) {
    case HTTP1_HEAD:
        begin_response(x, e->head);
        break;
    case HTTP1_BODY:
        err = x->carrier->body(x, e->bytes);
        if (err != OK)
            fail(x, 502, err_text(err));
        break;
    case HTTP1_END:
        front_forward_end(x);
        x->carrier->end(x);
        break;
    case HTTP1_INTERIM:
        break;
    case HTTP1_TUNNEL:
        fail(x, 502, "it switched protocols");
        break;
    case HTTP1_CLOSED:
        fail(x, 502, "it closed the connection");
        break;
    case HTTP1_FAILED:
        fail(x, 502, e->text);
        break;
    }
}

bool front_forward_step(struct front_exchange *x)
{
    struct front_forward *fw = x->forward;
    struct http1_event e;
    bool has_room = !fw->response_begun || x->carrier->writable(x) >= HTTP1_INPUT_MAX;
    if (fw->connected && has_room && http_link_next(&fw->link, &e)) {
        take_response(x, &e);
        return true;
    }
    return fw->connected && http_link_flush(&fw->link);
}
