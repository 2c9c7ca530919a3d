#include "common/http/form.h"
#include "tests/support/test.h"

static void test_parse(void **state)
{
    (void)state;
    struct form f = {0};
    CHECK_ERR(form_parse(VIEW("a=1&f=%00"), &f), ERR_SYNTAX);
    CHECK_OK(form_parse(VIEW("a=1&b=x+y%20z%2B&&c&d==&%61=2&=e"), &f));
    assert_int_equal(f.count, 6);
    CHECK_VIEW_STR(form_get(&f, "a"), "1");
    assert_int_equal(form_count(&f, "a"), 2);
    CHECK_VIEW_STR(form_get(&f, "b"), "x y z+");
    assert_non_null(form_get(&f, "c").ptr);
    assert_int_equal(form_get(&f, "c").len, 0);
    CHECK_VIEW_STR(form_get(&f, "d"), "=");
    CHECK_VIEW_STR(form_get(&f, ""), "e");
    assert_null(form_get(&f, "none").ptr);
    /* What was there is replaced, and kept when the new text is refused. */
    CHECK_ERR(form_parse(VIEW("a=%4"), &f), ERR_SYNTAX);
    assert_int_equal(f.count, 6);
    CHECK_OK(form_parse(VIEW(""), &f));
    assert_int_equal(f.count, 0);
    CHECK_OK(form_parse((struct view){0}, &f));
    form_fini(&f);
}

static void test_limits(void **state)
{
    (void)state;
    struct form f = {0};
    struct buf text;
    buf_init(&text, 1 << 21);
    for (size_t i = 0; i < FORM_ITEMS_MAX; i++)
        CHECK_OK(form_add(&text, "n", VIEW("v")));
    CHECK_OK(form_parse(buf_view(&text), &f));
    assert_int_equal(form_count(&f, "n"), FORM_ITEMS_MAX);
    CHECK_OK(form_add(&text, "n", VIEW("v")));
    CHECK_ERR(form_parse(buf_view(&text), &f), ERR_LIMIT);
    AUTO_FREE char *large = mem_zalloc(FORM_BYTES_MAX + 1);
    CHECK_ERR(form_parse(view_of(large, FORM_BYTES_MAX + 1), &f), ERR_LIMIT);
    buf_fini(&text);
    form_fini(&f);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct form f = {0};
    struct buf text;
    uint8_t all[255];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)(i + 1);
    buf_init(&text, 10000);
    CHECK_OK(form_add(&text, "a b", VIEW("c d+&=")));
    CHECK_VIEW_STR(buf_view(&text), "a+b=c+d%2B%26%3D");
    CHECK_OK(form_add(&text, "all", view_of(all, sizeof all)));
    CHECK_OK(form_parse(buf_view(&text), &f));
    CHECK_VIEW_STR(form_get(&f, "a b"), "c d+&=");
    CHECK_VIEW(form_get(&f, "all"), view_of(all, sizeof all));
    buf_fini(&text);
    form_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_round_trip),
    };
    return RUN(tests);
}
