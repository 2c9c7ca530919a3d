/* date, day_of_week, time_of_day: when they are true, and when that may change. */
#include "authorize/policy/policy.h"
#include "authorize/policy/zone.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

/* Times of 2026; Europe/Berlin is an hour ahead of UTC, from 29 March 01:00 UTC to 25 October two.
 */
#define FRI_2026_01_02 1767312000 /* 00:00 UTC */
#define DAY 86400
#define HOUR 3600
#define MARCH_29 1774742400 /* Sunday, 00:00 UTC */

/* A TZif file of version 2 with no transition and a rule (RFC 8536 §3). */
static enum err on_read(void *ctx, const char *name, struct buf *out)
{
    static const uint8_t header[] = {'T', 'Z', 'i', 'f', '2', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                     0,   0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                     0,   0,   0,   0,   0,   0, 0, 0, 0, 1, 0, 0, 0, 4};
    static const uint8_t type[] = {0, 0, 14, 16, 0, 0, 'A', 'B', 'C', 0};
    (void)ctx;
    if (strcmp(name, "Europe/Berlin") != 0)
        return ERR_NOT_FOUND;
    for (int i = 0; i < 2; i++) {
        TRY(buf_append(out, view_of(header, sizeof header)));
        TRY(buf_append(out, view_of(type, sizeof type)));
    }
    return buf_append_str(out, "\nCET-1CEST,M3.5.0,M10.5.0/3\n");
}

static struct zones zones = {.read = on_read};

static struct policy *compile(const char *criterion, struct diag *d)
{
    struct tree *tree = NULL;
    struct policy *p = policy_new();
    AUTO_FREE char *yaml = mem_printf("allow: {and: [{%s}]}", criterion);
    CHECK_OK(tree_parse(view_str(yaml), "p", d, &tree));
    policy_use_zones(p, &zones);
    policy_add(p, tree->root, "policy", d);
    tree_free(tree);
    return p;
}

struct row {
    const char *criterion;
    uint64_t now_s;
    bool is_true;
    uint64_t edge_s;
};

#define NEVER UINT64_MAX

static const struct row rows[] = {
    {"date: {after: 2026-01-02}", FRI_2026_01_02 - 1, false, FRI_2026_01_02},
    {"date: {after: 2026-01-02}", FRI_2026_01_02, true, NEVER},
    {"date: {before: 2026-01-02T00:00:00Z}", FRI_2026_01_02 - 1, true, FRI_2026_01_02},
    {"date: {before: 2026-01-02T00:00:00Z}", FRI_2026_01_02, false, NEVER},
    {"date: {after: '2026-01-02T01:30:00+01:30', before: 2026-01-02 00:01}", FRI_2026_01_02, true,
     FRI_2026_01_02 + 60},
    {"date: {after: 2026-01-01T19:00:00.5-05:00}", FRI_2026_01_02, true, NEVER},
    {"date: {after: 1970-01-01}", 0, true, NEVER},
    {"day_of_week: '*'", FRI_2026_01_02, true, NEVER},
    {"day_of_week: fri", FRI_2026_01_02, true, FRI_2026_01_02 + DAY},
    {"day_of_week: 'mon, Friday'", FRI_2026_01_02 + DAY - 1, true, FRI_2026_01_02 + DAY},
    {"day_of_week: tue-fri", FRI_2026_01_02 + DAY, false, FRI_2026_01_02 + 2 * DAY},
    {"day_of_week: fri-mon", FRI_2026_01_02 + 3 * DAY, true, FRI_2026_01_02 + 4 * DAY},
    {"day_of_week: fri-mon", FRI_2026_01_02 + 4 * DAY, false, FRI_2026_01_02 + 5 * DAY},
    /* In Berlin Friday begins and ends an hour earlier. */
    {"day_of_week: {days: fri, timezone: Europe/Berlin}", FRI_2026_01_02 - HOUR, true,
     FRI_2026_01_02 + DAY - HOUR},
    {"day_of_week: {days: fri, timezone: Europe/Berlin}", FRI_2026_01_02 - HOUR - 1, false,
     FRI_2026_01_02 - HOUR},
    {"time_of_day: {after: '2:20:00', before: 4:30PM}", FRI_2026_01_02, false,
     FRI_2026_01_02 + 2 * HOUR + 1200},
    {"time_of_day: {timezone: UTC, after: '2:20:00', before: 4:30 pm}",
     FRI_2026_01_02 + 2 * HOUR + 1200, true, FRI_2026_01_02 + 16 * HOUR + 1800},
    {"time_of_day: {after: '2:20:00', before: 4:30PM}", FRI_2026_01_02 + 16 * HOUR + 1800, false,
     FRI_2026_01_02 + DAY + 2 * HOUR + 1200},
    {"time_of_day: {after: 12AM, before: 12PM}", FRI_2026_01_02, true, FRI_2026_01_02 + 12 * HOUR},
    {"time_of_day: {after: '18:00'}", FRI_2026_01_02 + 20 * HOUR, true, FRI_2026_01_02 + DAY},
    {"time_of_day: {before: '06:00'}", FRI_2026_01_02, true, FRI_2026_01_02 + 6 * HOUR},
    /* Over midnight. */
    {"time_of_day: {after: '22:00', before: '06:00'}", FRI_2026_01_02 + 23 * HOUR, true,
     FRI_2026_01_02 + 30 * HOUR},
    {"time_of_day: {after: '22:00', before: '06:00'}", FRI_2026_01_02 + 12 * HOUR, false,
     FRI_2026_01_02 + 22 * HOUR},
    /* On the day that the clock changes, 9 is an hour earlier; the change itself is an edge. */
    {"time_of_day: {timezone: Europe/Berlin, after: '9:00'}", MARCH_29, false, MARCH_29 + HOUR},
    {"time_of_day: {timezone: Europe/Berlin, after: '9:00'}", MARCH_29 + HOUR, false,
     MARCH_29 + 7 * HOUR},
    {"time_of_day: {timezone: Europe/Berlin, after: '9:00'}", MARCH_29 + 7 * HOUR, true,
     MARCH_29 + 22 * HOUR},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        struct policy *p = compile(rows[i].criterion, &d);
        if (d.errors)
            fail_msg("%s: %s", rows[i].criterion, d.items[0].text);
        const struct facts f = {.now_s = rows[i].now_s};
        struct verdict v = policy_evaluate(p, &f);
        uint64_t edge = policy_next_edge(p, rows[i].now_s);
        if (v.allow.hit != rows[i].is_true || edge != rows[i].edge_s)
            fail_msg("%s at %llu: %d until %llu", rows[i].criterion,
                     (unsigned long long)rows[i].now_s, v.allow.hit, (unsigned long long)edge);
        policy_free(p);
        diag_fini(&d);
    }
}

/* Between two edges nothing changes: every minute of a year, the days of change among them. */
static void test_edges_are_all(void **state)
{
    (void)state;
    struct diag d = {0};
    struct policy *p =
        compile("time_of_day: {timezone: Europe/Berlin, after: '2:30', before: '18:15'}", &d);
    assert_int_equal(d.errors, 0);
    uint64_t edge = 0;
    bool was = false;
    for (uint64_t now = FRI_2026_01_02; now < FRI_2026_01_02 + 365ULL * DAY; now += 60) {
        const struct facts f = {.now_s = now};
        struct verdict v = policy_evaluate(p, &f);
        if (now < edge)
            assert_int_equal(v.allow.hit, was);
        was = v.allow.hit;
        if (now >= edge)
            edge = policy_next_edge(p, now);
    }
    policy_free(p);
    diag_fini(&d);
}

/* The first of all, on both sides. */
static void test_first_edge(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *tree = NULL;
    struct policy *p = policy_new();
    assert_true(policy_next_edge(p, 0) == NEVER);
    CHECK_OK(tree_parse(VIEW("allow: {and: [date: {after: 1970-01-03}, email: x]}\n"
                             "deny: {or: [date: {after: 1970-01-02}]}\n"),
                        "p", &d, &tree));
    policy_add(p, tree->root, "policy", &d);
    assert_int_equal(policy_next_edge(p, 0), DAY);
    assert_int_equal(policy_next_edge(p, DAY), 2 * DAY);
    assert_true(policy_next_edge(p, 2ULL * DAY) == NEVER);
    tree_free(tree);
    policy_free(p);
    diag_fini(&d);
}

static void test_errors(void **state)
{
    (void)state;
    static const char date[] = "expected a date such as 2026-01-31 or 2026-01-31T16:20:00Z";
    static const char days[] = "expected days such as";
    static const char clock[] = "expected a time such as 16:30, 4:30PM or 16:30:00";
    const struct {
        const char *criterion;
        const char *error;
    } bad[] = {
        {"date: 2026-01-01", "expected a map with after, before or both"},
        {"date: {}", "expected a map with after, before or both"},
        {"date: {since: 2026-01-01}", "unknown operator \"since\"; known are after, before"},
        {"date: {after: yesterday}", date},
        {"date: {after: 2026-02-29}", date},
        {"date: {after: 2026-13-01}", date},
        {"date: {after: 2026-01-01T25:00}", date},
        {"date: {after: 2026-01-01T10:00 CET}", date},
        {"date: {after: 2026-01-01x}", date},
        {"day_of_week: [mon]", days},
        {"day_of_week: ''", days},
        {"day_of_week: mon-", days},
        {"day_of_week: mo", days},
        {"day_of_week: {days: 1}", days},
        {"day_of_week: {timezone: UTC}", days},
        {"day_of_week: {days: mon, zone: UTC}", "unknown part \"zone\"; known are days, timezone"},
        {"day_of_week: {days: mon, timezone: Mars}", "expected a time zone such as Europe/Berlin"},
        {"time_of_day: '16:30'", "expected a map with after, before or both, and timezone"},
        {"time_of_day: {timezone: UTC}", "expected a map with after, before or both, and timezone"},
        {"time_of_day: {after: '24:00'}", clock},
        {"time_of_day: {after: 16}", clock},
        {"time_of_day: {after: 13PM}", clock},
        {"time_of_day: {after: '1:2:3:4'}", clock},
        {"time_of_day: {after: '9:00', until: '10:00'}", "unknown part \"until\""},
        {"time_of_day: {after: '9:00', before: 9AM}", "it would never be true"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct diag d = {0};
        policy_free(compile(bad[i].criterion, &d));
        if (d.errors != 1 || !strstr(d.items[0].text, bad[i].error))
            fail_msg("%s: %zu errors, %s", bad[i].criterion, d.errors,
                     d.errors ? d.items[0].text : "none");
        diag_fini(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_edges_are_all),
        cmocka_unit_test(test_first_edge),
        cmocka_unit_test(test_errors),
    };
    int failed = RUN(tests);
    zones_fini(&zones);
    return failed;
}
