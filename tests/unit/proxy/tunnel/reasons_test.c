#include "tests/support/test.h"

#include "proxy/tunnel/reasons.h"

static void test_kept_for_a_while(void **state)
{
    struct reasons r = {0};
    (void)state;
    assert_null(reasons_get(&r, VIEW("a"), 0));
    reasons_put(&r, "a", "because", 100);
    assert_string_equal(reasons_get(&r, VIEW("a"), 100), "because");
    assert_string_equal(reasons_get(&r, VIEW("a"), 100 + REASONS_KEEP_MS - 1), "because");
    assert_null(reasons_get(&r, VIEW("a"), 100 + REASONS_KEEP_MS));
    assert_null(reasons_get(&r, VIEW("b"), 100));
    reasons_fini(&r);
}

static void test_bounded(void **state)
{
    struct reasons r = {0};
    char id[16];
    AUTO_FREE char *text = mem_zalloc(2 * REASONS_TEXT_MAX);
    (void)state;
    memset(text, 'x', 2 * REASONS_TEXT_MAX - 1);
    for (unsigned i = 0; i <= REASONS_MAX; i++) {
        (void)snprintf(id, sizeof id, "%u", i);
        reasons_put(&r, id, text, 0);
    }
    assert_null(reasons_get(&r, VIEW("0"), 0));
    assert_int_equal(strlen(reasons_get(&r, VIEW("1"), 0)), REASONS_TEXT_MAX);
    assert_non_null(reasons_get(&r, view_str(id), 0));
    assert_int_equal(map_count(&r.by_id), REASONS_MAX);
    reasons_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_for_a_while),
        cmocka_unit_test(test_bounded),
    };
    return RUN(tests);
}
