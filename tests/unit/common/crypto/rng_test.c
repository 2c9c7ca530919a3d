#include "common/crypto/rng.h"

#include "tests/support/test.h"

static void test_system(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    uint8_t a[32] = {0}, b[32] = {0}, zero[32] = {0};
    rng_fill(&rng, a, sizeof a);
    rng_fill(&rng, b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, zero, sizeof a);
    rng_fill(&rng, b, 0);
}

static void test_deterministic(void **state)
{
    (void)state;
    struct rng_test s, t;
    struct rng a = rng_test(&s, 5), b = rng_test(&t, 5);
    uint8_t x[100], y[100], next[100];
    rng_fill(&a, x, sizeof x);
    rng_fill(&b, y, sizeof y);
    assert_memory_equal(x, y, sizeof x);
    rng_fill(&a, next, sizeof next);
    assert_memory_not_equal(x, next, sizeof x);
    a = rng_test(&s, 6);
    rng_fill(&a, y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system),
        cmocka_unit_test(test_deterministic),
    };
    return RUN(tests);
}
