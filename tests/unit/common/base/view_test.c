#include "tests/support/test.h"

static void test_find_and_cut(void **state)
{
    (void)state;
    struct view v = VIEW("dev@web1@gw");
    assert_int_equal(view_find(v, '@'), 3);
    assert_int_equal(view_rfind(v, '@'), 8);
    assert_int_equal(view_find(v, '!'), -1);
    assert_int_equal(view_search(v, VIEW("web")), 4);
    assert_int_equal(view_search(VIEW(""), VIEW("x")), -1);
    assert_true(view_starts_with(v, VIEW("dev")));
    assert_true(view_ends_with(v, VIEW("@gw")));
    assert_false(view_ends_with(VIEW("gw"), VIEW("@gw")));
    CHECK_VIEW_STR(view_trim(VIEW(" \t a b ")), "a b");
    assert_true(view_eq_case(VIEW("Host"), VIEW("hOST")));
    assert_int_equal(view_cmp(VIEW("a"), VIEW("ab")), -1);
    assert_int_equal(view_cmp(VIEW("b"), VIEW("ab")), 1);
    assert_int_equal(view_cmp(VIEW("b"), VIEW("b")), 0);
    assert_int_equal(view_skip(v, 100).len, 0);
}

static void test_word(void **state)
{
    (void)state;
    struct view rest = VIEW(" \tssh-rsa  AAAA a comment ");
    CHECK_VIEW_STR(view_word(&rest), "ssh-rsa");
    CHECK_VIEW_STR(view_word(&rest), "AAAA");
    CHECK_VIEW_STR(rest, "a comment");
    CHECK_VIEW_STR(view_word(&rest), "a");
    CHECK_VIEW_STR(view_word(&rest), "comment");
    CHECK_VIEW_STR(view_word(&rest), "");
    CHECK_VIEW_STR(rest, "");
}

static void test_next(void **state)
{
    (void)state;
    struct view rest = VIEW("a,,b,"), part;
    static const char *const parts[] = {"a", "", "b", ""};
    size_t n = 0;
    while (view_next(&rest, ',', &part)) {
        assert_true(n < ARRAY_LEN(parts));
        CHECK_VIEW_STR(part, parts[n++]);
    }
    assert_int_equal(n, ARRAY_LEN(parts));
    assert_true(view_list_has(VIEW("x,yy,z"), VIEW("yy")));
    assert_false(view_list_has(VIEW("x,yy,z"), VIEW("y")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_and_cut),
        cmocka_unit_test(test_word),
        cmocka_unit_test(test_next),
    };
    return RUN(tests);
}
