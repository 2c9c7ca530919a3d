/* The system's own files of time zones. */
#include "common/daemon/zone_file.h"

#include "tests/support/test.h"

static void test_files(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 256 * 1024);
    CHECK_OK(zone_file_read(NULL, "Europe/Berlin", &b));
    assert_true(view_starts_with(buf_view(&b), VIEW("TZif")));
    /* The rule for the time to come is at its end. */
    assert_true(view_ends_with(buf_view(&b), VIEW("\nCET-1CEST,M3.5.0,M10.5.0/3\n")));
    buf_clear(&b);
    CHECK_ERR(zone_file_read(NULL, "Europe/Nowhere", &b), ERR_NOT_FOUND);
    CHECK_ERR(zone_file_read(NULL, "Europe", &b), ERR_NOT_FOUND);
    assert_int_equal(b.len, 0);
}

static void test_limit(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 100);
    CHECK_ERR(zone_file_read(NULL, "Europe/Berlin", &b), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_limit),
    };
    return RUN(tests);
}
