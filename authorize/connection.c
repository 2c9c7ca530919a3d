#include "authorize/connection.h"

#include "authorize/answer.h"
#include "authorize/audit.h"
#include "authorize/certify.h"
#include "authorize/cut.h"
#include "authorize/presence.h"
#include "authorize/proof.h"
#include "authorize/reconsider.h"
#include "authorize/signin.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

struct ask connection_ask(const struct connection *c)
{
    return (struct ask){.protocol = c->protocol,
                        .source = c->source,
                        .route = c->route,
                        .login = c->login,
                        .key = &c->key,
                        .tunnel = c->tunnel};
}

const struct snapshot_route *connection_route(const struct authorize *a, const struct connection *c)
{
    switch (c->protocol) {
    case PROTOCOL_SSH:
        return snapshot_route(a->snapshot, view_str(c->route));
    case PROTOCOL_TCP:
        return snapshot_tunnel(a->snapshot, ROUTE_TCP, view_str(c->route));
    case PROTOCOL_UDP:
        return snapshot_tunnel(a->snapshot, ROUTE_UDP, view_str(c->route));
    case PROTOCOL_HTTP:
        break;
    }
    return NULL;
}

struct connection *connection_find(struct authorize *a, const struct worker *w, const char *id)
{
    struct connection *c = connection_of(live_get(&a->live, view_str(id)));
    return c && c->worker == w ? c : NULL;
}

static void free_connection(struct connection *c)
{
    offered_key_fini(&c->key);
    tunnel_ask_free(c->tunnel);
    mem_free(c->login);
    mem_free(c->route);
    mem_free(c->source);
    mem_free(c->client_version);
    mem_free(c->session_id);
    mem_free(c->account_id);
    mem_free(c->user_id);
    mem_free(c->email);
    mem_free(c->route_name);
    mem_free(c->route_id);
    mem_free(c->cut_reason);
    mem_free(c);
}

void connection_remove(struct authorize *a, struct connection *c, bool ended)
{
    if (ended && c->phase == CONNECTION_CUT)
        metrics_observe(METRIC_CUT_DURATION, metrics_clock_us() - c->cut_us);
    proof_leave(a, c);
    if (c->code)
        signin_leave(a, c);
    if (c->phase == CONNECTION_LIVE || c->phase == CONNECTION_CUT)
        presence_end(a, connection_id(c), ended);
    live_remove(&a->live, &c->node);
    free_connection(c);
}

/* --- ends without a connection --- */

void connection_refuse(struct authorize *a, struct connection *c, enum message sentence)
{
    log_warn(c->tunnel ? "check refused" : "sign-in refused",
             LOG_STR("connection-id", connection_id(c)), LOG_STR("route", c->route),
             LOG_STR("login", c->login), LOG_STR("publickey-fingerprint", c->key.fingerprint),
             LOG_STR("ip", c->source), LOG_STR("reason", message_name(sentence)));
    answer_unavailable(a, c, sentence);
    connection_remove(a, c, true);
}

void connection_show_login(struct authorize *a, struct connection *c)
{
    c->phase = CONNECTION_WAITING;
    answer_login(a, c);
}

void connection_end_wait(struct authorize *a, struct connection *c, enum stream_outcome outcome,
                         enum message sentence)
{
    log_info("sign-in ended", LOG_STR("connection-id", connection_id(c)),
             LOG_STR("route", c->route), LOG_STR("login", c->login),
             LOG_STR("publickey-fingerprint", c->key.fingerprint), LOG_STR("ip", c->source),
             LOG_STR("reason", message_name(sentence)));
    worker_sent(c->worker, convert_send_login_result(c->worker->call, connection_id(c), c->attempt,
                                                     outcome, message_text(sentence)));
    connection_remove(a, c, true);
}

/* --- allowed --- */

/* The next moment at which the decision may change by itself. */
static uint64_t next_edge(const struct connection *c, const struct decision *d, uint64_t now_ms)
{
    uint64_t edge = c->expires_ms;
    uint64_t policy_s = d->route ? policy_next_edge(d->route->policy, now_ms / 1000) : UINT64_MAX;
    if (policy_s < edge / 1000)
        edge = policy_s * 1000;
    if (c->key.is_certificate) {
        uint64_t before_s = c->key.cert.valid_before;
        uint64_t before = before_s > UINT64_MAX / 1000 ? UINT64_MAX : before_s * 1000;
        if (before > now_ms && before < edge)
            edge = before;
    }
    return edge;
}

/* What the decision says of who and where goes into the connection and the indexes. */
static void take_over(struct authorize *a, struct connection *c, const struct decision *d)
{
    mem_set_str(&c->session_id, d->session ? d->session->id : "");
    mem_set_str(&c->account_id, d->account ? d->account->id : "");
    mem_set_str(&c->user_id, d->user_id);
    mem_set_str(&c->email, d->email);
    mem_set_str(&c->route_name, d->shell ? "" : d->route->route->name);
    mem_set_str(&c->route_id, d->shell ? "" : d->route->route->id);
    c->expires_ms = d->expires_ms;
    live_index(&a->live, &c->node, LIVE_BY_SESSION, view_str(c->session_id));
    live_index(&a->live, &c->node, LIVE_BY_ACCOUNT, view_str(c->account_id));
    live_index(&a->live, &c->node, LIVE_BY_USER, view_str(c->user_id));
    live_index(&a->live, &c->node, LIVE_BY_ROUTE, view_str(c->route_name));
    live_index(&a->live, &c->node, LIVE_BY_BINDING, view_str(c->key.binding));
    live_expire_at(&a->live, &c->node, next_edge(c, d, authorize_now()));
    c->phase = CONNECTION_LIVE;
    presence_update(a, c);
}

/* The answer is the end of it here. */
static void finish(struct authorize *a, struct connection *c, const struct decision *d,
                   void (*answer)(struct authorize *, struct connection *, const struct decision *))
{
    answer(a, c, d);
    connection_remove(a, c, true);
}

/* Answers a check, or a sign-in that is over. */
static void answer(struct authorize *a, struct connection *c, const struct decision *d)
{
    switch (d->kind) {
    case DECISION_ALLOW:
        if (c->protocol == PROTOCOL_HTTP) {
            finish(a, c, d, answer_allow);
            break;
        }
        take_over(a, c, d);
        answer_allow(a, c, d);
        reconsider_arm(a);
        break;
    case DECISION_LOGIN:
        if (c->protocol == PROTOCOL_SSH)
            signin_begin(a, c);
        else
            finish(a, c, d, answer_refusal);
        break;
    case DECISION_DENY:
    case DECISION_TRY_NEXT_KEY:
        finish(a, c, d, answer_refusal);
        break;
    }
}

/* --- beginnings --- */

/* Why there is no connection for a check. */
struct refusal {
    enum message sentence;
    enum stream_cause cause;
};

static bool take_ssh(struct connection *c, const struct stream_check *m, struct refusal *out_why)
{
    *out_why = (struct refusal){MESSAGE_SSH_KEY_UNREADABLE, STREAM_CAUSE_POLICY};
    if (offered_key_parse(&c->key, m->key) != OK)
        return false;
    c->route = mem_strdup(m->route);
    c->login = mem_strdup(m->login);
    c->client_version = mem_strdup(m->client_version);
    return true;
}

static bool take_tunnel(struct connection *c, const struct stream_check *m, struct refusal *out_why)
{
    *out_why = (struct refusal){MESSAGE_TUNNEL_TOO_LONG, STREAM_CAUSE_POLICY};
    if (m->is_oversized)
        return false;
    c->tunnel = tunnel_ask_new(&m->tunnel);
    c->route = mem_strdup(m->tunnel.authority);
    c->login = mem_strdup("");
    c->client_version = mem_strdup(c->tunnel->user_agent);
    return true;
}

/* NULL when what it says cannot be taken or there are too many; *out_why then. */
static struct connection *connection_new(struct authorize *a, struct worker *w,
                                         const struct stream_check *m, struct refusal *out_why)
{
    /* The same connection again: another key, or its worker came by another stream. */
    struct connection *old = connection_of(live_get(&a->live, view_str(m->connection_id)));
    if (old)
        connection_remove(a, old, false);
    *out_why = (struct refusal){MESSAGE_SIGN_IN_TOO_MANY, STREAM_CAUSE_UNAVAILABLE};
    if (live_count(&a->live) >= AUTHORIZE_CONNECTIONS_MAX)
        return NULL;
    struct connection *c = mem_zalloc(sizeof *c);
    if (m->protocol == PROTOCOL_SSH ? !take_ssh(c, m, out_why) : !take_tunnel(c, m, out_why)) {
        free_connection(c);
        return NULL;
    }
    c->worker = w;
    c->protocol = m->protocol;
    c->attempt = m->attempt;
    c->since_ms = authorize_now();
    c->source = mem_strdup(m->source);
    c->expires_ms = STATE_NEVER;
    live_add(&a->live, &c->node, view_str(m->connection_id));
    live_index(&a->live, &c->node, LIVE_BY_STREAM, worker_key(w));
    return c;
}

static void decide_for(struct authorize *a, const struct connection *c, struct decision *d)
{
    struct ask ask = connection_ask(c);
    decide(a->snapshot, &a->state, &ask, authorize_now(), d);
}

void connection_check(struct authorize *a, struct worker *w, const struct stream_check *m)
{
    struct refusal why;
    struct connection *c = connection_new(a, w, m, &why);
    if (!c) {
        answer_check(a, w, m, why.sentence, why.cause);
        return;
    }
    proof_wait(a, c);
}

static bool is_tunnel(const struct connection *c)
{
    return c->protocol == PROTOCOL_TCP || c->protocol == PROTOCOL_UDP;
}

void connection_decide(struct authorize *a, struct connection *c)
{
    struct decision d;
    if (c->worker->finished)
        return; /* asks elsewhere; removed with its stream */
    /* What it would be allowed by may have targets that the worker has not heard of. */
    c->awaits_table = is_tunnel(c) && worker_lacks_table(c->worker);
    if (c->awaits_table)
        return;
    if (a->currency.proved < c->check_needs && !authorize_is_fresh(a)) {
        connection_refuse(a, c, MESSAGE_AUTHORIZE_STALE);
        return;
    }
    decide_for(a, c, &d);
    audit_check(a, c, &d, "check");
    answer(a, c, &d);
}

void connection_resume(struct authorize *a, struct connection *c)
{
    c->awaits_table = false;
    proof_wait(a, c);
}

static bool has_other_user(const struct connection *c, const struct decision *d)
{
    return d->user_id && c->user_id && *c->user_id && strcmp(c->user_id, d->user_id) != 0;
}

static bool has_lost_session(const struct authorize *a, const struct connection *c)
{
    return c->session_id && *c->session_id && !state_session(&a->state, c->session_id);
}

/* Of one that came by Register its worker says no more than that there is a user and no session. */
static bool is_account(const struct connection *c)
{
    if (c->account_id && *c->account_id)
        return true;
    return c->tunnel && c->user_id && *c->user_id && !(c->session_id && *c->session_id);
}

/* Why a live connection that was allowed as `c` says is not allowed any more; NULL: it is. */
static char *cut_sentence(const struct authorize *a, const struct connection *c,
                          const struct decision *d)
{
    const char *route = c->route_name ? c->route_name : c->route;
    if (has_other_user(c, d))
        return message_format(MESSAGE_CUT_OTHER_USER, NULL);
    if (d->kind == DECISION_ALLOW) {
        if (c->route_id && !d->shell && strcmp(c->route_id, d->route->route->id) != 0)
            return message_format(MESSAGE_CUT_ROUTE_CHANGED, route, NULL);
        return NULL;
    }
    if (d->kind == DECISION_LOGIN && is_account(c) && d->why != WHY_ACCOUNT_EXPIRED)
        return message_format(c->expires_ms <= authorize_now() ? MESSAGE_CUT_ACCOUNT_EXPIRED
                                                               : MESSAGE_CUT_ACCOUNT_REVOKED,
                              NULL);
    /* A session that is revoked may take its bindings along: the session is what counts. */
    if (d->kind == DECISION_LOGIN && has_lost_session(a, c))
        return message_format(c->expires_ms <= authorize_now() ? MESSAGE_CUT_SESSION_EXPIRED
                                                               : MESSAGE_CUT_SESSION_ENDED,
                              NULL);
    return decision_cut_sentence(d, route);
}

/* The same in one word, for the metrics. */
static const char *cut_cause(const struct authorize *a, const struct connection *c,
                             const struct decision *d)
{
    static const char *const causes[] = {
        [WHY_ALLOWED] = "route",
        [WHY_ROUTE_UNKNOWN] = "route",
        [WHY_KEY_RULED_OUT] = "policy",
        [WHY_NOT_BOUND] = "binding",
        [WHY_BINDING_EXPIRED] = "expired",
        [WHY_SESSION_GONE] = "session",
        [WHY_SESSION_EXPIRED] = "expired",
        [WHY_USER_GONE] = "user",
        [WHY_SOURCE_UNREADABLE] = "policy",
        [WHY_POLICY] = "policy",
        [WHY_NO_TOKEN] = "session",
        [WHY_TOKEN_INVALID] = "session",
        [WHY_TOKEN_EXPIRED] = "expired",
        [WHY_ACCOUNT_EXPIRED] = "expired",
        [WHY_CLIENT_CERTIFICATE] = "policy",
    };
    if (has_other_user(c, d))
        return "user";
    if (d->kind == DECISION_LOGIN && is_account(c) && d->why != WHY_ACCOUNT_EXPIRED)
        return c->expires_ms <= authorize_now() ? "expired" : "account";
    if (d->kind == DECISION_LOGIN && has_lost_session(a, c))
        return c->expires_ms <= authorize_now() ? "expired" : "session";
    return causes[d->why];
}

static void reconsider_live(struct authorize *a, struct connection *c)
{
    struct decision d;
    if (c->leaving_ms > authorize_now()) {
        live_expire_at(&a->live, &c->node, c->leaving_ms);
        return;
    }
    decide_for(a, c, &d);
    /* A public route lets anybody in, but what was somebody's does not go on as nobody's. */
    if (d.kind == DECISION_ALLOW && !d.user_id && c->user_id && *c->user_id) {
        d.kind = DECISION_LOGIN;
        d.why = d.who;
    }
    AUTO_FREE char *sentence = cut_sentence(a, c, &d);
    if (!sentence) {
        take_over(a, c, &d);
        return;
    }
    audit_check(a, c, &d, "change");
    metrics_add(METRIC_CUTS, 1, cut_cause(a, c, &d));
    connection_cut(a, c, sentence);
}

static void reconsider_waiting(struct authorize *a, struct connection *c)
{
    struct decision d;
    decide_for(a, c, &d);
    if (d.kind == DECISION_LOGIN)
        return;
    audit_check(a, c, &d, "sign-in");
    /* The client has left its keys behind when it came to wait: there is no next one. */
    if (d.kind == DECISION_TRY_NEXT_KEY)
        d.kind = DECISION_DENY;
    signin_leave(a, c);
    worker_sent(c->worker, convert_send_login_result(c->worker->call, connection_id(c), c->attempt,
                                                     STREAM_ACCEPTED, ""));
    answer(a, c, &d);
}

void connection_reconsider(struct authorize *a, struct connection *c)
{
    switch (c->phase) {
    case CONNECTION_LIVE:
        reconsider_live(a, c);
        break;
    case CONNECTION_WAITING:
        reconsider_waiting(a, c);
        break;
    case CONNECTION_CHECKING:
    case CONNECTION_ASKING:
    case CONNECTION_HELD:
    case CONNECTION_CUT:
        break;
    }
}

void connection_unhold(struct authorize *a, struct connection *c)
{
    c->phase = CONNECTION_LIVE;
    reconsider_live(a, c);
    if (c->phase == CONNECTION_LIVE)
        cut_check(a, c);
    certify_unheld(a, c);
    reconsider_arm(a);
}

static void register_live(struct authorize *a, struct connection *c,
                          const struct stream_registered *r)
{
    struct state_version have = authorize_version(a);
    mem_set_str(&c->user_id, r->user_id);
    if (*r->session_id)
        mem_set_str(&c->session_id, r->session_id); /* a cut names what has ended */
    if (state_order(&have, &r->state) == STATE_WAIT) {
        c->phase = CONNECTION_HELD;
        live_hold(&a->live, &c->node, r->state.record_version);
        return;
    }
    connection_unhold(a, c);
}

void connection_register(struct authorize *a, struct worker *w, const struct stream_registered *r)
{
    struct refusal why;
    /* A waiting one that was shown no code has not been answered: it asks. Of the others only SSH
     * waits, and http does not live. */
    bool is_http = r->check.protocol == PROTOCOL_HTTP;
    bool waits = r->check.protocol == PROTOCOL_SSH && *r->code != '\0';
    if (is_http || (!r->live && !waits)) {
        connection_check(a, w, &r->check);
        return;
    }
    struct connection *c = connection_new(a, w, &r->check, &why);
    if (!c) {
        IGNORE(convert_send_cut(w->call, r->check.connection_id, message_text(why.sentence)),
               "or ended");
        return;
    }
    if (r->since_ms && r->since_ms < c->since_ms)
        c->since_ms = r->since_ms;
    if (r->live)
        register_live(a, c, r);
    else
        signin_resume(a, c, r->code);
}

/* --- cuts --- */

void connection_send_cut(struct authorize *a, struct connection *c)
{
    if (c->worker->finished)
        return;
    /* Many at once may not fit: what does not is sent when the worker has read some. */
    if (convert_send_cut(c->worker->call, connection_id(c), c->cut_reason) != OK)
        return;
    if (c->cut_tries++)
        log_warn("cut not confirmed, sent again", LOG_STR("connection-id", connection_id(c)),
                 LOG_U64("tries", c->cut_tries));
    c->cut_at = loop_now_ms(a->loop);
}

void connection_cut(struct authorize *a, struct connection *c, const char *reason)
{
    if (c->phase == CONNECTION_CUT)
        return;
    c->phase = CONNECTION_CUT;
    c->cut_us = metrics_clock_us();
    mem_set_str(&c->cut_reason, reason);
    live_expire_at(&a->live, &c->node, UINT64_MAX);
    audit_cut(c);
    connection_send_cut(a, c);
}
