#include "authorize/policy/zone_rule.h"

#include "authorize/policy/civil.h"
#include "common/base/text.h"

enum { HOUR_S = 3600, MINUTE_S = 60, OFFSET_HOURS = 24, TIME_HOURS = 167, DIGITS_MAX = 3 };

/* --- reading --- */

static enum err take_number(struct view *text, uint64_t max, uint64_t *out)
{
    size_t n = 0;
    while (n < text->len && n < DIGITS_MAX && text_is_digit(text->ptr[n]))
        n++;
    TRY(text_u64(view_take(*text, n), max, out));
    *text = view_skip(*text, n);
    return OK;
}

static bool take_byte(struct view *text, uint8_t byte)
{
    if (text->len == 0 || text->ptr[0] != byte)
        return false;
    *text = view_skip(*text, 1);
    return true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static enum err take_time(struct view *text, unsigned hours, int32_t *out)
{
    uint64_t h = 0;
    uint64_t m = 0;
    uint64_t s = 0;
    bool negative = take_byte(text, '-');
    if (!negative)
        (void)take_byte(text, '+');
    TRY(take_number(text, hours, &h));
    if (take_byte(text, ':')) {
        TRY(take_number(text, 59, &m));
        if (take_byte(text, ':'))
            TRY(take_number(text, 59, &s));
    }
    int32_t seconds = (int32_t)(h * HOUR_S + m * MINUTE_S + s);
    *out = negative ? -seconds : seconds;
    return OK;
}

/* Letters, or anything between < and >. */
static enum err take_name(struct view *text)
{
    size_t n = 0;
    if (take_byte(text, '<')) {
        ptrdiff_t end = view_find(*text, '>');
        if (end < 1)
            return ERR_SYNTAX;
        *text = view_skip(*text, (size_t)end + 1);
        return OK;
    }
    while (n < text->len && text_is_alpha(text->ptr[n]))
        n++;
    *text = view_skip(*text, n);
    return n >= 3 ? OK : ERR_SYNTAX;
}

/* POSIX counts west of Greenwich. */
static enum err take_offset(struct view *text, int32_t *out)
{
    int32_t west;
    TRY(take_time(text, OFFSET_HOURS, &west));
    *out = -west;
    return OK;
}

static enum err take_month_form(struct view *text, struct zone_date *d)
{
    uint64_t month;
    uint64_t week;
    uint64_t day;
    TRY(take_number(text, 12, &month));
    if (!take_byte(text, '.'))
        return ERR_SYNTAX;
    TRY(take_number(text, 5, &week));
    if (!take_byte(text, '.'))
        return ERR_SYNTAX;
    TRY(take_number(text, 6, &day));
    if (month == 0 || week == 0)
        return ERR_SYNTAX;
    *d = (struct zone_date){'M', (unsigned)month, (unsigned)week, (unsigned)day, 2 * HOUR_S};
    return OK;
}

static enum err take_date(struct view *text, struct zone_date *out)
{
    struct zone_date d = {.form = 'D', .time = 2 * HOUR_S};
    if (!take_byte(text, ','))
        return ERR_SYNTAX;
    if (take_byte(text, 'M')) {
        TRY(take_month_form(text, &d));
    } else {
        uint64_t day;
        if (take_byte(text, 'J'))
            d.form = 'J';
        TRY(take_number(text, 365, &day));
        if (d.form == 'J' && day == 0)
            return ERR_SYNTAX;
        d.day = (unsigned)day;
    }
    if (take_byte(text, '/'))
        TRY(take_time(text, TIME_HOURS, &d.time));
    *out = d;
    return OK;
}

enum err zone_rule_parse(struct view text, struct zone_rule *out)
{
    struct zone_rule r = {0};
    TRY(take_name(&text));
    TRY(take_offset(&text, &r.standard));
    if (text.len == 0) {
        *out = r;
        return OK;
    }
    r.has_summer = true;
    r.summer = r.standard + HOUR_S;
    TRY(take_name(&text));
    if (text.len && text.ptr[0] != ',')
        TRY(take_offset(&text, &r.summer));
    TRY(take_date(&text, &r.begin));
    TRY(take_date(&text, &r.end));
    if (text.len)
        return ERR_SYNTAX;
    *out = r;
    return OK;
}

/* --- what it means --- */

static int64_t month_form_day(const struct zone_date *d, int64_t year)
{
    int64_t first = civil_days(year, d->month, 1);
    unsigned length = civil_month_len(year, d->month);
    unsigned ahead = (d->day + 7 - civil_weekday(first)) % 7;
    unsigned day = ahead + (d->week - 1) * 7;
    return first + (day < length ? day : day - 7);
}

/* Local time of the change in that year. */
static int64_t date_local(const struct zone_date *d, int64_t year)
{
    int64_t day;
    if (d->form == 'M') {
        day = month_form_day(d, year);
    } else {
        bool skips = d->form == 'J' && d->day >= 60 && civil_month_len(year, 2) == 29;
        day = civil_days(year, 1, 1) + d->day - (d->form == 'J') + skips;
    }
    return day * CIVIL_DAY_S + d->time;
}

int32_t zone_rule_offset(const struct zone_rule *r, int64_t now_s, int64_t *out_until_s)
{
    int64_t last = INT64_MIN;
    int64_t next = INT64_MAX;
    int32_t offset = r->standard;
    int64_t year = civil_year(civil_floor_div(now_s + r->standard, CIVIL_DAY_S));
    /* A change may be a week away from its year: that of two years ago may be the last one. */
    for (int64_t y = year - 2; r->has_summer && y <= year + 2; y++) {
        const struct {
            int64_t at;
            int32_t offset;
        } changes[] = {{date_local(&r->begin, y) - r->standard, r->summer},
                       {date_local(&r->end, y) - r->summer, r->standard}};
        for (int i = 0; i < 2; i++) {
            if (changes[i].at <= now_s && changes[i].at >= last) {
                last = changes[i].at;
                offset = changes[i].offset;
            }
            if (changes[i].at > now_s && changes[i].at < next)
                next = changes[i].at;
        }
    }
    *out_until_s = next;
    return offset;
}
