#include "proxy/decide.h"

#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "proxy/convert.h"
#include "proxy/decide_internal.h"

bool decide_is_connected(const struct decide *d)
{
    return d->phase == DECIDE_UP;
}

/* --- questions --- */

void decide_send_questions(struct decide *d)
{
    for (struct decide_link *l = d->first; l; l = l->next) {
        if (l->phase == DECIDE_LINK_CHECKING && !l->is_sent) {
            if (convert_send_check(d->stream, l) != OK)
                return; /* on_writable or the next tick goes on */
            l->is_sent = true;
        }
        if (l->is_certifying && !l->certify_sent) {
            if (convert_send_certify(d->stream, l) != OK)
                return;
            l->certify_sent = true;
        }
        if (l->is_in_shell && !l->shell_sent) {
            if (convert_send_shell_command(d->stream, l) != OK)
                return;
            l->shell_sent = true;
        }
    }
}

void decide_register(struct decide *d)
{
    const struct decide_link *batch[DECIDE_REGISTER_MAX];
    size_t n = 0;
    size_t bytes = 0;
    for (struct decide_link *l = d->first; l && d->stream; l = l->next) {
        if (l->phase != DECIDE_LINK_LIVE && l->phase != DECIDE_LINK_WAITING)
            continue;
        batch[n++] = l;
        bytes += decide_link_size(l);
        if (n == DECIDE_REGISTER_MAX || bytes >= DECIDE_REGISTER_BYTES) {
            if (!decide_sent(d, convert_send_register(d->stream, batch, n)))
                return;
            n = 0;
            bytes = 0;
        }
    }
    if (n)
        (void)decide_sent(d, convert_send_register(d->stream, batch, n));
}

/* --- answers --- */

static void set_state(struct decide_link *l, const struct decide_state_version *s)
{
    l->state.server_version = s->server_version;
    l->state.record_version = s->record_version;
    mem_set_str(&l->state.config_hash, s->config_hash);
}

/* An answer that lacks what it needs is none. */
static bool is_whole(const struct decide_link *l, const struct decide_decision *v)
{
    if (v->verdict != DECIDE_ALLOW)
        return true;
    switch (l->protocol) {
    case DECIDE_SSH:
        return v->address_count || v->shell;
    case DECIDE_TCP:
    case DECIDE_UDP:
        return *v->route_id;
    case DECIDE_HTTP:
        break;
    }
    return true;
}

static enum decide_link_phase phase_after(const struct decide_link *l, enum decide_verdict v)
{
    if (v == DECIDE_ALLOW && l->protocol != DECIDE_HTTP)
        return DECIDE_LINK_LIVE;
    /* A request is answered: whoever signs in comes again. */
    if (v == DECIDE_LOGIN && l->protocol == DECIDE_SSH)
        return DECIDE_LINK_WAITING;
    return DECIDE_LINK_IDLE;
}

static void on_decision(struct decide_link *l, const struct convert_message *m)
{
    struct decide_decision copy = m->decision;
    const struct decide_decision *v = &copy;
    bool asked = l->phase == DECIDE_LINK_CHECKING || l->phase == DECIDE_LINK_WAITING;
    if (!asked || m->number != l->attempt)
        return;
    if (!is_whole(l, v))
        copy.verdict = DECIDE_DENY;
    l->answer_at = TIMER_NEVER;
    l->phase = phase_after(l, v->verdict);
    set_state(l, &v->state);
    mem_set_str(&l->code, v->code);
    mem_set_str(&l->binding_key, v->binding_key);
    mem_set_str(&l->session_id, v->session_id);
    mem_set_str(&l->user_id, v->user_id);
    l->since_ms = loop_wall_ms();
    l->events->on_decision(l->ctx, v);
}

static void on_login_result(struct decide *d, struct decide_link *l,
                            const struct convert_message *m)
{
    if (l->phase != DECIDE_LINK_WAITING || m->number != l->attempt)
        return;
    if (m->accepted) {
        l->phase = DECIDE_LINK_CHECKING;
        l->is_sent = true; /* its decision follows by itself, unless the stream breaks */
        l->answer_at = decide_now(d) + d->config->grpc_client_timeout;
        return;
    }
    l->phase = DECIDE_LINK_IDLE;
    l->events->on_login_ended(l->ctx, m->sentence);
}

static bool certify_ends(struct decide_link *l, const struct convert_message *m)
{
    if (!l->is_certifying || m->number != l->request)
        return false;
    l->is_certifying = false;
    l->certify_at = TIMER_NEVER;
    return true;
}

static void on_shell_result(struct decide_link *l, const struct convert_message *m)
{
    if (!l->is_in_shell || m->number != l->shell_request)
        return;
    l->is_in_shell = false;
    l->shell_at = TIMER_NEVER;
    l->events->on_shell(l->ctx, m->status, m->sentence);
}

static void on_cut(struct decide *d, const struct convert_message *m)
{
    struct decide_link *l = map_get(&d->links, view_str(m->connection_id));
    if (!l || l->phase != DECIDE_LINK_LIVE) {
        (void)decide_sent(d, convert_send_cut_done(d->stream, m->connection_id));
        return;
    }
    bool again = l->is_cut;
    l->is_cut = true;
    if (!again)
        l->events->on_cut(l->ctx, m->sentence);
}

static void on_answer(struct decide *d, const struct convert_message *m)
{
    struct decide_link *l = map_get(&d->links, view_str(m->connection_id));
    if (!l)
        return;
    switch (m->kind) {
    case CONVERT_DECISION:
        on_decision(l, m);
        break;
    case CONVERT_LOGIN_RESULT:
        on_login_result(d, l, m);
        break;
    case CONVERT_CERTIFICATE:
        if (certify_ends(l, m))
            l->events->on_certificate(l->ctx, m->certificate, m->serial);
        break;
    case CONVERT_REFUSAL:
        if (certify_ends(l, m))
            l->events->on_refusal(l->ctx, m->sentence);
        break;
    case CONVERT_SHELL_RESULT:
        on_shell_result(l, m);
        break;
    case CONVERT_NOTHING:
    case CONVERT_HELLO:
    case CONVERT_ROUTES:
    case CONVERT_HEARTBEAT:
    case CONVERT_CUT:
    case CONVERT_PROBE:
        break;
    }
}

void decide_answer(struct decide *d, const struct convert_message *m)
{
    if (m->kind == CONVERT_CUT)
        on_cut(d, m);
    else if (m->connection_id)
        on_answer(d, m);
}

/* --- time --- */

static const struct decide_decision nothing = {
    .verdict = DECIDE_DENY,
    .sentence = "",
    .prompt = "",
    .url = "",
    .match_code = "",
    .code = "",
    .login = "",
    .route = "",
    .session_id = "",
    .user_id = "",
    .email = "",
    .route_id = "",
    .binding_key = "",
};

/* True when a callback was made, after which the link may be gone. */
static bool expire_question(struct decide_link *l, uint64_t now)
{
    const char *sentence = message_text(MESSAGE_AUTHORIZE_UNREACHABLE);
    if (l->phase == DECIDE_LINK_CHECKING && now >= l->answer_at) {
        struct decide_decision deny = nothing;
        deny.sentence = sentence;
        deny.cause = DECIDE_UNAVAILABLE;
        struct decide *d = l->decide;
        if (l->is_sent && d->phase == DECIDE_UP)
            IGNORE(convert_send_cancel(d->stream, l), "its answer would be stale");
        l->phase = DECIDE_LINK_IDLE;
        l->events->on_decision(l->ctx, &deny);
        return true;
    }
    if (l->is_certifying && now >= l->certify_at) {
        l->is_certifying = false;
        l->events->on_refusal(l->ctx, sentence);
        return true;
    }
    if (l->is_in_shell && now >= l->shell_at) {
        l->is_in_shell = false;
        l->events->on_shell(l->ctx, 1, sentence);
        return true;
    }
    return false;
}

/* Without authorize nobody could cut a live connection. */
static void expire_live(struct decide *d, struct decide_link *l, uint64_t now, bool warns)
{
    if (l->phase != DECIDE_LINK_LIVE)
        return;
    if (now - d->lost_at >= d->config->revocation_grace)
        l->events->on_cut(l->ctx, message_text(MESSAGE_CUT_UNSUPERVISED));
    else if (warns)
        l->events->on_warn(l->ctx, message_text(MESSAGE_WARN_UNSUPERVISED));
}

static void expire(struct decide *d, uint64_t now)
{
    bool is_down = d->phase != DECIDE_UP;
    bool warns = is_down && !d->is_warned && now - d->lost_at >= d->config->revocation_grace / 2;
    d->is_warned = d->is_warned || warns;
    struct decide_link *l;
    d->cursor = d->first;
    while ((l = d->cursor)) {
        d->cursor = l->next; /* a callback may close any link: remove_link looks after this one */
        if (!expire_question(l, now) && is_down)
            expire_live(d, l, now, warns);
    }
}

static void on_tick(void *ctx)
{
    struct decide *d = ctx;
    uint64_t now = decide_now(d);
    decide_stream_tick(d, now);
    if (d->clusters_due) {
        d->clusters_due = false;
        d->on_clusters(d->clusters_ctx);
    }
    if (d->phase == DECIDE_UP)
        decide_send_questions(d);
    expire(d, now);
}

/* --- life --- */

static char *host_name(void)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0)
        name[0] = 0;
    name[sizeof name - 1] = 0;
    return mem_strdup(name);
}

struct decide *decide_new(const struct decide_host *host)
{
    struct decide *d = mem_zalloc(sizeof *d);
    d->host = *host;
    d->instance_id = mem_strdup(host->instance_id);
    d->build = mem_strdup(host->build);
    d->host_name = host_name();
    d->started_ms = loop_wall_ms();
    d->lost_at = decide_now(d);
    timer_init(&d->timer, host->loop, on_tick, d);
    decide_stream_init(d);
    return d;
}

void decide_watch_clusters(struct decide *d, loop_fn fn, void *ctx)
{
    d->on_clusters = fn;
    d->clusters_ctx = ctx;
    d->clusters_due = fn && d->clusters;
}

struct cluster_specs *decide_take_clusters(struct decide *d)
{
    struct cluster_specs *clusters = d->clusters;
    d->clusters = NULL;
    return clusters;
}

void decide_stop(struct decide *d, loop_fn closed, void *ctx)
{
    d->is_stopped = true;
    timer_fini(&d->timer);
    decide_stream_close(d);
    if (closed)
        loop_post(d->host.loop, closed, ctx);
}

void decide_free(struct decide *d)
{
    if (!d)
        return;
    CHECK(!d->first);
    timer_fini(&d->timer);
    decide_stream_fini(d);
    map_fini(&d->links);
    cluster_specs_free(d->clusters);
    worker_config_unref(d->config);
    mem_free(d->instance_id);
    mem_free(d->build);
    mem_free(d->host_name);
    mem_free(d);
}
