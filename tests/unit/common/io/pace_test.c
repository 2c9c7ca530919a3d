#include "common/io/pace.h"

#include "tests/support/test.h"

enum { US = 1000, BLOCK = 64 * 1024 };

/* Turns `us` apart, each with `got`; what was said after the last. */
static bool turns(struct pace *p, uint64_t *now, int count, uint64_t us, size_t got)
{
    bool waits = false;
    for (int i = 0; i < count; i++) {
        *now += us * US;
        waits = pace_next(p, *now, got);
    }
    return waits;
}

static uint64_t make_fast(struct pace *p)
{
    uint64_t now = 5000000 * (uint64_t)US;
    *p = (struct pace){0};
    assert_false(turns(p, &now, PACE_FAST - 1, 50, BLOCK));
    assert_true(turns(p, &now, 1, 50, BLOCK));
    return now;
}

static void test_fast(void **state)
{
    (void)state;
    struct pace p;
    uint64_t now = make_fast(&p);
    assert_true(turns(&p, &now, 1000, 100, BLOCK));
    assert_true(turns(&p, &now, 1, 100, PACE_TICK_MIN));
    assert_true(turns(&p, &now, 1, 100, PACE_FULL - 1));
}

static void test_slow(void **state)
{
    (void)state;
    struct pace p = {0};
    uint64_t now = 5000000 * (uint64_t)US;
    assert_false(turns(&p, &now, 1000, PACE_FAST_US + 1, BLOCK));
    assert_false(turns(&p, &now, 1000, 10, PACE_WAKE_MIN - 1));
    /* Little between much: neither is a stream in a row. */
    for (int i = 0; i < 100; i++) {
        assert_false(turns(&p, &now, PACE_FAST - 1, 10, BLOCK));
        assert_false(turns(&p, &now, 1, 10, 64));
    }
}

/* Blocks that are answered one by one lose one wait, and then none for a while. */
static void test_not_worth(void **state)
{
    (void)state;
    struct pace p;
    uint64_t now = make_fast(&p);
    assert_false(turns(&p, &now, 1, 100, 0));
    uint64_t end = now + (uint64_t)PACE_ALONE_US * US;
    while (now + 50 * US < end)
        assert_false(turns(&p, &now, 1, 50, BLOCK));
    assert_true(turns(&p, &now, 2, 50, BLOCK));
}

static void test_worth(void **state)
{
    (void)state;
    struct pace p;
    uint64_t now = make_fast(&p);
    assert_true(turns(&p, &now, PACE_WORTH / BLOCK, 100, BLOCK));
    assert_false(turns(&p, &now, 1, 100, 0));
    assert_false(turns(&p, &now, 1, 100, BLOCK));
    assert_true(turns(&p, &now, 1, 100, BLOCK));
    /* What was brought counts anew. */
    assert_false(turns(&p, &now, 1, 100, 0));
    assert_false(turns(&p, &now, PACE_FAST, 100, BLOCK));
}

/* More than a tick is needed for: what comes is read as it comes, and that was no failure. */
static void test_full(void **state)
{
    (void)state;
    struct pace p;
    uint64_t now = make_fast(&p);
    assert_false(turns(&p, &now, 1, 100, PACE_FULL));
    assert_false(turns(&p, &now, 10, 100, PACE_FULL));
    assert_true(turns(&p, &now, 1, 100, BLOCK));
}

/* The first turn of all may come at any time of a clock, 0 as well. */
static void test_first(void **state)
{
    (void)state;
    struct pace p = {0};
    uint64_t now = 0;
    assert_false(turns(&p, &now, PACE_FAST - 1, 0, BLOCK));
    assert_true(turns(&p, &now, 1, 0, BLOCK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fast),  cmocka_unit_test(test_slow), cmocka_unit_test(test_not_worth),
        cmocka_unit_test(test_worth), cmocka_unit_test(test_full), cmocka_unit_test(test_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
