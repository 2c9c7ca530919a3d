#include "proxy/tunnel.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/tunnel_internal.h"

static const struct decide_events link_events;

void tunnels_new_id(struct tunnels *t, char out[static DECIDE_ID_LEN + 1])
{
    uint8_t id[DECIDE_ID_LEN / 2];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, DECIDE_ID_LEN);
    rng_fill(&t->rng, id, sizeof id);
    IGNORE(text_hex(view_of(id, sizeof id), &hex), "fits");
    memcpy(out, buf_ptr(&hex), DECIDE_ID_LEN);
    out[DECIDE_ID_LEN] = 0;
}

/* --- the end --- */

static void free_tunnel(void *ctx)
{
    struct tunnel *u = ctx;
    struct tunnels *t = u->tunnels;
    timer_fini(&u->timer);
    if (u->endpoint)
        endpoint_leave(u->endpoint);
    if (u->cluster)
        cluster_leave(u->cluster);
    buf_fini(&u->to_client);
    buf_fini(&u->to_target);
    if (u->packets)
        capsule_fini(&u->packets->decoder);
    mem_free(u->packets);
    worker_config_unref(u->config);
    char *texts[] = {u->failure,    u->upstream,   u->authority, u->method,
                     u->user_agent, u->request_id, u->user_id,   u->email,
                     u->session_id, u->route_id,   u->reason};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        mem_free(texts[i]);
    (void)slots_remove(&t->tunnels, u->slot);
    mem_free(u);
    tunnels_check_empty(t);
}

/* No call from here on; what calls us at present may still look at it. */
static void leave(struct tunnel *u)
{
    u->phase = TUNNEL_OVER;
    u->client = NULL;
    timer_clear(&u->timer);
    tunnel_disconnect(u);
    loop_post(u->tunnels->loop, free_tunnel, u);
}

void tunnel_refuse(struct tunnel *u, const struct tunnel_refusal *r, const char *decision)
{
    const struct tunnel_client *client = u->client;
    if (u->phase == TUNNEL_OVER)
        return;
    mem_set_str(&u->reason, r->sentence);
    tunnel_count_refused(u, r->cause);
    tunnel_log(u, r->cause == TUNNEL_UPSTREAM ? TUNNEL_EVENT_FAILED : TUNNEL_EVENT_REFUSED,
               decision);
    decide_link_close(&u->link, 0, 0, u->reason);
    leave(u);
    if (client)
        client->refuse(u->ctx, r);
}

void tunnel_end(struct tunnel *u, const char *reason)
{
    const struct tunnel_client *client = u->client;
    if (u->phase != TUNNEL_OPEN && u->phase != TUNNEL_CLOSING)
        return;
    if (!u->reason)
        u->reason = mem_strdup(reason);
    tunnel_count_bytes(u);
    tunnel_log(u, TUNNEL_EVENT_CLOSE, "allow");
    decide_link_close(&u->link, u->bytes_in, u->bytes_out, u->reason);
    (void)map_remove(&u->tunnels->open, view_str(u->id));
    reasons_put(&u->tunnels->reasons, u->id, u->reason, loop_now_ms(u->tunnels->loop));
    tunnel_count_live(u->tunnels, u->kind, false);
    leave(u);
    if (client)
        client->close(u->ctx, u->reason);
}

static void refuse(struct tunnel *u, enum tunnel_cause cause, enum message m)
{
    tunnel_refuse(u, &(struct tunnel_refusal){cause, message_text(m), ""}, "");
}

/* Whatever phase it is in. */
static void stop(struct tunnel *u, enum message m)
{
    if (u->phase == TUNNEL_CHECKING || u->phase == TUNNEL_CONNECTING)
        refuse(u, TUNNEL_BUSY, m);
    else
        tunnel_end(u, message_text(m));
}

/* --- what authorize says --- */

static enum tunnel_cause cause_of(const struct decide_decision *d)
{
    switch (d->cause) {
    case DECIDE_UNAUTHENTICATED:
        return TUNNEL_UNAUTHENTICATED;
    case DECIDE_TOKEN_INVALID:
        return TUNNEL_TOKEN_INVALID;
    case DECIDE_POLICY:
        return TUNNEL_DENIED;
    case DECIDE_ROUTE_NOT_FOUND:
        return TUNNEL_ROUTE_NOT_FOUND;
    case DECIDE_CLIENT_CERTIFICATE:
        return TUNNEL_CLIENT_CERTIFICATE;
    case DECIDE_UNAVAILABLE:
    case DECIDE_CAUSE_NONE:
        break;
    }
    return TUNNEL_UNDECIDED;
}

struct tunnel_refusal tunnel_refusal_of(const struct decide_decision *d)
{
    enum tunnel_cause cause = cause_of(d);
    const char *sentence = d->verdict == DECIDE_LOGIN && !*d->sentence ? d->prompt : d->sentence;
    if (!*sentence)
        sentence = message_text(cause == TUNNEL_UNDECIDED ? MESSAGE_AUTHORIZE_UNREACHABLE
                                                          : MESSAGE_TUNNEL_REFUSED);
    return (struct tunnel_refusal){cause, sentence, d->url};
}

static void on_allowed(struct tunnel *u, const struct decide_decision *d)
{
    enum cluster_kind kind = u->kind == TUNNEL_UDP ? CLUSTER_UDP : CLUSTER_TCP;
    struct cluster *c = clusters_find(u->tunnels->clusters, d->route_id);
    u->service_account = d->service_account;
    if (c && c->spec->kind == kind) {
        tunnel_connect(u, c);
        return;
    }
    if (c)
        cluster_leave(c);
    log_warn("authorize allowed a route that its table does not have",
             LOG_STR("connection-id", u->id), LOG_STR("route-id", d->route_id));
    refuse(u, TUNNEL_UNDECIDED, MESSAGE_AUTHORIZE_UNREACHABLE);
}

static void on_decision(void *ctx, const struct decide_decision *d)
{
    static const char *const names[] = {[DECIDE_DENY] = "deny",
                                        [DECIDE_ALLOW] = "allow",
                                        [DECIDE_LOGIN] = "login",
                                        [DECIDE_NEXT_KEY] = "deny"};
    struct tunnel *u = ctx;
    metrics_add(METRIC_DECISIONS, 1, names[d->verdict]);
    metrics_observe(METRIC_DECIDE_DURATION, metrics_clock_us() - u->asked_us);
    mem_set_str(&u->user_id, d->user_id);
    mem_set_str(&u->email, d->email);
    mem_set_str(&u->session_id, d->session_id);
    mem_set_str(&u->route_id, d->route_id);
    if (d->verdict == DECIDE_ALLOW) {
        on_allowed(u, d);
        return;
    }
    struct tunnel_refusal r = tunnel_refusal_of(d);
    tunnel_refuse(u, &r, names[d->verdict]);
}

static void on_cut(void *ctx, const char *reason)
{
    struct tunnel *u = ctx;
    metrics_add(METRIC_CUTS_DONE, 1);
    if (u->phase == TUNNEL_CONNECTING)
        tunnel_refuse(u, &(struct tunnel_refusal){TUNNEL_DENIED, reason, ""}, "deny");
    else
        tunnel_end(u, reason);
}

static void on_warn(void *ctx, const char *line)
{
    const struct tunnel *u = ctx;
    (void)line; /* nobody sees it: the bytes are the target's */
    log_debug("nobody could tell of a revocation", LOG_STR("connection-id", u->id));
}

static const struct decide_events link_events = {
    .on_decision = on_decision,
    .on_cut = on_cut,
    .on_warn = on_warn,
};

/* --- time --- */

static uint64_t idle_at(const struct tunnel *u)
{
    uint64_t idle = u->cluster->spec->idle_timeout_ms;
    if (u->target_ended && (!idle || idle > TUNNEL_HALF_MS))
        idle = TUNNEL_HALF_MS;
    return idle ? u->active_at + idle : TIMER_NEVER;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

void tunnel_arm(struct tunnel *u)
{
    uint64_t at = TIMER_NEVER;
    if (u->phase == TUNNEL_CONNECTING)
        at = least(u->attempt_at, u->connect_at);
    else if (u->phase == TUNNEL_OPEN)
        at = least(least(idle_at(u), u->timeout_at), u->access_at);
    else if (u->phase == TUNNEL_CLOSING)
        at = u->closing_at;
    timer_set(&u->timer, at);
}

static void on_open_timer(struct tunnel *u, uint64_t now)
{
    if (now >= idle_at(u)) {
        tunnel_end(u, message_text(MESSAGE_TUNNEL_IDLE));
    } else if (now >= u->timeout_at) {
        tunnel_end(u, message_text(MESSAGE_TUNNEL_TIMEOUT));
    } else if (now >= u->access_at) {
        u->access_at = now + u->config->access_log_interval;
        tunnel_count_bytes(u);
        tunnel_log(u, TUNNEL_EVENT_UPDATE, "allow");
    }
}

static void on_timer(void *ctx)
{
    struct tunnel *u = ctx;
    uint64_t now = loop_now_ms(u->tunnels->loop);
    switch (u->phase) {
    case TUNNEL_CHECKING:
        tunnel_refuse(u, &u->refusal, "");
        break;
    case TUNNEL_CONNECTING:
        if (now >= u->attempt_at || now >= u->connect_at)
            tunnel_connect_timeout(u);
        break;
    case TUNNEL_OPEN:
        on_open_timer(u, now);
        break;
    case TUNNEL_CLOSING:
        if (now >= u->closing_at)
            tunnel_end(u, u->reason);
        break;
    case TUNNEL_OVER:
        return;
    }
    if (u->phase != TUNNEL_OVER)
        tunnel_arm(u);
}

/* --- the beginning --- */

static struct tunnel *make(struct tunnels *t, enum tunnel_kind kind, const struct tunnel_ask *ask)
{
    struct tunnel *u = mem_zalloc(sizeof *u);
    u->tunnels = t;
    u->slot = slots_add(&t->tunnels, u);
    u->kind = kind;
    u->packets = kind == TUNNEL_UDP ? mem_zalloc(sizeof *u->packets) : NULL;
    u->config = t->config ? worker_config_ref(t->config) : NULL;
    u->peer = *ask->peer;
    u->http = ask->http;
    u->authority = mem_strndup(ask->authority.ptr, ask->authority.len);
    u->method = mem_strndup(ask->method.ptr, ask->method.len);
    u->user_agent = mem_strndup(ask->user_agent.ptr, ask->user_agent.len);
    u->request_id = mem_strdup(ask->request_id);
    u->timeout_at = TIMER_NEVER;
    u->access_at = TIMER_NEVER;
    buf_init(&u->to_client, TUNNEL_REST_MAX);
    buf_init(&u->to_target, TUNNEL_REST_MAX);
    address_ip_text(ask->peer, u->source);
    tunnels_new_id(t, u->id);
    timer_init(&u->timer, t->loop, on_timer, u);
    decide_link_open(t->decide, &u->link, u->id, &link_events, u);
    return u;
}

struct decide_tunnel tunnel_facts(const struct tunnel_ask *ask)
{
    return (struct decide_tunnel){
        .authority = ask->authority,
        .method = ask->method,
        .path = ask->path,
        .token = ask->token,
        .token_place = ask->token_place,
        .certificate = ask->certificate,
        .user_agent = ask->user_agent,
        .request_id = ask->request_id,
    };
}

struct tunnel *tunnel_open(struct tunnels *t, enum tunnel_kind kind, const struct tunnel_ask *ask,
                           const struct tunnel_client *client, void *ctx)
{
    struct tunnel *u = make(t, kind, ask);
    u->client = client;
    u->ctx = ctx;
    if (t->is_draining || !t->config) {
        u->refusal = (struct tunnel_refusal){TUNNEL_BUSY, message_text(MESSAGE_SHUTDOWN), ""};
        timer_after(&u->timer, 0);
        return u;
    }
    const struct decide_tunnel facts = tunnel_facts(ask);
    const struct decide_check check = {
        .protocol = kind == TUNNEL_UDP ? DECIDE_UDP : DECIDE_TCP,
        .source = u->source,
        .tunnel = &facts,
    };
    u->asked_us = metrics_clock_us();
    decide_ask(&u->link, &check);
    return u;
}

void tunnel_ready(struct tunnel *u)
{
    uint64_t now = loop_now_ms(u->tunnels->loop);
    const struct cluster_spec *spec = u->cluster->spec;
    u->phase = TUNNEL_OPEN;
    u->opened_at = now;
    u->active_at = now;
    u->timeout_at = spec->timeout_ms ? now + spec->timeout_ms : TIMER_NEVER;
    u->access_at =
        u->config->access_log_interval ? now + u->config->access_log_interval : TIMER_NEVER;
    (void)map_put(&u->tunnels->open, view_str(u->id), u);
    tunnel_count_live(u->tunnels, u->kind, true);
    tunnel_log(u, TUNNEL_EVENT_OPEN, "allow");
    tunnel_arm(u);
    u->client->accept(u->ctx, u->id);
}

void tunnel_gone(struct tunnel *u, const char *why)
{
    u->client = NULL;
    why = *why ? why : "the client has closed the connection";
    if (u->phase == TUNNEL_CHECKING || u->phase == TUNNEL_CONNECTING)
        tunnel_refuse(u, &(struct tunnel_refusal){TUNNEL_BUSY, why, ""}, "");
    else
        tunnel_end(u, why);
}

/* --- all of them --- */

static void on_clusters(void *ctx)
{
    struct tunnels *t = ctx;
    struct cluster_specs *specs = decide_take_clusters(t->decide);
    if (specs)
        clusters_set(t->clusters, specs);
}

struct tunnels *tunnels_new(const struct tunnels_host *host)
{
    struct tunnels *t = mem_zalloc(sizeof *t);
    t->loop = host->loop;
    t->decide = host->decide;
    t->rng = *host->rng;
    t->clusters = clusters_new(t->loop, &t->rng);
    buf_init(&t->batch, TUNNEL_BATCH_MAX);
    decide_watch_clusters(t->decide, on_clusters, t);
    return t;
}

void tunnels_configure(struct tunnels *t, const struct worker_config *config)
{
    const struct worker_config *old = t->config;
    t->config = worker_config_ref(config);
    worker_config_unref(old);
}

void tunnels_check_empty(struct tunnels *t)
{
    if (t->tunnels.count)
        return;
    if (t->on_drained) {
        loop_fn fn = t->on_drained;
        t->on_drained = NULL;
        loop_post(t->loop, fn, t->drained_ctx);
    }
    if (t->is_stopping && t->on_stopped && !t->closing) {
        loop_fn fn = t->on_stopped;
        t->on_stopped = NULL;
        loop_post(t->loop, fn, t->stopped_ctx);
    }
}

void tunnels_drain(struct tunnels *t, loop_fn on_drained, void *ctx)
{
    t->is_draining = true;
    t->on_drained = on_drained;
    t->drained_ctx = ctx;
    tunnels_check_empty(t);
}

void tunnels_stop(struct tunnels *t, loop_fn on_stopped, void *ctx)
{
    size_t cursor = 0;
    struct tunnel *u;
    t->is_draining = true;
    t->is_stopping = true;
    t->on_stopped = on_stopped;
    t->stopped_ctx = ctx;
    decide_watch_clusters(t->decide, NULL, NULL);
    clusters_rest(t->clusters);
    while ((u = slots_next(&t->tunnels, &cursor)))
        stop(u, MESSAGE_SHUTDOWN);
    access_answer_all(t);
    tunnels_check_empty(t);
}

void tunnels_free(struct tunnels *t)
{
    if (!t)
        return;
    CHECK(!t->tunnels.count && !t->accesses.count);
    clusters_free(t->clusters);
    reasons_fini(&t->reasons);
    map_fini(&t->open);
    buf_fini(&t->batch);
    slots_fini(&t->tunnels);
    slots_fini(&t->accesses);
    worker_config_unref(t->config);
    mem_free(t);
}

size_t tunnels_live(const struct tunnels *t)
{
    return t->live[TUNNEL_TCP] + t->live[TUNNEL_UDP];
}

size_t tunnels_count(const struct tunnels *t)
{
    return t->tunnels.count;
}

bool tunnels_know(const struct tunnels *t, struct view id, const char **out_reason)
{
    *out_reason = reasons_get(&t->reasons, id, loop_now_ms(t->loop));
    return *out_reason || map_get(&t->open, id);
}
