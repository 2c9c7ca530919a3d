#include "authorize/audit.h"

#include "common/base/check.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { FIELDS_MAX = 32 };

struct fields {
    struct log_field items[FIELDS_MAX];
    size_t count;
    const struct config_list *wanted; /* authorize_log_fields; empty = all */
};

static bool is_wanted(const struct fields *f, const char *name)
{
    for (size_t i = 0; i < f->wanted->count; i++) {
        if (strcmp(f->wanted->items[i].text, name) == 0)
            return true;
    }
    return f->wanted->count == 0;
}

/* The outcome is always there: a line without it would say nothing. */
static void put(struct fields *f, bool always, struct log_field field)
{
    CHECK(f->count < FIELDS_MAX - 1);
    if (always || is_wanted(f, field.name))
        f->items[f->count++] = field;
}

static void put_text(struct fields *f, const char *name, const char *value)
{
    if (value && *value)
        put(f, false, LOG_STR(name, value));
}

/* allow or deny with the reasons for it: why true, or why false. */
struct side {
    const char *texts[REASON_COUNT];
    size_t count;
};

static void put_side(struct fields *f, const char *name, const char *const why[2],
                     const struct verdict_side *v, struct side *store)
{
    store->count = reasons_texts(v->why, store->texts);
    put(f, true, LOG_BOOL(name, v->hit));
    put(f, true, LOG_STRS(why[v->hit], store->texts, store->count));
}

static void count_decision(const struct connection *c, const struct decision *d)
{
    static const char *const names[] = {[DECISION_ALLOW] = "allow",
                                        [DECISION_DENY] = "deny",
                                        [DECISION_LOGIN] = "login",
                                        [DECISION_TRY_NEXT_KEY] = "next_key"};
    metrics_add(METRIC_AUTHORIZE_DECISIONS, 1, names[d->kind], protocol_name(c->protocol));
}

/* What HTTP says; never the token. */
static void put_request(struct fields *f, const struct connection *c)
{
    put_text(f, "request-id", c->tunnel->request_id);
    put_text(f, "protocol", protocol_name(c->protocol));
    put_text(f, "method", c->tunnel->method);
    put_text(f, "host", c->tunnel->authority);
    put(f, false, LOG_STR("path", c->tunnel->path));
    put_text(f, "user-agent", c->tunnel->user_agent);
}

void audit_check(struct authorize *a, const struct connection *c, const struct decision *d,
                 const char *event)
{
    static const char *const allow_why[2] = {"allow-why-false", "allow-why-true"};
    static const char *const deny_why[2] = {"deny-why-false", "deny-why-true"};
    const char *route = d->route ? d->route->route->name : c->route;
    struct fields f = {.wanted = &a->snapshot->config->authorize_log_fields};
    struct side allow;
    struct side deny;
    struct verdict v = d->verdict;
    count_decision(c, d);
    if (d->why == WHY_ROUTE_UNKNOWN)
        v.deny = (struct verdict_side){true, reasons_of(REASON_ROUTE_NOT_FOUND)};
    if (d->shell || c->protocol == PROTOCOL_HTTP)
        v.allow = (struct verdict_side){
            d->kind == DECISION_ALLOW,
            reasons_of(d->kind == DECISION_ALLOW ? REASON_USER_OK : REASON_USER_UNAUTHENTICATED)};
    /* A public route asks for a login all the same. */
    if (d->kind == DECISION_LOGIN && v.allow.hit)
        v.allow = (struct verdict_side){false, reasons_of(REASON_USER_UNAUTHENTICATED)};
    put_text(&f, "event", event);
    put_text(&f, "connection-id", connection_id(c));
    if (c->tunnel)
        put_request(&f, c);
    put_text(&f, "session-id", d->session ? d->session->id : NULL);
    put_text(&f, "service-account-id", d->account ? d->account->id : NULL);
    put_text(&f, "user", d->user_id);
    put_text(&f, "email", d->email);
    put_text(&f, "route", route);
    put_text(&f, "route-id", d->route ? d->route->route->id : NULL);
    put_text(&f, "login", c->login);
    put_text(&f, "publickey-fingerprint", c->key.fingerprint);
    put_text(&f, "ip", c->source);
    put(&f, true, LOG_STR("decision", decision_kind_name(d->kind)));
    put_side(&f, "allow", allow_why, &v.allow, &allow);
    put_side(&f, "deny", deny_why, &v.deny, &deny);
    if (d->why != WHY_ALLOWED)
        put(&f, true, LOG_STR("reason", decision_why_name(d->why)));
    f.items[f.count] = (struct log_field){.type = LOG_TYPE_END};
    log_write(CONFIG_LOG_INFO, "authorize check", f.items);
}

void audit_cut(const struct connection *c)
{
    log_info("connection cut", LOG_STR("connection-id", connection_id(c)),
             LOG_STR("protocol", protocol_name(c->protocol)), LOG_STR("session-id", c->session_id),
             LOG_STR("service-account-id", c->account_id), LOG_STR("user", c->user_id),
             LOG_STR("email", c->email), LOG_STR("route", c->route_name),
             LOG_STR("login", c->login), LOG_STR("publickey-fingerprint", c->key.fingerprint),
             LOG_STR("ip", c->source), LOG_STR("reason", c->cut_reason));
}

void audit_no_certificate(const struct connection *c, const char *id, const char *upstream,
                          const char *reason, const char *sentence)
{
    log_warn("certificate refused", LOG_STR("connection-id", id),
             LOG_STR("session-id", c ? c->session_id : ""), LOG_STR("user", c ? c->user_id : ""),
             LOG_STR("email", c ? c->email : ""), LOG_STR("route", c ? c->route_name : ""),
             LOG_STR("login", c ? c->login : ""), LOG_STR("upstream", upstream),
             LOG_STR("reason", reason), LOG_STR("text", sentence));
}

void audit_certificate(const struct connection *c, uint64_t serial, uint64_t valid_before_s,
                       const char *upstream)
{
    log_info("certificate issued", LOG_STR("connection-id", connection_id(c)),
             LOG_STR("session-id", c->session_id), LOG_STR("user", c->user_id),
             LOG_STR("email", c->email), LOG_STR("route", c->route_name),
             LOG_STR("login", c->login), LOG_U64("cert-serial", serial),
             LOG_U64("valid-before", valid_before_s), LOG_STR("upstream", upstream));
}
