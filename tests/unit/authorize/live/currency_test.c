#include "tests/support/test.h"

#include "authorize/live/currency.h"

static struct currency_version at(uint64_t record)
{
    return (struct currency_version){7, record};
}

static void test_a_proof_is_of_the_moment_of_its_question(void **state)
{
    (void)state;
    struct currency c = {0};
    uint64_t early = currency_needs(&c);
    assert_int_equal(currency_of(&c, early, 1000), CURRENCY_WAIT);
    assert_true(currency_may_ask(&c));
    currency_asked(&c, 1000);
    assert_false(currency_may_ask(&c));
    /* Came while the question was on its way: its answer may be older. */
    uint64_t late = currency_needs(&c);
    currency_answered(&c, at(5), 1001);
    assert_true(currency_reached(&c, at(5)));
    assert_int_equal(c.proved_at, 1000);
    assert_int_equal(currency_of(&c, early, 1001), CURRENCY_PROVED);
    assert_int_equal(currency_of(&c, late, 1001), CURRENCY_WAIT);
    currency_asked(&c, 1002);
    currency_answered(&c, at(5), 1003);
    assert_true(currency_reached(&c, at(6)));
    assert_int_equal(currency_of(&c, late, 1003), CURRENCY_PROVED);
}

static void test_a_copy_that_is_behind_decides_nothing(void **state)
{
    (void)state;
    struct currency c = {0};
    currency_asked(&c, 1000);
    currency_answered(&c, at(5), 1001);
    assert_false(currency_reached(&c, at(4)));
    assert_false(currency_may_ask(&c));
    assert_false(currency_lags(&c, 1000 + CURRENCY_LAG_MS - 1));
    assert_true(currency_lags(&c, 1000 + CURRENCY_LAG_MS));
    /* Never: it is known that there is more. */
    assert_int_equal(currency_of(&c, 1, 1000000), CURRENCY_WAIT);
    assert_true(currency_reached(&c, at(9)));
    assert_false(currency_lags(&c, 1000000));
    assert_false(currency_reached(&c, at(10)));
}

static void test_without_an_answer_there_is_nothing_newer(void **state)
{
    (void)state;
    struct currency c = {0};
    currency_asked(&c, 1000);
    assert_int_equal(currency_of(&c, 1, 1000 + CURRENCY_GIVE_UP_MS), CURRENCY_WAIT);
    currency_failed(&c);
    currency_asked(&c, 3000);
    currency_failed(&c);
    assert_true(currency_may_ask(&c));
    assert_int_equal(currency_of(&c, 1, 1000 + CURRENCY_GIVE_UP_MS - 1), CURRENCY_WAIT);
    assert_int_equal(currency_of(&c, 1, 1000 + CURRENCY_GIVE_UP_MS), CURRENCY_NONE);
    /* Whoever comes now does not wait. */
    assert_int_equal(currency_of(&c, currency_needs(&c), 60000), CURRENCY_NONE);
    /* While one is on its way that holds on. */
    currency_asked(&c, 60000);
    assert_int_equal(currency_of(&c, currency_needs(&c), 60000), CURRENCY_NONE);
    /* It is back, and has news: nothing is decided before they are here. */
    currency_answered(&c, at(20), 61000);
    assert_false(currency_reached(&c, at(3)));
    assert_int_equal(currency_of(&c, 1, 61000), CURRENCY_WAIT);
    assert_false(currency_lags(&c, 61000));
    assert_true(currency_lags(&c, 61000 + CURRENCY_LAG_MS));
    assert_true(currency_reached(&c, at(20)));
    assert_int_equal(currency_of(&c, 1, 61001), CURRENCY_PROVED);
}

static void test_another_history(void **state)
{
    (void)state;
    struct currency c = {0};
    currency_asked(&c, 1000);
    currency_answered(&c, at(5), 1001);
    /* Cleared, and not complete again yet. */
    assert_false(currency_reached(&c, (struct currency_version){0, 0}));
    assert_false(currency_may_ask(&c));
    assert_false(currency_reached(&c, (struct currency_version){8, 100}));
    assert_true(currency_may_ask(&c));
    assert_int_equal(currency_of(&c, 1, 1002), CURRENCY_WAIT);
    assert_true(currency_lags(&c, 1000 + CURRENCY_LAG_MS));
    currency_asked(&c, 4000);
    currency_answered(&c, (struct currency_version){8, 100}, 4001);
    assert_true(currency_reached(&c, (struct currency_version){8, 100}));
}

static void test_a_pause(void **state)
{
    (void)state;
    struct currency c = {0};
    currency_paused(&c, 500);
    assert_false(currency_lags(&c, 100000));
    currency_asked(&c, 1000);
    currency_failed(&c);
    /* Stopped for a minute: what came meanwhile waits like what comes after a start. */
    currency_paused(&c, 61000);
    assert_int_equal(currency_of(&c, currency_needs(&c), 61000), CURRENCY_WAIT);
    assert_false(currency_lags(&c, 61000));
    assert_int_equal(currency_of(&c, currency_needs(&c), 61000 + CURRENCY_GIVE_UP_MS),
                     CURRENCY_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_proof_is_of_the_moment_of_its_question),
        cmocka_unit_test(test_a_copy_that_is_behind_decides_nothing),
        cmocka_unit_test(test_without_an_answer_there_is_nothing_newer),
        cmocka_unit_test(test_another_history),
        cmocka_unit_test(test_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
