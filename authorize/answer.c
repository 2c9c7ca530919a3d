#include "authorize/answer.h"

#include "authorize/host_key.h"
#include "authorize/portal.h"
#include "authorize/signin.h"
#include "common/base/mem.h"
#include "common/crypto/match_code.h"
#include "common/daemon/log.h"

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

static void tell(const struct connection *c, const struct stream_decision *d)
{
    worker_sent(c->worker, convert_send_decision(c->worker->call, d));
}

void answer_check(struct authorize *a, struct worker *w, const struct stream_check *m,
                  enum message sentence, enum stream_cause cause)
{
    bool is_ssh = m->protocol == PROTOCOL_SSH;
    struct stream_decision out = {
        .connection_id = m->connection_id,
        .attempt = m->attempt,
        .verdict = STREAM_DENY,
        .sentence = message_text(sentence),
        .state = authorize_version(a),
        .expires_ms = STATE_NEVER,
        .cause = is_ssh ? STREAM_CAUSE_NONE : cause,
    };
    worker_sent(w, convert_send_decision(w->call, &out));
    log_info("authorize check", LOG_STR("event", "check"),
             LOG_STR("connection-id", m->connection_id),
             LOG_STR("route", is_ssh ? m->route : m->tunnel.authority), LOG_STR("login", m->login),
             LOG_STR("ip", m->source), LOG_STR("decision", "deny"), LOG_BOOL("allow", false),
             LOG_BOOL("deny", true), LOG_STR("reason", message_name(sentence)));
}

void answer_unavailable(struct authorize *a, struct connection *c, enum message sentence)
{
    struct stream_decision out = answer_of(a, c);
    out.verdict = STREAM_DENY;
    out.sentence = message_text(sentence);
    out.cause = c->tunnel ? STREAM_CAUSE_UNAVAILABLE : STREAM_CAUSE_NONE;
    tell(c, &out);
}

/* --- refusals --- */

static enum stream_cause cause_of(const struct decision *d)
{
    if (d->kind == DECISION_LOGIN)
        return d->why == WHY_NO_TOKEN ? STREAM_CAUSE_UNAUTHENTICATED : STREAM_CAUSE_TOKEN_INVALID;
    if (d->why == WHY_ROUTE_UNKNOWN)
        return STREAM_CAUSE_ROUTE_NOT_FOUND;
    if (d->why == WHY_CLIENT_CERTIFICATE)
        return STREAM_CAUSE_CLIENT_CERTIFICATE;
    return STREAM_CAUSE_POLICY;
}

void answer_refusal(struct authorize *a, struct connection *c, const struct decision *d)
{
    struct stream_decision out = answer_of(a, c);
    struct ask ask = connection_ask(c);
    AUTO_FREE char *sentence = decision_sentence(d, &ask);
    AUTO_FREE char *url = NULL;
    struct stream_login login = {0};
    const char *reasons[REASON_COUNT];
    out.verdict = d->kind == DECISION_TRY_NEXT_KEY ? STREAM_TRY_NEXT_KEY : STREAM_DENY;
    out.sentence = sentence;
    out.reasons = reasons;
    out.reason_count =
        reasons_texts(d->verdict.deny.hit ? d->verdict.deny.why : d->verdict.allow.why, reasons);
    if (c->tunnel)
        out.cause = cause_of(d);
    if (d->kind == DECISION_LOGIN) {
        url = portal_sign_in_url(a->snapshot, &ask, d, authorize_now());
        login = (struct stream_login){.url = url, .expires_ms = STATE_NEVER};
        out.verdict = STREAM_LOGIN;
        out.login = &login;
    }
    tell(c, &out);
}

/* --- allows --- */

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
    out.service_account = c->account_id && *c->account_id;
    return out;
}

static void allow_ssh(struct authorize *a, struct connection *c, const struct decision *d)
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
    tell(c, &out);
}

static void allow_tunnel(struct authorize *a, struct connection *c, const struct decision *d)
{
    const char *reasons[REASON_COUNT];
    struct stream_decision out = allow_of(a, c);
    out.reasons = reasons;
    out.reason_count = reasons_texts(d->verdict.allow.why, reasons);
    tell(c, &out);
}

static void allow_http(struct authorize *a, struct connection *c, const struct decision *d)
{
    struct stream_decision out = answer_of(a, c);
    struct ask ask = connection_ask(c);
    AUTO(buf_fini) struct buf body;
    buf_init(&body, PORTAL_MAX);
    out.verdict = STREAM_ALLOW;
    out.session_id = d->session ? d->session->id : NULL;
    out.user_id = d->user_id;
    out.email = d->email;
    out.service_account = d->account != NULL;
    out.expires_ms = d->expires_ms;
    if (strcmp(c->tunnel->path, DECIDE_PATH_ROUTES) == 0 &&
        portal_routes(a->snapshot, &a->state, &ask, d, authorize_now(), &body) != OK) {
        log_error("list of routes is too long");
        answer_unavailable(a, c, MESSAGE_ROUTES_TOO_MANY);
        return;
    }
    out.body = buf_view(&body);
    tell(c, &out);
}

void answer_allow(struct authorize *a, struct connection *c, const struct decision *d)
{
    struct stream_decision out;
    switch (c->protocol) {
    case PROTOCOL_SSH:
        if (!d->shell) {
            allow_ssh(a, c, d);
            break;
        }
        out = allow_of(a, c);
        out.shell = true;
        tell(c, &out);
        break;
    case PROTOCOL_TCP:
    case PROTOCOL_UDP:
        allow_tunnel(a, c, d);
        break;
    case PROTOCOL_HTTP:
        allow_http(a, c, d);
        break;
    }
}

void answer_login(struct authorize *a, const struct connection *c)
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
    tell(c, &out);
}
