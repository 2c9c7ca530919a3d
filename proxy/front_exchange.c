#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "common/http/url.h"
#include "common/json/json.h"
#include "proxy/front_parts.h"

/* --- replies --- */

void front_count_status(unsigned status)
{
    char code[16];
    (void)snprintf(code, sizeof code, "%u", status);
    metrics_add(METRIC_HTTP_REQUESTS, 1, code);
}

static enum err send_page(struct front_exchange *x, struct fields *f, struct view body,
                          uint16_t status, bool close)
{
    const struct http1_head head = {.status = status,
                                    .fields = f,
                                    .body = HTTP1_BODY_LENGTH,
                                    .body_len = body.len,
                                    .close = close || x->conn->front->draining};
    TRY(x->carrier->head(x, &head));
    front_count_status(status);
    return x->carrier->body(x, body);
}

static void send_reply(struct front_exchange *x, struct local_reply *r, bool close)
{
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf body;
    buf_init(&body, LOCAL_REPLY_MAX);
    front_wait_over(x);
    x->work = FRONT_WORK_NONE;
    r->reason = http1_reason(r->status);
    r->request_id = x->request_id;
    r->accept = x->accept;
    enum err e = local_reply_common(r->request_id, x->conn->front->is_hsts, &f);
    if (e == OK)
        e = local_reply_fields(r, &f);
    if (e == OK)
        e = local_reply_body(r, &body);
    if (e == OK)
        e = send_page(x, &f, buf_view(&body), r->status, close);
    if (e == OK)
        x->carrier->end(x);
    else
        x->carrier->abort(x);
}

void front_reply(struct front_exchange *x, uint16_t status, const char *sentence, bool close)
{
    send_reply(x, &(struct local_reply){.status = status, .sentence = sentence}, close);
}

void front_redirect(struct front_exchange *x, uint16_t status, const char *sentence,
                    const char *location)
{
    send_reply(x,
               &(struct local_reply){.status = status, .sentence = sentence, .location = location},
               false);
}

void front_reply_json(struct front_exchange *x, struct view body)
{
    AUTO(fields_fini) struct fields f = {0};
    const struct http1_head head = {.status = 200,
                                    .fields = &f,
                                    .body = HTTP1_BODY_LENGTH,
                                    .body_len = body.len,
                                    .close = x->conn->front->draining};
    enum err e = local_reply_common(x->request_id, x->conn->front->is_hsts, &f);
    if (e == OK)
        e = fields_add_str(&f, "Content-Type", "application/json");
    if (e == OK)
        e = x->carrier->head(x, &head);
    if (e != OK) {
        x->work = FRONT_WORK_NONE;
        x->carrier->abort(x);
        return;
    }
    front_count_status(200);
    front_wait_over(x);
    x->work = FRONT_WORK_REPLY;
    buf_init(&x->reply, body.len);
    IGNORE(buf_append(&x->reply, body), "its own length");
}

/* As the client takes it: the routes of a user may be many. */
static bool step_reply(struct front_exchange *x)
{
    struct view piece = view_take(buf_view(&x->reply), x->carrier->writable(x));
    bool is_over = piece.len == x->reply.len;
    if (!is_over && !piece.len)
        return false;
    enum err e = x->carrier->body(x, piece);
    buf_consume(&x->reply, piece.len);
    if (e == OK && !is_over)
        return true;
    buf_fini(&x->reply);
    x->work = FRONT_WORK_NONE;
    if (e == OK)
        x->carrier->end(x);
    else
        x->carrier->abort(x);
    return true;
}

/* --- requests --- */

static void draw_id(struct front_exchange *x)
{
    uint8_t id[16];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, FRONT_ID_TEXT);
    rng_fill(&x->conn->front->rng, id, sizeof id);
    IGNORE(text_hex(view_of(id, sizeof id), &hex), "fits");
    memcpy(x->request_id, buf_ptr(&hex), hex.len);
}

static void log_request(const struct front_exchange *x, const struct request_head *head)
{
    bool forwards = x->kind == REQUEST_FORWARD;
    if (!forwards && !log_enabled(CONFIG_LOG_DEBUG))
        return;
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(&x->conn->peer, ip);
    log_at(forwards ? CONFIG_LOG_INFO : CONFIG_LOG_DEBUG, "http request",
           LOG_STR("request-id", x->request_id), LOG_STR("ip", ip),
           LOG_VIEW("method", head->method), LOG_VIEW("host", head->authority),
           LOG_VIEW("path", request_file(head->path)));
}

static bool is_get(const struct request_head *h)
{
    return view_eq_str(h->method, "GET") || view_eq_str(h->method, "HEAD");
}

/* http_redirect_addr: the same address by TLS. A Host that is none leads nowhere. */
static void redirect(struct front_exchange *x, const struct front_request *r)
{
    struct authority a;
    AUTO(buf_fini) struct buf url;
    buf_init(&url, URL_MAX + REQUEST_DESTINATION_MAX);
    uint16_t port = x->conn->front->redirect_port;
    bool ok = is_get(&r->head) && r->head.path.len && r->head.path.ptr[0] == '/' &&
              authority_parse(r->head.authority, &a) == OK;
    if (ok) {
        a.port = port == 443 ? 0 : port;
        ok = buf_append_str(&url, "https://") == OK && authority_write(&a, &url) == OK &&
             buf_append(&url, r->head.path) == OK;
    }
    if (!ok) {
        front_reply(x, 400, message_text(MESSAGE_FRONT_REDIRECT), true);
        return;
    }
    AUTO_FREE char *location = buf_to_str(&url);
    front_redirect(x, 301, message_text(MESSAGE_FRONT_REDIRECT), location);
}

static void say_reason(struct front_exchange *x, struct view id)
{
    struct tunnels *t = x->conn->front->tunnels;
    const char *reason = NULL;
    if (!t || !tunnels_know(t, id, &reason)) {
        front_reply(x, 404, message_text(MESSAGE_FRONT_NO_TUNNEL), false);
        return;
    }
    AUTO(json_free_ptr) struct json *v = json_new_object();
    AUTO(buf_fini) struct buf body;
    buf_init(&body, LOCAL_REPLY_MAX);
    if ((!reason || json_set_str(v, "reason", view_str(reason)) == OK) &&
        json_write(v, JSON_ORDER_INSERTED, &body) == OK)
        front_reply_json(x, buf_view(&body));
    else
        front_reply(x, 404, message_text(MESSAGE_FRONT_NO_TUNNEL), false);
}

static const char *refused_sentence(uint16_t status)
{
    return message_text(status == 501 ? MESSAGE_FRONT_PROTOCOL : MESSAGE_FRONT_MALFORMED);
}

static void begin(struct front_exchange *x, const struct front_request *r,
                  const struct request *asked)
{
    bool is_page = asked->kind == REQUEST_ALIVE || asked->kind == REQUEST_ROUTES ||
                   asked->kind == REQUEST_REASON;
    if (is_page && !is_get(&r->head)) {
        front_reply(x, 405, message_text(MESSAGE_FRONT_METHOD), false);
        return;
    }
    switch (asked->kind) {
    case REQUEST_NOT_FOUND:
        front_reply(x, 404, message_text(MESSAGE_FRONT_NOT_FOUND), false);
        break;
    case REQUEST_REFUSED:
        front_reply(x, asked->status, refused_sentence(asked->status), true);
        break;
    case REQUEST_TCP:
    case REQUEST_UDP:
        front_tunnel_begin(x, r, asked);
        break;
    case REQUEST_ALIVE:
    case REQUEST_ROUTES:
        front_access_begin(x, r);
        break;
    case REQUEST_REASON:
        say_reason(x, asked->id);
        break;
    case REQUEST_FORWARD:
        if (x->conn->forwards >= FRONT_FORWARDS_MAX || !front_wait(x))
            front_reply(x, 503, message_text(MESSAGE_FRONT_UNAVAILABLE), false);
        else if (r->body == HTTP1_BODY_LENGTH && r->body_len > FRONT_BODY_MAX)
            front_reply(x, 413, message_text(MESSAGE_FRONT_TOO_LARGE), true);
        else
            front_forward_begin(x, r);
        break;
    }
}

static void on_deadline(void *ctx)
{
    struct front_exchange *x = ctx;
    if (x->work == FRONT_WORK_FORWARD &&
        (x->deadline.phase == FRONT_PHASE_DIAL || x->deadline.phase == FRONT_PHASE_UPSTREAM))
        front_forward_timeout(x);
    else if (x->work == FRONT_WORK_FORWARD && x->deadline.phase == FRONT_PHASE_BODY)
        front_forward_late(x);
    else
        x->carrier->abort(x);
    front_turn(x->conn);
}

void front_exchange_init(struct front_exchange *x, struct front_conn *c,
                         const struct front_carrier *carrier)
{
    *x = (struct front_exchange){.conn = c, .carrier = carrier};
    timer_init(&x->deadline.timer, c->front->loop, on_deadline, x);
}

void front_exchange_begin(struct front_exchange *x, const struct front_request *r)
{
    const struct front *f = x->conn->front;
    x->work = FRONT_WORK_NONE;
    x->request_done = false;
    draw_id(x);
    x->accept = accept_kind(r->fields);
    if (f->redirect_port) {
        redirect(x, r);
        return;
    }
    struct request asked = request_read(&r->head, f->host);
    x->kind = asked.kind;
    x->host_is_destination = asked.host_is_destination;
    log_request(x, &r->head);
    begin(x, r, &asked);
}

/* --- what the client sends, and its room --- */

bool front_exchange_takes(const struct front_exchange *x)
{
    switch (x->work) {
    case FRONT_WORK_NONE:
    case FRONT_WORK_ACCESS:
    case FRONT_WORK_REPLY:
        return true;
    case FRONT_WORK_FORWARD:
        return front_forward_takes(x->forward);
    case FRONT_WORK_TUNNEL:
        return x->live && !x->paused;
    }
    return true;
}

void front_exchange_body(struct front_exchange *x, struct view bytes)
{
    if (x->work == FRONT_WORK_FORWARD)
        front_forward_body(x, bytes);
    else if (x->work == FRONT_WORK_TUNNEL && x->tunnel)
        tunnel_read(x->tunnel, bytes);
}

void front_exchange_finish(struct front_exchange *x)
{
    x->request_done = true;
    if (x->work == FRONT_WORK_FORWARD)
        front_forward_finish(x);
    else if (x->work == FRONT_WORK_TUNNEL && x->tunnel && x->live)
        tunnel_finish(x->tunnel);
}

void front_exchange_drain(struct front_exchange *x)
{
    if (x->work == FRONT_WORK_TUNNEL && x->tunnel && x->live)
        tunnel_drain(x->tunnel);
}

bool front_exchange_step(struct front_exchange *x)
{
    if (x->work == FRONT_WORK_REPLY)
        return step_reply(x);
    return x->work == FRONT_WORK_FORWARD && front_forward_step(x);
}

void front_exchange_set_deadline(struct front_exchange *x)
{
    enum front_phase phase = FRONT_PHASE_NONE;
    uint64_t progress = 0;
    if (x->work == FRONT_WORK_FORWARD)
        phase = front_forward_phase(x->forward);
    else if (x->work == FRONT_WORK_REPLY || (x->work == FRONT_WORK_NONE && x->carrier->pending(x)))
        phase = FRONT_PHASE_WRITE;
    if (phase == FRONT_PHASE_WRITE)
        progress = x->carrier->progress(x);
    front_deadline_set(x->conn->front, &x->deadline, phase, progress);
}

void front_exchange_fini(struct front_exchange *x, const char *why)
{
    front_forward_end(x);
    front_tunnel_gone(x, why);
    front_wait_over(x);
    x->work = FRONT_WORK_NONE;
    buf_fini(&x->reply);
    timer_fini(&x->deadline.timer);
}
