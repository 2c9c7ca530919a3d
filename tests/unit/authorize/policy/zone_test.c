/* Time zones. The expected offsets are those of Python's zoneinfo. */
#include "authorize/policy/zone.h"

#include "authorize/policy/civil.h"
#include "authorize/policy/zone_rule.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "tests/support/test.h"

enum { HOUR_S = 3600 };

struct change {
    int64_t at_s;
    uint8_t type;
};

static void write_header(struct writer *w, char version, size_t changes, size_t types)
{
    static const uint8_t zero[15] = {0};
    write_bytes(w, VIEW("TZif"));
    write_u8(w, (uint8_t)version);
    write_bytes(w, view_of(zero, sizeof zero));
    write_u32(w, 0);
    write_u32(w, 0);
    write_u32(w, 0);
    write_u32(w, (uint32_t)changes);
    write_u32(w, (uint32_t)types);
    write_u32(w, 4);
}

static void write_types(struct writer *w, const int32_t *offsets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        write_u32(w, (uint32_t)offsets[i]);
        write_u8(w, 0);
        write_u8(w, 0);
    }
    write_bytes(w, view_of("ABC", 4));
}

/* RFC 8536 §3: version 2 with an empty block of version 1 before it. */
static void make(struct buf *out, const struct change *changes, size_t count, const char *rule)
{
    static const int32_t offsets[] = {1 * HOUR_S, 2 * HOUR_S, -5 * HOUR_S};
    buf_init(out, 10000);
    struct writer w = writer_to(out);
    write_header(&w, '2', 0, 1);
    write_types(&w, offsets, 1);
    write_header(&w, '2', count, ARRAY_LEN(offsets));
    for (size_t i = 0; i < count; i++)
        write_u64(&w, (uint64_t)changes[i].at_s);
    for (size_t i = 0; i < count; i++)
        write_u8(&w, changes[i].type);
    write_types(&w, offsets, ARRAY_LEN(offsets));
    write_bytes(&w, VIEW("\n"));
    write_bytes(&w, view_str(rule));
    write_bytes(&w, VIEW("\n"));
    CHECK_OK(writer_done(&w));
}

static struct zone *make_zone(const struct change *changes, size_t count, const char *rule)
{
    struct zone *z = NULL;
    AUTO(buf_fini) struct buf b;
    make(&b, changes, count, rule);
    CHECK_OK(zone_parse(buf_view(&b), &z));
    return z;
}

static void expect(const struct zone *z, int64_t at_s, int32_t offset, int64_t until_s)
{
    int64_t until;
    int32_t got = zone_offset(z, at_s, &until);
    if (got != offset || until != until_s)
        fail_msg("at %lld: %d until %lld", (long long)at_s, got, (long long)until);
}

static void test_transitions(void **state)
{
    (void)state;
    static const struct change changes[] = {{-100, 1}, {1000, 2}, {2000, 0}};
    struct zone *z = make_zone(changes, 3, "");
    expect(z, -101, HOUR_S, -100);
    expect(z, -100, 2 * HOUR_S, 1000);
    expect(z, 999, 2 * HOUR_S, 1000);
    expect(z, 1000, -5 * HOUR_S, 2000);
    expect(z, 2000, HOUR_S, INT64_MAX);
    zone_free(z);
    expect(NULL, 5, 0, INT64_MAX);
}

/* Europe/Berlin from its rule alone. */
static void test_rule(void **state)
{
    (void)state;
    static const struct change changes[] = {{828234000, 1}, {846378000, 0}};
    struct zone *z = make_zone(changes, 2, "CET-1CEST,M3.5.0,M10.5.0/3");
    expect(z, 828234000, 2 * HOUR_S, 846378000);
    expect(z, 846378000, HOUR_S, 859683600);       /* until 1997-03-30 01:00 UTC */
    expect(z, 1711846799, HOUR_S, 1711846800);     /* 2024-03-31 00:59:59 UTC */
    expect(z, 1711846800, 2 * HOUR_S, 1729990800); /* 01:00 UTC */
    expect(z, 1729990800, HOUR_S, 1743296400);     /* 2024-10-27 01:00 UTC */
    expect(z, 2550700800, 2 * HOUR_S, 2550704400); /* 2050-10-30 00:00 UTC */
    expect(z, 2550704400, HOUR_S, 2563405200);
    zone_free(z);
}

static void test_rule_forms(void **state)
{
    (void)state;
    static const struct {
        const char *rule;
        int64_t at_s;
        int32_t offset;
    } rows[] = {
        {"IST-5:30", 0, 19800},
        {"<+0330>-3:30", 0, 12600},
        {"EST5EDT,M3.2.0,M11.1.0", 1720000000, -4 * HOUR_S},
        {"EST5EDT,M3.2.0,M11.1.0", 1706000000, -5 * HOUR_S},
        /* South of the equator summer is over the turn of the year. */
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1704067200, 11 * HOUR_S},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", 1720000000, 10 * HOUR_S},
        /* America/Nuuk: the night before the Sunday. */
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1711846799, -2 * HOUR_S},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", 1711846800, -1 * HOUR_S},
        /* Days of the year, with and without 29 February: 1 March 2024, and day 60. */
        {"A0B", 0, INT32_MAX},
        {"AAA0BBB,J60/0,J300/0", 1709251199, 0},
        {"AAA0BBB,J60/0,J300/0", 1709251200, HOUR_S},
        {"AAA0BBB,60/0,300/0", 1709251200, HOUR_S},
        {"AAA0BBB,59/0,300/0", 1709164800, HOUR_S},
        {"AAA0BBB,59/0,300/0", 1709164799, 0},
        /* An end that comes a week after its year, when the next summer has begun. */
        {"AAA1BBB2,J6/-2,364/167:59", 0, -1 * HOUR_S},
        {"AAA1BBB2,J6/-2,364/167:59", 428399, -1 * HOUR_S}, /* 1970-01-05 22:59:59 UTC */
        {"AAA1BBB2,J6/-2,364/167:59", 428400, -2 * HOUR_S},
        {"AAA1BBB2,J6/-2,364/167:59", 525540, -1 * HOUR_S}, /* 1970-01-07 01:59 UTC */
        /* Summer time all year. */
        {"XXX3EDT4,0/0,J365/23", 1704067200, -4 * HOUR_S},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct zone_rule r;
        int64_t until;
        enum err e = zone_rule_parse(view_str(rows[i].rule), &r);
        assert_int_equal(e, rows[i].offset == INT32_MAX ? ERR_SYNTAX : OK);
        if (e == OK && zone_rule_offset(&r, rows[i].at_s, &until) != rows[i].offset)
            fail_msg("%s at %lld: %d", rows[i].rule, (long long)rows[i].at_s,
                     zone_rule_offset(&r, rows[i].at_s, &until));
    }
}

static void test_bad_rules(void **state)
{
    (void)state;
    static const char *const rules[] = {
        "",
        "C1",
        "CET",
        "CET-1CEST",
        "CET-25",
        "CET-1:60",
        "CET-1CEST,",
        "CET-1CEST,M3",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M13.1.0,M1.1.0",
        "<CET-1",
        "<>-1",
        "CET-1CEST,J0,J1",
        "CET-1CEST,J1,366",
        "CET-1CEST,M3.6.0,M1.1.0",
        "CET-1x",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
        "CET-1CEST,M3.5.0,M10.5.0/168",
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        struct zone_rule r;
        if (zone_rule_parse(view_str(rules[i]), &r) == OK)
            fail_msg("%s", rules[i]);
    }
}

/* What is cut anywhere is no file, and nothing else is read. */
static void test_every_length(void **state)
{
    (void)state;
    static const struct change changes[] = {{1, 1}, {2, 0}};
    AUTO(buf_fini) struct buf b;
    make(&b, changes, 2, "CET-1");
    for (size_t n = 0; n + 1 < b.len; n++) {
        struct zone *z = NULL;
        if (zone_parse(view_take(buf_view(&b), n), &z) == OK)
            fail_msg("%zu of %zu bytes", n, b.len);
    }
}

static void test_bad_files(void **state)
{
    (void)state;
    static const struct change unsorted[] = {{2, 1}, {1, 0}};
    static const struct change no_type[] = {{1, 3}};
    struct zone *z = NULL;
    AUTO(buf_fini) struct buf a;
    AUTO(buf_fini) struct buf b;
    AUTO(buf_fini) struct buf c;
    make(&a, unsorted, 2, "");
    CHECK_ERR(zone_parse(buf_view(&a), &z), ERR_SYNTAX);
    make(&b, no_type, 1, "");
    CHECK_ERR(zone_parse(buf_view(&b), &z), ERR_SYNTAX);
    make(&c, NULL, 0, "nonsense");
    CHECK_ERR(zone_parse(buf_view(&c), &z), ERR_SYNTAX);
    /* More transitions than any zone has: nothing is allocated for them. */
    memset(buf_ptr(&c) + 32, 0xff, 4);
    CHECK_ERR(zone_parse(buf_view(&c), &z), ERR_LIMIT);
}

static enum err on_read(void *ctx, const char *name, struct buf *out)
{
    unsigned *reads = ctx;
    ++*reads;
    if (strcmp(name, "Europe/Berlin") != 0)
        return ERR_NOT_FOUND;
    AUTO(buf_fini) struct buf b;
    make(&b, NULL, 0, "CET-1CEST,M3.5.0,M10.5.0/3");
    return buf_append(out, buf_view(&b));
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"",        "/etc/passwd", "../x", "Europe//Berlin",
                                      "Europe/", "a b",         "x.y",  "Nowhere/Land"};
    unsigned reads = 0;
    struct zones zones = {.read = on_read, .ctx = &reads};
    const struct zone *a;
    const struct zone *b;
    CHECK_OK(zones_get(&zones, VIEW("UTC"), &a));
    assert_null(a);
    CHECK_OK(zones_get(&zones, VIEW("Europe/Berlin"), &a));
    CHECK_OK(zones_get(&zones, VIEW("Europe/Berlin"), &b));
    assert_ptr_equal(a, b);
    assert_int_equal(reads, 1);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(zones_get(&zones, view_str(bad[i]), &a), ERR_NOT_FOUND);
    /* Of these only the last was a name to look for. */
    assert_int_equal(reads, 2);
    CHECK_ERR(zones_get(NULL, VIEW("Europe/Berlin"), &a), ERR_NOT_FOUND);
    CHECK_OK(zones_get(NULL, VIEW("Etc/UTC"), &a));
    zones_fini(&zones);
}

static void test_civil(void **state)
{
    (void)state;
    assert_int_equal(civil_days(1970, 1, 1), 0);
    assert_int_equal(civil_days(2000, 3, 1), 11017);
    assert_int_equal(civil_days(1969, 12, 31), -1);
    assert_int_equal(civil_days(1600, 2, 29), -135081);
    assert_int_equal(civil_weekday(civil_days(2026, 11, 21)), 6);
    assert_int_equal(civil_weekday(-1), 3);
    assert_int_equal(civil_month_len(2024, 2), 29);
    assert_int_equal(civil_month_len(2100, 2), 28);
    for (int64_t year = 1; year < 3000; year++) {
        assert_int_equal(civil_year(civil_days(year, 1, 1)), year);
        assert_int_equal(civil_year(civil_days(year, 12, 31)), year);
        assert_int_equal(civil_days(year, 12, 31) + 1, civil_days(year + 1, 1, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transitions),  cmocka_unit_test(test_rule),
        cmocka_unit_test(test_rule_forms),   cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_every_length), cmocka_unit_test(test_bad_files),
        cmocka_unit_test(test_names),        cmocka_unit_test(test_civil),
    };
    return RUN(tests);
}
