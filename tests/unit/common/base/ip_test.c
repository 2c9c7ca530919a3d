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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_no_address),
    };
    return RUN(tests);
}
