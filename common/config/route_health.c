/*
 * health_checks and outlier_detection: Pomerium takes Envoy's messages in their JSON form, so names
 * may be written in snake_case or camelCase and durations as "5s".
 */
#include "common/base/check.h"
#include "common/base/text.h"
#include "common/config/route_parse.h"

enum { CHECKS_MAX = 16, THRESHOLD_MAX = 1000, PERCENT_MAX = 100, SECOND = 1000 };

/* "tcpHealthCheck" is "tcp_health_check". */
static bool is_name(const char *written, const char *name)
{
    for (;; written++, name++) {
        while (*written == '_')
            written++;
        while (*name == '_')
            name++;
        if (text_lower((uint8_t)*written) != (uint8_t)*name)
            return false;
        if (!*name)
            return true;
    }
}

/* --- health_checks --- */

/* What is there besides says more than a connection can: it is not looked at. */
static void take_kind(struct route_context *c, const char *name, const struct node *n,
                      enum route_health_kind kind, struct route_health_check *out)
{
    out->kind = kind;
    if (n->type == NODE_MAP && n->count)
        diag_warn(c->diag, n->at, "health_checks",
                  "%s: %s is not supported, ignored: the endpoint is well when %s", name,
                  n->keys[0],
                  kind == ROUTE_HEALTH_TCP ? "it takes a connection"
                                           : "it speaks SSH and exchanges keys");
    else if (n->type != NODE_MAP && n->type != NODE_NULL)
        route_fail(c, n->at, "health_checks", "%s: expected {}, got %s", name, node_type_name(n));
}

static bool take_check_key(struct route_context *c, const char *name, const struct node *n,
                           struct route_health_check *out)
{
    if (is_name(name, "timeout"))
        route_take_duration(c, "health_checks", n, &out->timeout);
    else if (is_name(name, "interval"))
        route_take_duration(c, "health_checks", n, &out->interval);
    else if (is_name(name, "unhealthy_threshold"))
        route_take_number(c, "health_checks", n, THRESHOLD_MAX, &out->unhealthy_threshold);
    else if (is_name(name, "healthy_threshold"))
        route_take_number(c, "health_checks", n, THRESHOLD_MAX, &out->healthy_threshold);
    else
        return false;
    return true;
}

static void parse_check(struct route_context *c, const struct node *n,
                        struct route_health_check *out)
{
    static const char key[] = "health_checks";
    size_t kinds = 0;
    struct route_health_check check = {.interval = 15 * SECOND,
                                       .timeout = 5 * SECOND,
                                       .unhealthy_threshold = 3,
                                       .healthy_threshold = 2};
    if (n->type != NODE_MAP) {
        route_fail(c, n->at, key, "expected {interval, timeout, tcp_health_check: {}}, got %s",
                   node_type_name(n));
        return;
    }
    for (size_t i = 0; i < n->count; i++) {
        const char *name = n->keys[i];
        bool tcp = is_name(name, "tcp_health_check");
        bool ssh = is_name(name, "ssh_health_check");
        if (tcp || ssh) {
            kinds++;
            take_kind(c, name, n->items[i], tcp ? ROUTE_HEALTH_TCP : ROUTE_HEALTH_SSH, &check);
        } else if (is_name(name, "http_health_check") || is_name(name, "grpc_health_check") ||
                   is_name(name, "custom_health_check")) {
            kinds++;
            route_fail(c, n->key_at[i], key,
                       "%s: not supported on a %s route: use tcp_health_check or "
                       "ssh_health_check",
                       name, route_kind_name(c->route->kind));
        } else if (!take_check_key(c, name, n->items[i], &check)) {
            diag_warn(c->diag, n->key_at[i], key, "%s: not supported, ignored", name);
        }
    }
    if (kinds != 1)
        route_fail(c, n->at, key, "expected one of tcp_health_check, ssh_health_check");
    if (!check.interval || !check.timeout || !check.unhealthy_threshold || !check.healthy_threshold)
        route_fail(c, n->at, key, "times and thresholds have to be above 0");
    *out = check;
}

void route_take_health_checks(struct route_context *c, const char *key, const struct node *n)
{
    struct route_tunnel *t = c->tunnel;
    if (n->type == NODE_NULL)
        return;
    if (n->type != NODE_LIST || n->count > CHECKS_MAX) {
        route_fail(c, n->at, key, "expected a list of at most 16 health checks");
        return;
    }
    if (n->count && c->route->kind == ROUTE_UDP) {
        diag_warn(c->diag, n->at, key,
                  "does nothing on a udp route: there is no answer to wait for");
        return;
    }
    t->health_checks = tree_alloc(c->tree, n->count * sizeof *t->health_checks);
    for (size_t i = 0; i < n->count; i++)
        parse_check(c, n->items[i], &t->health_checks[i]);
    t->health_check_count = n->count;
}

/* --- outlier_detection --- */

/* Envoy counts three kinds of failures; a tunnel has one, and the strictest limit is meant. */
static void take_failures(struct route_context *c, const struct node *n, bool *seen)
{
    struct route_outlier *o = &c->tunnel->outlier;
    uint32_t count = 0;
    route_take_number(c, "outlier_detection", n, THRESHOLD_MAX, &count);
    if (count && (!*seen || count < o->consecutive_failures)) {
        o->consecutive_failures = count;
        *seen = true;
    }
}

void route_take_outlier(struct route_context *c, const char *key, const struct node *n)
{
    struct route_outlier *o = &c->tunnel->outlier;
    bool seen = false;
    uint64_t unused;
    if (n->type == NODE_NULL)
        return;
    if (n->type != NODE_MAP) {
        route_fail(c, n->at, key, "expected a map, got %s", node_type_name(n));
        return;
    }
    o->enabled = true;
    for (size_t i = 0; i < n->count; i++) {
        const char *name = n->keys[i];
        const struct node *value = n->items[i];
        if (is_name(name, "consecutive_5xx") || is_name(name, "consecutive_gateway_failure") ||
            is_name(name, "consecutive_local_origin_failure"))
            take_failures(c, value, &seen);
        else if (is_name(name, "base_ejection_time"))
            route_take_duration(c, key, value, &o->base_ejection);
        else if (is_name(name, "max_ejection_time"))
            route_take_duration(c, key, value, &o->max_ejection);
        else if (is_name(name, "max_ejection_percent"))
            route_take_number(c, key, value, PERCENT_MAX, &o->max_ejection_percent);
        else if (is_name(name, "interval")) /* failures count at once */
            route_take_duration(c, key, value, &unused);
        else
            diag_warn(c->diag, n->key_at[i], key, "%s: not supported, ignored", name);
    }
    if (o->base_ejection == 0)
        route_fail(c, n->at, key, "base_ejection_time has to be above 0");
    if (o->max_ejection < o->base_ejection)
        o->max_ejection = o->base_ejection;
}
