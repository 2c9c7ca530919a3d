/* The rule at the end of a TZif file: a POSIX TZ string, "CET-1CEST,M3.5.0,M10.5.0/3". */
#ifndef AUTHORIZE_POLICY_ZONE_RULE_H
#define AUTHORIZE_POLICY_ZONE_RULE_H

#include "common/base/err.h"
#include "common/base/view.h"

/* A day of each year and the local time of it at which a clock changes. */
struct zone_date {
    char form; /* 'M': week and weekday of a month; 'J': day 1…365 without 29 February; 'D' */
    unsigned month;
    unsigned week; /* 5: the last */
    unsigned day;  /* M: weekday, 0 = Sunday; J: 1…365; D: 0…365 */
    int32_t time;  /* seconds after midnight, -167 h … 167 h */
};

struct zone_rule {
    int32_t standard; /* seconds east of UTC */
    bool has_summer;
    int32_t summer;
    struct zone_date begin; /* of summer time, in standard time */
    struct zone_date end;   /* in summer time */
};

/* RFC 8536 §3.3.1. ERR_SYNTAX. */
enum err zone_rule_parse(struct view text, struct zone_rule *out);

/* As zone_offset. */
int32_t zone_rule_offset(const struct zone_rule *r, int64_t now_s, int64_t *out_until_s);

#endif
