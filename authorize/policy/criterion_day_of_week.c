/*
 * day_of_week: "*", "mon,wed" or "tue-fri", in UTC; or {days: …, timezone: …}, which is not in
 * Pomerium.
 */
#include "authorize/policy/civil.h"
#include "authorize/policy/clock_rule.h"
#include "authorize/policy/criterion.h"
#include "common/base/check.h"
#include "common/base/mem.h"

enum { DAYS = 7, ALL_DAYS = 127 };

/* The first three letters or the whole name. */
static int day_of(struct view name)
{
    static const char *const names[] = {"sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday"};
    for (int i = 0; i < DAYS; i++) {
        if (view_eq_case(name, view_str(names[i])) ||
            view_eq_case(name, view_take(view_str(names[i]), 3)))
            return i;
    }
    return -1;
}

/* "fri-mon" goes over the end of the week. */
static bool add_days(struct view text, uint8_t *days)
{
    ptrdiff_t dash = view_find(text, '-');
    int first = day_of(view_trim(dash < 0 ? text : view_take(text, (size_t)dash)));
    int last = dash < 0 ? first : day_of(view_trim(view_skip(text, (size_t)dash + 1)));
    if (view_eq_str(text, "*")) {
        *days = ALL_DAYS;
        return true;
    }
    if (first < 0 || last < 0)
        return false;
    for (int day = first;; day = (day + 1) % DAYS) {
        *days = (uint8_t)(*days | 1 << day);
        if (day == last)
            return true;
    }
}

static void parse_days(struct clock_rule *r, const struct policy_source *s, const struct node *n)
{
    struct view rest = node_view(n);
    struct view part;
    bool ok = n->type == NODE_SCALAR && n->len > 0;
    while (ok && view_next(&rest, ',', &part))
        ok = add_days(view_trim(part), &r->days);
    if (!ok)
        policy_error(s, n, "expected days such as \"mon,wed\", \"tue-fri\" or \"*\"");
}

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    struct clock_rule *r = c->clock = mem_zalloc(sizeof *r);
    const struct node *days = data->type == NODE_MAP ? node_get(data, "days") : data;
    if (!days) {
        policy_error(s, data, "expected days such as \"mon,wed\", or {days: …, timezone: …}");
        return;
    }
    parse_days(r, s, days);
    for (size_t i = 0; data->type == NODE_MAP && i < data->count; i++) {
        if (strcmp(data->keys[i], "timezone") == 0)
            (void)clock_rule_zone(r, s, data->items[i]);
        else if (strcmp(data->keys[i], "days") != 0)
            policy_error(s, data->items[i], "unknown part \"%s\"; known are days, timezone",
                         data->keys[i]);
    }
}

static bool match(const struct criterion *c, const struct facts *f)
{
    int64_t until;
    int64_t local = clock_rule_local(c->clock, f->now_s, &until);
    return c->clock->days >> civil_weekday(civil_floor_div(local, CIVIL_DAY_S)) & 1;
}

static uint64_t next_edge(const struct criterion *c, uint64_t now_s)
{
    return c->clock->days == ALL_DAYS ? UINT64_MAX : clock_rule_next(c->clock, now_s, CIVIL_DAY_S);
}

const struct criterion_type criterion_day_of_week = {
    .name = "day_of_week",
    .about = CRITERION_ABOUT_REQUEST,
    .ok = REASON_DAY_OF_WEEK_OK,
    .not_ok = REASON_DAY_OF_WEEK_UNAUTHORIZED,
    .parse = parse,
    .match = match,
    .next_edge = next_edge,
};
