#include "cli/link.h"

#include <string.h>

#include "cli/link_parts.h"
#include "cli/mux.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/daemon.h"
#include "common/http/masque.h"
#include "common/http/url.h"
#include "common/json/json.h"

enum err link_fields(const struct link *l, const char *host, struct fields *out)
{
    if (host)
        TRY(fields_add_str(out, "Host", host));
    AUTO_FREE char *agent = mem_printf("postern/%s", daemon_version());
    TRY(fields_add_str(out, "User-Agent", agent));
    /* With this, no sign-in is answered by 401 and not by 302: both are one to us. */
    TRY(fields_add_str(out, "Accept", "application/json"));
    if (!*l->token)
        return OK;
    char *value = mem_printf("Pomerium %s", l->token);
    enum err e = fields_add_str(out, "Authorization", value);
    mem_wipe(value, strlen(value));
    mem_free(value);
    return e;
}

void link_set_id(struct link *l, struct view id)
{
    mem_free(l->id);
    l->id = mem_strndup(id.ptr, id.len > LINK_ID_MAX ? 0 : id.len);
}

void link_opened(struct link *l)
{
    timer_clear(&l->deadline);
    l->is_open = true;
    l->handler->on_open(l->ctx);
}

void link_refused(struct link *l, enum err e, const char *why)
{
    timer_clear(&l->deadline);
    const struct link_refusal r = {
        .err = e, .status = l->status, .why = why, .body = buf_view(&l->body), .token = l->token};
    l->handler->on_refused(l->ctx, &r);
}

/* --- HTTP/1.1 --- */

static const char *end_text(const struct link *l, enum err e)
{
    const char *why = stream_why(conn_stream(l->conn));
    return *why ? why : err_text(e);
}

static void take_head(struct link *l, const struct http1_head *head)
{
    l->status = head->status;
    link_set_id(l, fields_get(head->fields, "X-Postern-Connection"));
}

/* The first one says that it is open; what came behind the head follows. */
static void take_tunnel(struct link *l, struct view bytes)
{
    if (!l->is_open)
        link_opened(l);
    if (bytes.len && !l->closed)
        l->handler->on_read(l->ctx, bytes);
}

static void take_failure(struct link *l, const char *text)
{
    if (l->is_open)
        l->handler->on_end(l->ctx, OK);
    else if (l->status)
        link_refused(l, OK, "");
    else
        link_refused(l, ERR_PROTOCOL, text ? text : "it closed the connection");
}

/* The tunnel's bytes follow. */
static bool is_success(const struct link *l)
{
    return l->status == 101 || (l->kind == LINK_TCP && l->status / 100 == 2);
}

/* False when nothing may follow. */
static bool take_event(struct link *l, const struct http1_event *e)
{
    switch (e->type) {
    case HTTP1_HEAD:
        take_head(l, e->head);
        return true;
    case HTTP1_TUNNEL:
        take_tunnel(l, e->bytes);
        return true;
    case HTTP1_BODY:
        if (buf_append(&l->body, e->bytes) == OK)
            return true;
        link_refused(l, OK, "");
        return false;
    case HTTP1_END:
        if (is_success(l))
            return true;
        link_refused(l, OK, "");
        return false;
    case HTTP1_INTERIM:
        return true;
    case HTTP1_CLOSED:
    case HTTP1_FAILED:
        take_failure(l, e->text);
        return false;
    }
    return false;
}

static void link_free(struct link *l)
{
    http_link_fini(&l->http);
    timer_fini(&l->deadline);
    buf_fini(&l->body);
    buf_fini(&l->held);
    mem_wipe(l->token, strlen(l->token));
    mem_free(l->token);
    mem_free(l->target);
    mem_free(l->id);
    mem_free(l);
}

static void h1_events(struct link *l)
{
    struct http1_event e;
    l->busy = true;
    while (!l->closed && http_link_next(&l->http, &e) && take_event(l, &e))
        ;
    l->busy = false;
    /* The engine is empty now: from here on bytes need not go through it. */
    l->raw = l->is_open;
    if (l->closed)
        link_free(l);
}

static void h1_read(void *ctx, struct view bytes)
{
    struct link *l = ctx;
    if (l->raw) {
        l->handler->on_read(l->ctx, bytes);
        return;
    }
    http_link_take(&l->http, bytes);
    h1_events(l);
}

static void h1_drain(void *ctx)
{
    struct link *l = ctx;
    if (l->raw)
        l->handler->on_drain(l->ctx);
    else
        http_link_flush(&l->http);
}

static void h1_end(void *ctx, enum err e)
{
    struct link *l = ctx;
    if (l->raw) {
        l->handler->on_end(l->ctx, e);
    } else if (e != OK) {
        link_refused(l, e, end_text(l, e));
    } else {
        http_link_end(&l->http);
        h1_events(l);
    }
}

static const struct stream_handler h1_handler = {
    .on_read = h1_read, .on_drain = h1_drain, .on_end = h1_end};

static enum err h1_connect(struct link *l)
{
    AUTO(fields_fini) struct fields fields = {0};
    TRY(link_fields(l, l->target, &fields));
    const struct http1_head head = {
        .method = VIEW("CONNECT"), .target = view_str(l->target), .fields = &fields};
    TRY(http1_send_head(&l->http.http, &head));
    return http1_send_end(&l->http.http);
}

static enum err h1_connect_udp(struct link *l)
{
    AUTO(fields_fini) struct fields fields = {0};
    AUTO(buf_fini) struct buf path;
    buf_init(&path, URL_MAX);
    struct authority target;
    TRY(authority_parse(view_str(l->target), &target));
    TRY(masque_write(&target, &path));
    TRY(link_fields(l, l->gateway->at.authority, &fields));
    TRY(fields_add_str(&fields, "Upgrade", "connect-udp"));
    TRY(fields_add_str(&fields, "Capsule-Protocol", "?1"));
    const struct http1_head head = {
        .method = VIEW("GET"), .target = buf_view(&path), .fields = &fields};
    TRY(http1_send_head(&l->http.http, &head));
    return http1_send_end(&l->http.http);
}

void link_use_http1(struct link *l, struct conn *conn)
{
    l->conn = conn;
    l->http.stream = conn_stream(conn);
    conn_use(conn, &h1_handler, l);
    enum err e = l->kind == LINK_UDP   ? h1_connect_udp(l)
                 : l->kind == LINK_TCP ? h1_connect(l)
                                       : ERR_UNSUPPORTED;
    if (e != OK)
        link_refused(l, e, err_text(e));
    else
        http_link_flush(&l->http);
}

static void on_ready(void *ctx, enum err e, const char *why)
{
    struct link *l = ctx;
    if (e == OK) {
        link_use_http1(l, l->conn);
        return;
    }
    l->conn = NULL;
    link_refused(l, e, why);
}

void link_dial_http1(struct link *l)
{
    l->conn = conn_open(l->gateway, CONN_HTTP1, on_ready, l);
}

/* --- both --- */

static void on_deadline(void *ctx)
{
    link_refused(ctx, ERR_TIMEOUT, "the gateway did not answer in time");
}

void link_dial(struct link *l)
{
    struct gateway *g = l->gateway;
    if (g->at.tls && !g->http1_only && !g->flags->http1)
        mux_add(g, l);
    else
        link_dial_http1(l);
}

struct link *link_open(struct gateway *g, enum link_kind kind, const char *target,
                       const struct link_handler *handler, void *ctx)
{
    struct link *l = mem_zalloc(sizeof *l);
    l->gateway = g;
    l->kind = kind;
    l->handler = handler;
    l->ctx = ctx;
    l->target = mem_strdup(target);
    l->token = mem_strdup(g->token);
    l->id = mem_strdup("");
    buf_init(&l->body, LINK_BODY_MAX);
    http_link_init(&l->http, HTTP1_CLIENT);
    timer_init(&l->deadline, g->loop, on_deadline, l);
    timer_after(&l->deadline, LINK_HEAD_MS);
    link_dial(l);
    return l;
}

/* A stream that the gateway has reset is neither here nor there. */
enum err link_write(struct link *l, struct view bytes)
{
    if (l->mux)
        return mux_write(l, bytes);
    return l->conn ? stream_write(conn_stream(l->conn), bytes) : ERR_CLOSED;
}

size_t link_room(const struct link *l)
{
    if (!l->is_open)
        return 0;
    if (l->mux)
        return mux_room(l);
    return l->conn ? stream_room(conn_stream(l->conn)) : 0;
}

size_t link_pending(const struct link *l)
{
    if (l->mux)
        return mux_pending(l);
    return l->conn ? stream_pending(conn_stream(l->conn)) : 0;
}

void link_pause(struct link *l)
{
    l->paused = true;
    if (l->conn)
        stream_pause(conn_stream(l->conn));
}

void link_resume(struct link *l)
{
    if (l->mux)
        mux_resume(l);
    else if (l->conn)
        stream_resume(conn_stream(l->conn));
}

void link_shutdown(struct link *l)
{
    if (l->mux)
        mux_shutdown(l);
    else if (l->conn)
        stream_shutdown(conn_stream(l->conn));
}

/* A gateway that cannot be asked any more carries nothing either. */
static void tell_reason(struct link *l, enum err e, unsigned status, struct view body)
{
    if (e != OK) {
        l->handler->on_reason(l->ctx, "the gateway has closed the connection");
        return;
    }
    if (status != 200)
        body = (struct view){0};
    AUTO(json_free_ptr) struct json *v = NULL;
    if (body.len)
        IGNORE(json_parse(body, &v), "then there is no reason in it");
    struct view text = json_get_str(v, "reason");
    AUTO(buf_fini) struct buf shown;
    buf_init(&shown, LINK_BODY_MAX);
    IGNORE(text_printable(text, &shown), "a longer one is not shown");
    AUTO_FREE char *reason = text.ptr ? buf_to_str(&shown) : NULL;
    l->handler->on_reason(l->ctx, reason);
}

static void on_reason(void *ctx, const struct ask_answer *a)
{
    struct link *l = ctx;
    l->reason = NULL;
    if (a->err == OK && a->status == 404 && *l->id && l->asked < LINK_ASKED_MAX) {
        link_ask_reason(l);
        return;
    }
    tell_reason(l, a->err, a->status, a->body);
}

static void on_reason_link(void *ctx, const struct link_refusal *r)
{
    struct link *l = ctx;
    struct link *reason = l->reason_link;
    l->reason_link = NULL;
    tell_reason(l, r->err, r->status, r->body);
    link_close(reason);
}

/*
 * HTTP/2: on the tunnel's own connection. Another one may lead to another proxy behind a balancer,
 * which knows nothing of the tunnel; the next one does so less likely.
 */
void link_ask_reason(struct link *l)
{
    static const struct link_handler handler = {.on_refused = on_reason_link};
    AUTO_FREE char *path = mem_printf("/.pomerium/api/v1/tunnels/%s", l->id);
    const struct ask_spec spec = {.method = "GET", .path = path, .with_token = true};
    if (l->stream)
        l->reason_link = link_open(l->gateway, LINK_GET, path, &handler, l);
    else
        l->reason = ask_open(l->gateway, &spec, on_reason, l);
    l->asked++;
}

void link_close(struct link *l)
{
    if (!l)
        return;
    ask_cancel(l->reason);
    link_close(l->reason_link);
    conn_close(l->conn);
    if (l->mux)
        mux_remove(l);
    l->reason = NULL;
    l->reason_link = NULL;
    l->conn = NULL;
    l->closed = true;
    if (!l->busy)
        link_free(l);
}
