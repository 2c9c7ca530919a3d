#include "tests/support/test.h"

static void test_append_consume(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 100; i++)
        CHECK_OK(buf_append(&b, VIEW("0123456789")));
    assert_int_equal(b.len, 1000);
    CHECK_ERR(buf_append_u8(&b, 'x'), ERR_LIMIT);
    assert_int_equal(b.len, 1000);
    buf_consume(&b, 995);
    CHECK_VIEW_STR(buf_view(&b), "56789");
    CHECK_OK(buf_printf(&b, "-%d-%s", 42, "ab"));
    CHECK_VIEW_STR(buf_view(&b), "56789-42-ab");
    buf_truncate(&b, 2);
    CHECK_VIEW_STR(buf_view(&b), "56");
    assert_int_equal(buf_room(&b), 998);
}

static void test_zeroed_is_full(void **state)
{
    (void)state;
    struct buf b = {0};
    CHECK_ERR(buf_append_u8(&b, 1), ERR_LIMIT);
    CHECK_OK(buf_append(&b, VIEW("")));
    assert_int_equal(buf_view(&b).len, 0);
    buf_fini(&b);
}

static void test_reserve_compacts(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 512);
    uint8_t *p;
    CHECK_OK(buf_reserve(&b, 512, &p));
    memset(p, 'a', 512);
    buf_commit(&b, 512);
    buf_consume(&b, 500);
    CHECK_OK(buf_reserve(&b, 500, &p));
    memset(p, 'b', 500);
    buf_commit(&b, 500);
    assert_int_equal(buf_view(&b).ptr[11], 'a');
    assert_int_equal(buf_view(&b).ptr[12], 'b');
    CHECK_ERR(buf_reserve(&b, SIZE_MAX, &p), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append_consume),
        cmocka_unit_test(test_zeroed_is_full),
        cmocka_unit_test(test_reserve_compacts),
    };
    return RUN(tests);
}
