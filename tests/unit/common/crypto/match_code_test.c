#include "tests/support/test.h"

#include "common/crypto/match_code.h"

static void test_form(void **state)
{
    (void)state;
    unsigned used = 0;
    for (unsigned i = 0; i < 1000; i++) {
        char code[MATCH_CODE_SIZE];
        match_code(view_of(&i, sizeof i), code);
        assert_int_equal(strlen(code), 9);
        assert_int_equal(code[4], '-');
        for (size_t c = 0; c < 9; c++) {
            if (c == 4)
                continue;
            assert_non_null(strchr("BCDFGHJKLMNPQRSTVWXZ", code[c]));
            used |= 1U << (code[c] - 'A');
        }
    }
    /* Every letter occurs. */
    assert_int_equal(__builtin_popcount(used), 20);
}

static void test_depends_on_the_code(void **state)
{
    (void)state;
    char a[MATCH_CODE_SIZE];
    char b[MATCH_CODE_SIZE];
    match_code(VIEW("abc"), a);
    match_code(VIEW("abd"), b);
    assert_string_not_equal(a, b);
    match_code(VIEW("abc"), b);
    assert_string_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_depends_on_the_code),
    };
    return RUN(tests);
}
