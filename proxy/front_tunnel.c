#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/metrics.h"
#include "proxy/front/credentials.h"
#include "proxy/front/status.h"
#include "proxy/front_parts.h"

/* What the decision is about. */
static struct tunnel_ask make_ask(struct front_exchange *x, const struct front_request *r,
                                  struct view authority)
{
    const struct front_conn *c = x->conn;
    struct credentials found = credentials_find(r->fields, r->head.path, c->front->cookie_name);
    x->token_place = found.place;
    return (struct tunnel_ask){.authority = authority,
                               .method = r->head.method,
                               .path = request_file(r->head.path),
                               .token = found.token,
                               .token_place = found.place,
                               .certificate = stream_client_certificate(c->stream),
                               .user_agent = fields_get(r->fields, "User-Agent"),
                               .request_id = x->request_id,
                               .peer = &c->peer,
                               .http = x->carrier->name};
}

static void refuse(struct front_exchange *x, const struct tunnel_refusal *r)
{
    uint16_t status = status_of(r->cause, x->token_place, x->accept);
    /* A health check wants a yes or a no. */
    if (status == 302 && (x->kind == REQUEST_ALIVE || !r->url || !r->url[0]))
        status = 401;
    if (status == 302)
        front_redirect(x, status, r->sentence, r->url);
    else
        front_reply(x, status, r->sentence, false);
}

/* --- questions --- */

static void on_access(void *ctx, const struct access_answer *a)
{
    struct front_exchange *x = ctx;
    x->access = NULL;
    if (!a->allowed)
        refuse(x, &a->refusal);
    else if (x->kind == REQUEST_ALIVE)
        front_reply(x, 200, "OK", false);
    else
        front_reply_json(x, a->body);
    front_kick(x->conn);
}

void front_access_begin(struct front_exchange *x, const struct front_request *r)
{
    struct tunnels *t = x->conn->front->tunnels;
    const struct tunnel_ask ask = make_ask(x, r, r->head.authority);
    if (x->kind == REQUEST_ALIVE && (!ask.token.len || !t)) {
        front_reply(x, 200, "OK", false);
    } else if (!t) {
        front_reply(x, 404, message_text(MESSAGE_FRONT_NOT_FOUND), false);
    } else if (!front_wait(x)) {
        front_reply(x, 503, message_text(MESSAGE_FRONT_BUSY), false);
    } else {
        x->work = FRONT_WORK_ACCESS;
        x->access = access_open(t, &ask, on_access, x);
    }
}

/* --- the tunnel's calls --- */

static void count(struct front_exchange *x, bool is_live)
{
    struct front_conn *c = x->conn;
    if (x->live == is_live)
        return;
    x->live = is_live;
    if (is_live) {
        c->front->tunnels_live++;
        if (c->tunnels++ == 0)
            front_count_tunnel(c, true);
    } else {
        c->front->tunnels_live--;
        if (--c->tunnels == 0)
            front_count_tunnel(c, false);
    }
}

static void on_accept(void *ctx, const char *id)
{
    struct front_exchange *x = ctx;
    AUTO(fields_fini) struct fields f = {0};
    count(x, true);
    front_wait_over(x);
    bool ok = fields_add_str(&f, "X-Request-Id", x->request_id) == OK &&
              fields_add_str(&f, "X-Postern-Connection", id) == OK;
    if (x->kind == REQUEST_UDP) /* RFC 9298 §3.3 */
        ok = ok && fields_add_str(&f, "Capsule-Protocol", "?1") == OK;
    CHECK(ok);
    x->carrier->accept(x, &f);
    front_kick(x->conn);
}

static void on_refuse(void *ctx, const struct tunnel_refusal *r)
{
    struct front_exchange *x = ctx;
    x->tunnel = NULL;
    refuse(x, r);
    front_kick(x->conn);
}

static enum err on_write(void *ctx, struct view bytes)
{
    struct front_exchange *x = ctx;
    return x->carrier->body(x, bytes);
}

static size_t on_room(void *ctx)
{
    struct front_exchange *x = ctx;
    return x->carrier->writable(x);
}

static void on_pause(void *ctx)
{
    struct front_exchange *x = ctx;
    x->paused = true;
    x->carrier->pause(x, true);
}

static void on_resume(void *ctx)
{
    struct front_exchange *x = ctx;
    x->paused = false;
    x->carrier->pause(x, false);
    front_kick(x->conn);
}

static void on_finish(void *ctx)
{
    struct front_exchange *x = ctx;
    x->carrier->finish(x);
}

static void on_close(void *ctx, const char *reason)
{
    struct front_exchange *x = ctx;
    struct front_conn *c = x->conn;
    (void)reason;
    x->tunnel = NULL;
    x->work = FRONT_WORK_NONE;
    count(x, false);
    x->carrier->close(x);
    front_kick(c);
}

static const struct tunnel_client client = {.accept = on_accept,
                                            .refuse = on_refuse,
                                            .write = on_write,
                                            .room = on_room,
                                            .pause = on_pause,
                                            .resume = on_resume,
                                            .finish = on_finish,
                                            .close = on_close};

void front_tunnel_begin(struct front_exchange *x, const struct front_request *r,
                        const struct request *asked)
{
    struct front *f = x->conn->front;
    enum tunnel_kind kind = asked->kind == REQUEST_UDP ? TUNNEL_UDP : TUNNEL_TCP;
    if (!f->tunnels) {
        front_reply(x, 404, message_text(MESSAGE_FRONT_NOT_FOUND), false);
        return;
    }
    bool is_full = f->tunnels_max && f->tunnels_live >= f->tunnels_max;
    if (f->resting || is_full || !front_wait(x)) {
        metrics_add(METRIC_TUNNELS, 1, kind == TUNNEL_UDP ? "udp" : "tcp", "busy");
        front_reply(x, 503, message_text(MESSAGE_FRONT_BUSY), false);
        return;
    }
    const struct tunnel_ask ask = make_ask(x, r, view_str(asked->destination));
    x->work = FRONT_WORK_TUNNEL;
    x->tunnel = tunnel_open(f->tunnels, kind, &ask, &client, x);
}

void front_tunnel_gone(struct front_exchange *x, const char *why)
{
    struct tunnel *u = x->tunnel;
    if (x->access)
        access_cancel(x->access);
    x->access = NULL;
    x->tunnel = NULL;
    front_wait_over(x);
    if (u)
        tunnel_gone(u, why);
    count(x, false);
}
