/*
 * time_of_day: {timezone: …, after: …, before: …}, from the one on and up to the other, over
 * midnight when `after` is the later; "16:30", "2:20:00", "4:30PM". Without a timezone it is UTC.
 */
#include "authorize/policy/civil.h"
#include "authorize/policy/clock_rule.h"
#include "authorize/policy/criterion.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { PARTS_MAX = 3, NOON_H = 12 };

/* Cuts "AM" or "PM" off. */
static bool take_half(struct view *text, bool *out_pm)
{
    if (text->len < 2 || text_lower(text->ptr[text->len - 1]) != 'm')
        return false;
    uint8_t c = text_lower(text->ptr[text->len - 2]);
    if (c != 'a' && c != 'p')
        return false;
    *out_pm = c == 'p';
    *text = view_trim(view_take(*text, text->len - 2));
    return true;
}

static enum err parse_clock(struct view text, int64_t *out_s)
{
    uint64_t parts[PARTS_MAX] = {0};
    size_t count = 0;
    bool pm = false;
    bool half = take_half(&text, &pm);
    struct view part;
    while (view_next(&text, ':', &part)) {
        if (count == PARTS_MAX || part.len > 2)
            return ERR_SYNTAX;
        TRY(text_u64(part, 59, &parts[count++]));
    }
    uint64_t hour = parts[0];
    if ((count == 1 && !half) || (half ? hour < 1 || hour > NOON_H : hour > 23))
        return ERR_RANGE;
    if (half)
        hour = hour % NOON_H + (pm ? NOON_H : 0);
    *out_s = (int64_t)((hour * 60 + parts[1]) * 60 + parts[2]);
    return OK;
}

static void parse_part(struct clock_rule *r, const struct policy_source *s, const char *key,
                       const struct node *n)
{
    bool after = strcmp(key, "after") == 0;
    if (strcmp(key, "timezone") == 0)
        (void)clock_rule_zone(r, s, n);
    else if (!after && strcmp(key, "before") != 0)
        policy_error(s, n, "unknown part \"%s\"; known are timezone, after, before", key);
    else if (n->type != NODE_SCALAR ||
             parse_clock(view_trim(node_view(n)), after ? &r->after : &r->before) != OK)
        policy_error(s, n, "expected a time such as 16:30, 4:30PM or 16:30:00");
}

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    struct clock_rule *r = c->clock = mem_zalloc(sizeof *r);
    size_t errors = s->diag->errors;
    r->before = CIVIL_DAY_S;
    if (!node_get(data, "after") && !node_get(data, "before")) {
        policy_error(s, data, "expected a map with after, before or both, and timezone");
        return;
    }
    for (size_t i = 0; i < data->count; i++)
        parse_part(r, s, data->keys[i], data->items[i]);
    if (r->after == r->before && s->diag->errors == errors)
        policy_error(s, data, "after and before are the same: it would never be true");
}

static bool match(const struct criterion *c, const struct facts *f)
{
    const struct clock_rule *r = c->clock;
    int64_t until;
    int64_t local = clock_rule_local(r, f->now_s, &until);
    int64_t of_day = local - civil_floor_div(local, CIVIL_DAY_S) * CIVIL_DAY_S;
    bool begun = of_day >= r->after;
    bool over = of_day >= r->before;
    return r->after < r->before ? begun && !over : begun || !over;
}

static uint64_t next_edge(const struct criterion *c, uint64_t now_s)
{
    uint64_t a = clock_rule_next(c->clock, now_s, c->clock->after);
    uint64_t b = clock_rule_next(c->clock, now_s, c->clock->before);
    return a < b ? a : b;
}

const struct criterion_type criterion_time_of_day = {
    .name = "time_of_day",
    .about = CRITERION_ABOUT_REQUEST,
    .ok = REASON_TIME_OF_DAY_OK,
    .not_ok = REASON_TIME_OF_DAY_UNAUTHORIZED,
    .parse = parse,
    .match = match,
    .next_edge = next_edge,
};
