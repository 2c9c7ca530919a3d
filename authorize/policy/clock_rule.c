#include "authorize/policy/clock_rule.h"

#include "authorize/policy/civil.h"

bool clock_rule_zone(struct clock_rule *r, const struct policy_source *s, const struct node *n)
{
    r->zone = NULL;
    if (!n || n->type == NODE_NULL)
        return true;
    enum err e = ERR_SYNTAX;
    if (n->type == NODE_SCALAR)
        e = zones_get(s->zones, node_view(n), &r->zone);
    if (e != OK)
        policy_error(s, n,
                     "expected a time zone such as Europe/Berlin or UTC that this host has a file "
                     "for (package tzdata)");
    return e == OK;
}

int64_t clock_rule_local(const struct clock_rule *r, uint64_t now_s, int64_t *out_until_s)
{
    int64_t now = (int64_t)now_s;
    return now + zone_offset(r->zone, now, out_until_s);
}

uint64_t clock_rule_next(const struct clock_rule *r, uint64_t now_s, int64_t of_day)
{
    int64_t until;
    int64_t local = clock_rule_local(r, now_s, &until);
    int64_t next = civil_floor_div(local, CIVIL_DAY_S) * CIVIL_DAY_S + of_day;
    if (next <= local)
        next += CIVIL_DAY_S;
    int64_t at = (int64_t)now_s + (next - local);
    return (uint64_t)(at < until ? at : until);
}
