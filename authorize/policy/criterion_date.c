/*
 * date: {after: …, before: …}, from the one on and up to the other; ISO 8601, a date or a date and
 * a time, in UTC unless it says otherwise.
 */
#include "authorize/policy/civil.h"
#include "authorize/policy/clock_rule.h"
#include "authorize/policy/criterion.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { MINUTE_S = 60, HOUR_S = 3600 };

/* `width` digits, at most `max`; then the byte `end` unless it is 0. */
static enum err take(struct view *text, size_t width, unsigned max, char end, unsigned *out)
{
    uint64_t n;
    if (text->len < width)
        return ERR_SYNTAX;
    TRY(text_u64(view_take(*text, width), max, &n));
    *text = view_skip(*text, width);
    if (end && (text->len == 0 || text->ptr[0] != (uint8_t)end))
        return ERR_SYNTAX;
    *text = view_skip(*text, end != 0);
    *out = (unsigned)n;
    return OK;
}

static enum err take_day(struct view *text, int64_t *out_s)
{
    unsigned year;
    unsigned month;
    unsigned day;
    TRY(take(text, 4, 9999, '-', &year));
    TRY(take(text, 2, 12, '-', &month));
    TRY(take(text, 2, 31, 0, &day));
    if (month == 0 || day == 0 || day > civil_month_len(year, month))
        return ERR_RANGE;
    *out_s = civil_days(year, month, day) * CIVIL_DAY_S;
    return OK;
}

/* hh:mm[:ss[.fraction]]; a fraction counts nothing. */
static enum err take_clock(struct view *text, int64_t *out_s)
{
    unsigned hour;
    unsigned minute;
    unsigned second = 0;
    TRY(take(text, 2, 23, ':', &hour));
    TRY(take(text, 2, 59, 0, &minute));
    if (text->len && text->ptr[0] == ':') {
        *text = view_skip(*text, 1);
        TRY(take(text, 2, 60, 0, &second));
        if (text->len > 1 && text->ptr[0] == '.' && text_is_digit(text->ptr[1])) {
            *text = view_skip(*text, 1);
            while (text->len && text_is_digit(text->ptr[0]))
                *text = view_skip(*text, 1);
        }
    }
    *out_s = hour * HOUR_S + minute * MINUTE_S + second;
    return OK;
}

/* Nothing, Z or ±hh:mm. */
static enum err take_offset(struct view *text, int64_t *out_s)
{
    unsigned hour;
    unsigned minute;
    *out_s = 0;
    if (text->len == 0)
        return OK;
    uint8_t sign = text->ptr[0];
    *text = view_skip(*text, 1);
    if (text_lower(sign) == 'z')
        return OK;
    if (sign != '+' && sign != '-')
        return ERR_SYNTAX;
    TRY(take(text, 2, 23, ':', &hour));
    TRY(take(text, 2, 59, 0, &minute));
    int64_t s = hour * HOUR_S + minute * MINUTE_S;
    *out_s = sign == '-' ? -s : s;
    return OK;
}

static enum err parse_moment(struct view text, int64_t *out_s)
{
    int64_t day;
    int64_t clock = 0;
    int64_t offset = 0;
    TRY(take_day(&text, &day));
    if (text.len) {
        if (text_lower(text.ptr[0]) != 't' && text.ptr[0] != ' ')
            return ERR_SYNTAX;
        text = view_skip(text, 1);
        TRY(take_clock(&text, &clock));
        TRY(take_offset(&text, &offset));
    }
    if (text.len || day + clock < offset)
        return ERR_SYNTAX;
    *out_s = day + clock - offset;
    return OK;
}

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    struct clock_rule *r = c->clock = mem_zalloc(sizeof *r);
    r->before = INT64_MAX;
    if (data->type != NODE_MAP || data->count == 0) {
        policy_error(s, data, "expected a map with after, before or both");
        return;
    }
    for (size_t i = 0; i < data->count; i++) {
        const struct node *n = data->items[i];
        bool after = strcmp(data->keys[i], "after") == 0;
        if (!after && strcmp(data->keys[i], "before") != 0)
            policy_error(s, n, "unknown operator \"%s\"; known are after, before", data->keys[i]);
        else if (n->type != NODE_SCALAR ||
                 parse_moment(node_view(n), after ? &r->after : &r->before) != OK)
            policy_error(s, n, "expected a date such as 2026-01-31 or 2026-01-31T16:20:00Z");
    }
}

static bool match(const struct criterion *c, const struct facts *f)
{
    return (int64_t)f->now_s >= c->clock->after && (int64_t)f->now_s < c->clock->before;
}

static uint64_t next_edge(const struct criterion *c, uint64_t now_s)
{
    const struct clock_rule *r = c->clock;
    if ((int64_t)now_s < r->after)
        return (uint64_t)r->after;
    return (int64_t)now_s < r->before && r->before != INT64_MAX ? (uint64_t)r->before : UINT64_MAX;
}

const struct criterion_type criterion_date = {
    .name = "date",
    .about = CRITERION_ABOUT_REQUEST,
    .ok = REASON_DATE_OK,
    .not_ok = REASON_DATE_UNAUTHORIZED,
    .parse = parse,
    .match = match,
    .next_edge = next_edge,
};
