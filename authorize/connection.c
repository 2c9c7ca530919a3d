#include "authorize/connection.h"

#include "authorize/audit.h"
#include "authorize/certify.h"
#include "authorize/cut.h"
#include "authorize/host_key.h"
#include "authorize/presence.h"
#include "authorize/proof.h"
#include "authorize/reconsider.h"
#include "authorize/signin.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/crypto/match_code.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

struct ask connection_ask(const struct connection *c)
{
    return (struct ask){.login = c->login, .route = c->route, .source = c->source, .key = &c->key};
}

struct connection *connection_find(struct authorize *a, const struct worker *w, const char *id)
{
    struct connection *c = connection_of(live_get(&a->live, view_str(id)));
    return c && c->worker == w ? c : NULL;
}

static void free_connection(struct connection *c)
{
    offered_key_fini(&c->key);
    mem_free(c->login);
    mem_free(c->route);
    mem_free(c->source);
    mem_free(c->client_version);
    mem_free(c->session_id);
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

/* --- answers --- */

static struct stream_decision answer_of(const struct authorize *a, const struct connection *c)
{
    return (struct stream_decision){
        .connection_id = connection_id(c),
        .attempt = c->attempt,
        .state = authorize_version(a),
        .binding_key = c->key.binding,
        .expires_ms = STATE_NEVER,
    };
}

/* A refusal before there is a connection. */
static void deny_check(struct authorize *a, struct worker *w, const struct stream_check *m,
                       enum message sentence)
{
    struct stream_decision out = {
        .connection_id = m->connection_id,
        .attempt = m->attempt,
        .verdict = STREAM_DENY,
        .sentence = message_text(sentence),
        .state = authorize_version(a),
        .expires_ms = STATE_NEVER,
    };
    worker_sent(w, convert_send_decision(w->call, &out));
    log_info("authorize check", LOG_STR("event", "check"),
             LOG_STR("connection-id", m->connection_id), LOG_STR("route", m->route),
             LOG_STR("login", m->login), LOG_STR("ip", m->source), LOG_STR("decision", "deny"),
             LOG_BOOL("allow", false), LOG_BOOL("deny", true),
             LOG_STR("reason", message_name(sentence)));
}

void connection_refuse(struct authorize *a, struct connection *c, enum message sentence)
{
    struct stream_decision out = answer_of(a, c);
    out.verdict = STREAM_DENY;
    out.sentence = message_text(sentence);
    log_warn("sign-in refused", LOG_STR("connection-id", connection_id(c)),
             LOG_STR("route", c->route), LOG_STR("login", c->login),
             LOG_STR("publickey-fingerprint", c->key.fingerprint), LOG_STR("ip", c->source),
             LOG_STR("reason", message_name(sentence)));
    worker_sent(c->worker, convert_send_decision(c->worker->call, &out));
    connection_remove(a, c, true);
}

static void send_refusal(struct authorize *a, struct connection *c, const struct decision *d)
{
    struct stream_decision out = answer_of(a, c);
    struct ask ask = connection_ask(c);
    AUTO_FREE char *sentence = decision_sentence(d, &ask);
    const char *reasons[REASON_COUNT];
    out.verdict = d->kind == DECISION_TRY_NEXT_KEY ? STREAM_TRY_NEXT_KEY : STREAM_DENY;
    out.sentence = sentence;
    out.reasons = reasons;
    out.reason_count =
        reasons_texts(d->verdict.deny.hit ? d->verdict.deny.why : d->verdict.allow.why, reasons);
    worker_sent(c->worker, convert_send_decision(c->worker->call, &out));
}

/* What every allow says of who. */
static struct stream_decision allow_of(const struct authorize *a, const struct connection *c)
{
    struct stream_decision out = answer_of(a, c);
    out.verdict = STREAM_ALLOW;
    out.session_id = c->session_id;
    out.user_id = c->user_id;
    out.email = c->email;
    out.route_id = c->route_id;
    out.expires_ms = c->expires_ms;
    return out;
}

static void send_allow_shell(struct authorize *a, struct connection *c)
{
    struct stream_decision out = allow_of(a, c);
    out.shell = true;
    worker_sent(c->worker, convert_send_decision(c->worker->call, &out));
}

static void send_allow(struct authorize *a, struct connection *c, const struct decision *d)
{
    const struct route *route = d->route->route;
    const char *types[2 * KEY_TYPE_COUNT];
    size_t count = host_key_certificate_types(a->snapshot, d->route, types);
    AUTO_FREE char *record = host_key_record_id(route);
    count +=
        host_key_types(a->snapshot, d->route, state_host_keys(&a->state, record), types + count);
    struct stream_upstream upstream = {
        .address = route->to.address,
        .host_key_types = types,
        .host_key_type_count = count,
        .login = c->login,
        .route = route->name,
        .host_key_policy = host_key_policy_name(route->ssh_host_key_policy),
    };
    const char *reasons[REASON_COUNT];
    struct stream_decision out = allow_of(a, c);
    out.upstream = &upstream;
    out.reasons = reasons;
    out.reason_count = reasons_texts(d->verdict.allow.why, reasons);
    worker_sent(c->worker, convert_send_decision(c->worker->call, &out));
}

void connection_show_login(struct authorize *a, struct connection *c)
{
    const struct code *code = c->code;
    char match[MATCH_CODE_SIZE];
    AUTO_FREE char *url = signin_url(a->snapshot->config, code->text);
    match_code(view_str(code->text), match);
    struct stream_login login = {
        .prompt = a->snapshot->prompt,
        .url = url,
        .match_code = match,
        .code = code->text,
        .expires_ms = code->expires_ms,
    };
    struct stream_decision out = answer_of(a, c);
    out.verdict = STREAM_LOGIN;
    out.login = &login;
    c->phase = CONNECTION_WAITING;
    worker_sent(c->worker, convert_send_decision(c->worker->call, &out));
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
static uint64_t next_edge(const struct connection *c, uint64_t now_ms)
{
    uint64_t edge = c->expires_ms;
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
    mem_set_str(&c->session_id, d->session->id);
    mem_set_str(&c->user_id, d->user->id);
    mem_set_str(&c->email, d->email);
    mem_set_str(&c->route_name, d->shell ? "" : d->route->route->name);
    mem_set_str(&c->route_id, d->shell ? "" : d->route->route->id);
    c->expires_ms = d->expires_ms;
    live_index(&a->live, &c->node, LIVE_BY_SESSION, view_str(c->session_id));
    live_index(&a->live, &c->node, LIVE_BY_USER, view_str(c->user_id));
    live_index(&a->live, &c->node, LIVE_BY_ROUTE, view_str(c->route_name));
    live_index(&a->live, &c->node, LIVE_BY_BINDING, view_str(c->key.binding));
    live_expire_at(&a->live, &c->node, next_edge(c, authorize_now()));
    c->phase = CONNECTION_LIVE;
    presence_update(a, c);
}

/* Answers a check, or a sign-in that is over. */
static void answer(struct authorize *a, struct connection *c, const struct decision *d)
{
    switch (d->kind) {
    case DECISION_ALLOW:
        take_over(a, c, d);
        if (d->shell)
            send_allow_shell(a, c);
        else
            send_allow(a, c, d);
        reconsider_arm(a);
        break;
    case DECISION_LOGIN:
        signin_begin(a, c);
        break;
    case DECISION_DENY:
    case DECISION_TRY_NEXT_KEY:
        send_refusal(a, c, d);
        connection_remove(a, c, true);
        break;
    }
}

/* --- beginnings --- */

/* NULL when the key cannot be read or there are too many; *out_why then. */
static struct connection *connection_new(struct authorize *a, struct worker *w,
                                         const struct stream_check *m, enum message *out_why)
{
    /* The same connection again: another key, or its worker came by another stream. */
    struct connection *old = connection_of(live_get(&a->live, view_str(m->connection_id)));
    if (old)
        connection_remove(a, old, false);
    *out_why = MESSAGE_SIGN_IN_TOO_MANY;
    if (live_count(&a->live) >= AUTHORIZE_CONNECTIONS_MAX)
        return NULL;
    struct offered_key key;
    *out_why = MESSAGE_SSH_KEY_UNREADABLE;
    if (offered_key_parse(&key, m->key) != OK)
        return NULL;
    struct connection *c = mem_zalloc(sizeof *c);
    c->key = key;
    c->worker = w;
    c->attempt = m->attempt;
    c->since_ms = authorize_now();
    c->login = mem_strdup(m->login);
    c->route = mem_strdup(m->route);
    c->source = mem_strdup(m->source);
    c->client_version = mem_strdup(m->client_version);
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
    enum message why;
    struct connection *c = connection_new(a, w, m, &why);
    if (!c) {
        deny_check(a, w, m, why);
        return;
    }
    proof_wait(a, c);
}

void connection_decide(struct authorize *a, struct connection *c)
{
    struct decision d;
    if (c->worker->finished)
        return; /* asks elsewhere; removed with its stream */
    if (a->currency.proved < c->check_needs && !authorize_is_fresh(a)) {
        connection_refuse(a, c, MESSAGE_AUTHORIZE_STALE);
        return;
    }
    decide_for(a, c, &d);
    audit_check(a, c, &d, "check");
    answer(a, c, &d);
}

/* Why a live connection that was allowed as `c` says is not allowed any more; NULL: it is. */
static char *cut_sentence(const struct authorize *a, const struct connection *c,
                          const struct decision *d)
{
    const char *route = c->route_name ? c->route_name : c->route;
    if (d->user && c->user_id && *c->user_id && strcmp(c->user_id, d->user->id) != 0)
        return message_format(MESSAGE_CUT_OTHER_USER, NULL);
    if (d->kind == DECISION_ALLOW) {
        if (c->route_id && !d->shell && strcmp(c->route_id, d->route->route->id) != 0)
            return message_format(MESSAGE_CUT_ROUTE_CHANGED, route, NULL);
        return NULL;
    }
    /* A session that is revoked may take its bindings along: the session is what counts. */
    if (d->kind == DECISION_LOGIN && c->session_id && !state_session(&a->state, c->session_id))
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
    };
    if (d->user && c->user_id && *c->user_id && strcmp(c->user_id, d->user->id) != 0)
        return "user";
    if (d->kind == DECISION_LOGIN && c->session_id && !state_session(&a->state, c->session_id))
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
    enum message why;
    /* A waiting one that was shown no code has not been answered: it asks. */
    if (!r->live && *r->code == '\0') {
        connection_check(a, w, &r->check);
        return;
    }
    struct connection *c = connection_new(a, w, &r->check, &why);
    if (!c) {
        IGNORE(convert_send_cut(w->call, r->check.connection_id, message_text(why)), "or ended");
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
