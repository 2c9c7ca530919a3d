#include "authenticate/rate.h"

#include "tests/support/test.h"

static void test_burst_and_refill(void **state)
{
    (void)state;
    AUTO(rate_fini) struct rate r;
    rate_init(&r, 3, 1000);
    for (int i = 0; i < 3; i++)
        assert_true(rate_take(&r, VIEW("a"), 5000));
    assert_false(rate_take(&r, VIEW("a"), 5000));
    assert_false(rate_take(&r, VIEW("a"), 5999));
    assert_true(rate_take(&r, VIEW("a"), 6000));
    assert_false(rate_take(&r, VIEW("a"), 6000));
    assert_true(rate_take(&r, VIEW("b"), 6000));
    rate_forgive(&r, VIEW("a"));
    assert_true(rate_take(&r, VIEW("a"), 6000));
}

/* The table is bounded: the key that was idle longest goes. */
static void test_bounded(void **state)
{
    (void)state;
    AUTO(rate_fini) struct rate r;
    rate_init(&r, 1, 1000000);
    for (uint32_t i = 0; i < RATE_KEYS_MAX + 100; i++)
        assert_true(rate_take(&r, view_of(&i, sizeof i), 1));
    assert_int_equal(map_count(&r.entries), RATE_KEYS_MAX);
    uint32_t last = RATE_KEYS_MAX + 99, first = 0;
    assert_false(rate_take(&r, view_of(&last, sizeof last), 1));
    assert_true(rate_take(&r, view_of(&first, sizeof first), 1));
}

static struct view key(const char *address, uint8_t buffer[RATE_ADDRESS_KEY])
{
    return rate_address_key(address, buffer);
}

/* Whoever has one IPv6 address has 2^64 of them. */
static void test_address_keys(void **state)
{
    (void)state;
    uint8_t a[RATE_ADDRESS_KEY], b[RATE_ADDRESS_KEY];
    assert_true(view_eq(key("2001:db8::1", a), key("2001:db8::ffff:1", b)));
    assert_false(view_eq(key("2001:db8::1", a), key("2001:db8:0:1::1", b)));
    assert_true(view_eq(key("192.0.2.1", a), key("::ffff:192.0.2.1", b)));
    assert_false(view_eq(key("192.0.2.1", a), key("192.0.2.2", b)));
    assert_false(view_eq(key("192.0.2.1", a), key("2001:db8::1", b)));
    CHECK_VIEW_STR(key("unknown", a), "unknown");
    CHECK_VIEW_STR(key("", a), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_and_refill),
        cmocka_unit_test(test_bounded),
        cmocka_unit_test(test_address_keys),
    };
    return RUN(tests);
}
