#include "authenticate/code.h"

#include "tests/support/test.h"

static void test_syntax(void **state)
{
    (void)state;
    char longest[CODE_MAX + 2] = {0};
    memset(longest, 'a', CODE_MAX);
    assert_true(code_is_valid(VIEW("a")));
    assert_true(code_is_valid(VIEW("Zm9v-_19azAZ09xxyyzz01")));
    assert_true(code_is_valid(view_str(longest)));
    longest[CODE_MAX] = 'a';
    assert_false(code_is_valid(view_str(longest)));
    assert_false(code_is_valid(VIEW("")));
    assert_false(code_is_valid((struct view){0}));
}

/* Every other byte, wherever it stands. */
static void test_other_bytes(void **state)
{
    (void)state;
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    for (int c = 0; c < 256; c++) {
        uint8_t code[3] = {'a', 'a', 'a'};
        for (size_t at = 0; at < sizeof code; at++) {
            code[at] = (uint8_t)c;
            bool wanted = c && strchr(good, c);
            assert_int_equal(code_is_valid(view_of(code, sizeof code)), wanted);
            code[at] = 'a';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),
        cmocka_unit_test(test_other_bytes),
    };
    return RUN(tests);
}
