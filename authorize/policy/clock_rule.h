/* What the criteria about time share: when they are true, and when that may change. */
#ifndef AUTHORIZE_POLICY_CLOCK_RULE_H
#define AUTHORIZE_POLICY_CLOCK_RULE_H

#include "authorize/policy/matcher.h"
#include "authorize/policy/zone.h"

struct clock_rule {
    const struct zone *zone; /* NULL: UTC; lives with the zones of the policy */
    int64_t after;           /* date: seconds since 1970; time of day: since midnight */
    int64_t before;          /* not included */
    uint8_t days;            /* bit 0: Sunday */
};

/* The zone that `n` names, UTC when it is NULL. False after an error. */
bool clock_rule_zone(struct clock_rule *r, const struct policy_source *s, const struct node *n);

/* Local time in seconds, as if the zone were UTC; *out_until_s: when its offset changes. */
int64_t clock_rule_local(const struct clock_rule *r, uint64_t now_s, int64_t *out_until_s);

/*
 * The next moment at which local time is `of_day` seconds after midnight (86400: midnight), or the
 * offset changes, whichever comes first.
 */
uint64_t clock_rule_next(const struct clock_rule *r, uint64_t now_s, int64_t of_day);

#endif
