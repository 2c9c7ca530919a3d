#include "authorize/policy/civil.h"

#include <stdbool.h>

int64_t civil_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to the first of January of `year`. */
static int64_t year_begin(int64_t year)
{
    int64_t y = year - 1;
    return 365 * (year - 1970) + civil_floor_div(y, 4) - civil_floor_div(y, 100) +
           civil_floor_div(y, 400) - 477;
}

unsigned civil_month_len(int64_t year, unsigned month)
{
    static const unsigned lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return lengths[month - 1] + (month == 2 && is_leap(year));
}

int64_t civil_days(int64_t year, unsigned month, unsigned day)
{
    int64_t days = year_begin(year);
    for (unsigned m = 1; m < month; m++)
        days += civil_month_len(year, m);
    return days + day - 1;
}

int64_t civil_year(int64_t days)
{
    int64_t year = 1970 + civil_floor_div(days * 400, 146097);
    while (days < year_begin(year))
        year--;
    while (days >= year_begin(year + 1))
        year++;
    return year;
}

unsigned civil_weekday(int64_t days)
{
    /* 1970-01-01 was a Thursday. */
    int64_t n = days + 4;
    return (unsigned)(n - civil_floor_div(n, 7) * 7);
}
