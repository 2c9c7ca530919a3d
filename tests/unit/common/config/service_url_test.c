#include "common/config/service_url.h"

#include "tests/support/test.h"

static void test_urls(void **state)
{
    (void)state;
    struct tree *t = tree_new();
    const char *why;
    struct config_url u;
    CHECK_OK(service_url_parse(t, VIEW("HTTPS://Auth.Example.COM:8443/"), true, &u, &why));
    assert_string_equal(u.text, "HTTPS://Auth.Example.COM:8443");
    assert_string_equal(u.host, "auth.example.com");
    assert_string_equal(u.authority, "auth.example.com:8443");
    assert_string_equal(u.target, "auth.example.com:8443");
    assert_int_equal(u.port, 8443);
    assert_true(u.https);
    assert_false(u.loopback);
    assert_string_equal(service_url_listen(t, &u), ":8443");
    CHECK_OK(service_url_parse(t, VIEW("https://idp.test/realms/a"), false, &u, &why));
    assert_string_equal(u.path, "/realms/a");
    assert_string_equal(u.text, "https://idp.test/realms/a");
    assert_string_equal(u.authority, "idp.test");
    assert_string_equal(u.target, "idp.test:443");
    CHECK_OK(service_url_parse(t, VIEW("http://localhost"), true, &u, &why));
    assert_int_equal(u.port, 80);
    assert_string_equal(service_url_listen(t, &u), "127.0.0.1:80");
    CHECK_OK(service_url_parse(t, VIEW("https://127.0.0.2:5443"), true, &u, &why));
    assert_string_equal(service_url_listen(t, &u), "127.0.0.2:5443");
    CHECK_OK(service_url_parse(t, VIEW("https://[::1]:5443"), true, &u, &why));
    assert_string_equal(u.host, "::1");
    assert_string_equal(u.target, "[::1]:5443");
    assert_string_equal(service_url_listen(t, &u), "[::1]:5443");
    tree_free(t);
}

static void test_refused_urls(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "example.com",
        "ftp://example.com",
        "https://",
        "https://:443",
        "https://u@example.com",
        "https://example.com:0",
        "https://example.com:65536",
        "https://example.com:x",
        "https://exa mple.com",
        "https://example..com",
        "https://-x.com",
        "https://::1",
        "https://[::1",
        "https://[::1]x",
        "https://example.com?q",
        "https://example.com/?q",
        "https://example.com/#f",
        "https://example.com/\\",
        "https://example.com/path",
    };
    struct tree *t = tree_new();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct config_url u = {0};
        const char *why = NULL;
        CHECK_ERR(service_url_parse(t, view_str(bad[i]), true, &u, &why), ERR_SYNTAX);
        assert_non_null(why);
        assert_null(u.text);
    }
    tree_free(t);
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint16_t default_port;
        const char *host; /* NULL: refused */
        uint16_t port;
    } rows[] = {
        {":443", 0, "", 443},       {"127.0.0.1:22", 0, "127.0.0.1", 22},
        {"[::1]:22", 0, "::1", 22}, {"host", 22, "host", 22},
        {"::1", 22, "::1", 22},     {"[fe80::1]", 22, "fe80::1", 22},
        {"host:0", 0, "host", 0},   {"host", 0, NULL, 0},
        {"", 22, NULL, 0},          {":", 22, NULL, 0},
        {"a:b", 0, NULL, 0},        {"a:1:2x", 0, NULL, 0},
        {"[::1]22", 0, NULL, 0},    {"[nothex]:1", 0, NULL, 0},
        {"host:99999", 0, NULL, 0}, {"ho st:1", 0, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view host = {0};
        uint16_t port = 0;
        enum err e =
            service_address_parse(view_str(rows[i].text), rows[i].default_port, &host, &port);
        if (!rows[i].host) {
            assert_int_not_equal(e, OK);
            continue;
        }
        CHECK_OK(e);
        CHECK_VIEW_STR(host, rows[i].host);
        assert_int_equal(port, rows[i].port);
    }
}

static void test_loopback(void **state)
{
    (void)state;
    assert_true(service_host_is_loopback(VIEW("LocalHost")));
    assert_true(service_host_is_loopback(VIEW("127.9.9.9")));
    assert_true(service_host_is_loopback(VIEW("::1")));
    assert_false(service_host_is_loopback(VIEW("127.0.0.1.example.com")));
    assert_false(service_host_is_loopback(VIEW("128.0.0.1")));
    assert_false(service_host_is_loopback(VIEW("127.0.0")));
    assert_false(service_host_is_loopback(VIEW("localhost.example.com")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_refused_urls),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_loopback),
    };
    return RUN(tests);
}
