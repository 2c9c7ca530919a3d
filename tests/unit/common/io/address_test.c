#include "common/io/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "tests/support/test.h"

static struct address ip(const char *text)
{
    struct address a;
    CHECK_OK(address_parse_ip(view_str(text), &a));
    return a;
}

static void test_parse_ip(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *out; /* NULL: refused */
    } rows[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"::1", "::1"},
        {"2001:DB8::0:1", "2001:db8::1"},
        {"::ffff:10.1.2.3", "10.1.2.3"},
        {"fe80::1%7", "fe80::1%7"},
        {"fe80::1%lo", "fe80::1%1"},
        {"", NULL},
        {"localhost", NULL},
        {"1.2.3", NULL},
        {"1.2.3.4 ", NULL},
        {"01.2.3.4", NULL},
        {"[::1]", NULL},
        {"1.2.3.4%1", NULL},
        {"fe80::1%", NULL},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111:2222:3333", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address a;
        char text[ADDRESS_TEXT_MAX];
        enum err e = address_parse_ip(view_str(rows[i].text), &a);
        if (!rows[i].out) {
            CHECK_ERR(e, ERR_SYNTAX);
            continue;
        }
        CHECK_OK(e);
        address_ip_text(&a, text);
        assert_string_equal(text, rows[i].out);
    }
    CHECK_ERR(address_parse_ip(view_of("1.2.3.4\0x", 9), &(struct address){0}), ERR_SYNTAX);
}

static void test_parse(void **state)
{
    (void)state;
    struct address a;
    char text[ADDRESS_TEXT_MAX];
    CHECK_OK(address_parse(VIEW("[2001:db8::7]:2222"), &a));
    address_text(&a, text);
    assert_string_equal(text, "[2001:db8::7]:2222");
    CHECK_OK(address_parse(VIEW("10.0.0.1:65535"), &a));
    address_text(&a, text);
    assert_string_equal(text, "10.0.0.1:65535");
    assert_int_equal(a.port, 65535);
    CHECK_ERR(address_parse(VIEW("10.0.0.1"), &a), ERR_SYNTAX);
    CHECK_ERR(address_parse(VIEW("10.0.0.1:65536"), &a), ERR_RANGE);
    CHECK_ERR(address_parse(VIEW("10.0.0.1:0"), &a), ERR_RANGE);
    CHECK_ERR(address_parse(VIEW("::1:22"), &a), ERR_SYNTAX);
    address_text(&(struct address){0}, text);
    assert_string_equal(text, "unknown");
}

static void test_split(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t default_port;
        enum err err;
        const char *host;
        uint16_t port;
    } rows[] = {
        {"web1:22", 0, OK, "web1", 22},
        {"web1", 22, OK, "web1", 22},
        {"web1", 0, ERR_SYNTAX, NULL, 0},
        {":443", 0, OK, "", 443},
        {"", 22, ERR_SYNTAX, NULL, 0},
        {"[::1]:9", 0, OK, "::1", 9},
        {"[::1]", 9, OK, "::1", 9},
        {"::1", 9, OK, "::1", 9},
        {"[web1]:9", 0, ERR_SYNTAX, NULL, 0},
        {"[::1]x:9", 0, ERR_SYNTAX, NULL, 0},
        {"[::1", 9, ERR_SYNTAX, NULL, 0},
        {"a:b:1", 0, ERR_SYNTAX, NULL, 0},
        {"a b:1", 0, ERR_SYNTAX, NULL, 0},
        {"a/b:1", 0, ERR_SYNTAX, NULL, 0},
        {"web1:", 0, ERR_SYNTAX, NULL, 0},
        {"web1:+1", 0, ERR_SYNTAX, NULL, 0},
        {"web1:99999", 0, ERR_RANGE, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view host;
        uint16_t port;
        CHECK_ERR(address_split(view_str(rows[i].text), rows[i].default_port, &host, &port),
                  rows[i].err);
        if (rows[i].err != OK)
            continue;
        CHECK_VIEW_STR(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void test_sockaddr(void **state)
{
    (void)state;
    static const char *const rows[] = {"10.1.2.3:80", "[2001:db8::1]:443", "[fe80::1%3]:1"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address a;
        struct sockaddr_storage sa;
        CHECK_OK(address_parse(view_str(rows[i]), &a));
        assert_true(address_to_sockaddr(&a, &sa) > 0);
        struct address b = address_of_sockaddr((const struct sockaddr *)&sa);
        assert_true(address_eq(&a, &b));
    }
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6, .sin6_port = htons(5)};
    assert_int_equal(inet_pton(AF_INET6, "::ffff:1.2.3.4", &mapped.sin6_addr), 1);
    struct address a = address_of_sockaddr((const struct sockaddr *)&mapped);
    assert_int_equal(a.family, ADDRESS_V4);
    struct sockaddr_storage sa;
    assert_int_equal(address_to_sockaddr(&(struct address){0}, &sa), 0);
}

static void test_compare(void **state)
{
    (void)state;
    struct address a = ip("10.0.0.1");
    struct address b = ip("::ffff:10.0.0.1");
    assert_true(address_eq_ip(&a, &b));
    b.port = 1;
    assert_false(address_eq(&a, &b));
    a = ip("127.9.9.9");
    assert_true(address_is_loopback(&a));
    a = ip("::1");
    assert_true(address_is_loopback(&a));
    a = ip("::2");
    assert_false(address_is_loopback(&a));
}

static void test_ip(void **state)
{
    (void)state;
    static const char *const texts[] = {"192.0.2.7", "2001:db8::7", "::1", "0.0.0.0"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct address a = ip(texts[i]);
        a.port = 4000;
        struct ip plain = address_to_ip(&a);
        struct address again = address_of_ip(&plain, 4000);
        assert_true(address_eq(&a, &again));
        struct ip parsed;
        CHECK_OK(ip_parse(view_str(texts[i]), &parsed));
        assert_int_equal(parsed.len, plain.len);
        assert_memory_equal(parsed.bytes, plain.bytes, sizeof parsed.bytes);
    }
    struct address none = {0};
    struct ip plain = address_to_ip(&none);
    assert_int_equal(plain.len, 0);
    assert_int_equal(address_of_ip(&plain, 0).family, ADDRESS_NONE);
    const struct ip mapped = {16,
                              {[10] = 0xff, [11] = 0xff, [12] = 192, [13] = 0, [14] = 2, [15] = 7}};
    struct address v4 = address_of_ip(&mapped, 1);
    char text[ADDRESS_TEXT_MAX];
    address_text(&v4, text);
    assert_string_equal(text, "192.0.2.7:1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse_ip), cmocka_unit_test(test_parse),
        cmocka_unit_test(test_split),    cmocka_unit_test(test_sockaddr),
        cmocka_unit_test(test_compare),  cmocka_unit_test(test_ip),
    };
    return RUN(tests);
}
