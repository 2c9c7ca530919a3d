#include "tests/support/test.h"

#include "common/base/ip.h"

static bool has(const char *net, const char *address)
{
    struct ip_net n;
    struct ip a;
    CHECK_OK(ip_net_parse(view_str(net), &n));
    CHECK_OK(ip_parse(view_str(address), &a));
    return ip_net_has(&n, &a);
}

static void test_networks(void **state)
{
    (void)state;
    assert_true(has("10.1.2.3", "10.1.2.3"));
    assert_false(has("10.1.2.3", "10.1.2.2"));
    assert_true(has("10.0.0.0/8", "10.255.0.1"));
    assert_false(has("10.0.0.0/8", "11.0.0.1"));
    assert_true(has("10.1.2.3/8", "10.255.0.1"));
    assert_true(has("192.0.2.128/25", "192.0.2.255"));
    assert_false(has("192.0.2.128/25", "192.0.2.127"));
    assert_true(has("0.0.0.0/0", "255.1.1.1"));
    assert_false(has("0.0.0.0/0", "::1"));
    assert_true(has("::/0", "2001:db8::1"));
    assert_false(has("::/0", "1.2.3.4"));
    assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
    assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
    assert_true(has("1.2.3.0/24", "::ffff:1.2.3.4"));
    assert_true(has("::ffff:1.2.3.0/120", "1.2.3.4"));
    assert_true(has("fe80::1/128", "fe80::1"));
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",       "x",          "1.2.3", "1.2.3.4.5", "1.2.3.4/",          "1.2.3.4/33",
        "::/129", "1.2.3.4/-1", "[::1]", "fe80::1%x", "::ffff:1.2.3.4/95", " 1.2.3.4"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct ip_net net;
        CHECK_ERR(ip_net_parse(view_str(bad[i]), &net), ERR_SYNTAX);
    }
    struct ip ip;
    CHECK_ERR(ip_parse(view_of("1.2.3.4\0x", 9), &ip), ERR_SYNTAX);
}

static void test_no_address(void **state)
{
    (void)state;
    struct ip none = {0};
    struct ip_net net;
    CHECK_OK(ip_net_parse(VIEW("0.0.0.0/0"), &net));
    assert_false(ip_net_has(&net, &none));
}

static void test_zones(void **state)
{
    (void)state;
    struct ip with;
    struct ip without;
    CHECK_OK(ip_parse_zoned(VIEW("fe80::1%2"), &with));
    CHECK_OK(ip_parse_zoned(VIEW("fe80::1"), &without));
    assert_memory_equal(&with, &without, sizeof with);
    CHECK_OK(ip_parse_zoned(VIEW("fe80::1%eth0"), &with));
    CHECK_OK(ip_parse_zoned(VIEW("192.0.2.7"), &with));
    static const char *const bad[] = {"192.0.2.7%1", "fe80::1%", "%1",
                                      "unknown",     "",         "::ffff:192.0.2.7%1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(ip_parse_zoned(view_str(bad[i]), &with), ERR_SYNTAX);
}

static bool same_source(const char *a, const char *b)
{
    struct ip x;
    struct ip y;
    CHECK_OK(ip_parse(view_str(a), &x));
    CHECK_OK(ip_parse(view_str(b), &y));
    return view_eq(ip_source(&x), ip_source(&y));
}

static void test_sources(void **state)
{
    (void)state;
    assert_true(same_source("2001:db8:0:1::1", "2001:db8:0:1:ffff::1"));
    assert_false(same_source("2001:db8:0:1::1", "2001:db8:0:2::1"));
    assert_true(same_source("192.0.2.1", "::ffff:192.0.2.1"));
    assert_false(same_source("192.0.2.1", "192.0.2.2"));
    /* The bytes of the one are the beginning of the other. */
    assert_false(same_source("192.0.2.1", "c000:201::"));
    assert_int_equal(ip_source(&(struct ip){0}).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),   cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_no_address), cmocka_unit_test(test_zones),
        cmocka_unit_test(test_sources),
    };
    return RUN(tests);
}
