#include "authenticate/redirect_uri.h"

#include "tests/support/test.h"

static enum err check(const char *uri)
{
    struct config_item items[] = {{.text = "app.example.test"}, {.text = "Other.test"}};
    const struct config_list domains = {items, ARRAY_LEN(items)};
    return redirect_uri_check(view_str(uri), &domains);
}

static void test_taken(void **state)
{
    (void)state;
    CHECK_OK(check("http://127.0.0.1:40000"));
    CHECK_OK(check("http://127.1.2.3:1/path?query=1"));
    CHECK_OK(check("http://localhost:40000/"));
    CHECK_OK(check("https://LocalHost"));
    CHECK_OK(check("http://[::1]:40000/x"));
    CHECK_OK(check("https://app.example.test/done"));
    CHECK_OK(check("https://APP.example.test:8443"));
    CHECK_OK(check("https://other.test"));
    const struct config_list none = {0};
    CHECK_OK(redirect_uri_check(VIEW("http://127.0.0.1:1"), &none));
    CHECK_ERR(redirect_uri_check(VIEW("https://app.example.test"), &none), ERR_DENIED);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const others[] = {
        "https://evil.test",
        "http://app.example.test", /* a token in clear */
        "https://sub.app.example.test",
        "https://app.example.test.evil.test",
        "http://127.0.0.1.evil.test",
        "http://localhost.evil.test",
        "http://evil.localhost",
        "http://128.0.0.1",
        "http://0.0.0.0:1",
        "http://[::2]:1",
        "http://[::ffff:127.0.0.1]:1",
        "http://2130706433:1",
        "http://0x7f.1:1",
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        CHECK_ERR(check(others[i]), ERR_DENIED);
    static const char *const malformed[] = {
        "",
        "127.0.0.1:1",
        "/path",
        "//localhost",
        "javascript:alert(1)//localhost",
        "ftp://localhost/",
        "http://user@localhost/",
        "http://localhost@evil.test/",
        "http://localhost:1/#x",
        "http://localhost:0/",
        "http://localhost:65536/",
        "http://localhost\\@evil.test/",
        "http://localhost/ x",
        "http://localhost/\r\nSet-Cookie: a=b",
    };
    for (size_t i = 0; i < ARRAY_LEN(malformed); i++)
        CHECK_ERR(check(malformed[i]), ERR_SYNTAX);
    char longest[REDIRECT_URI_MAX + 2] = "http://localhost/";
    memset(longest + strlen(longest), 'a', sizeof longest - strlen(longest) - 1);
    CHECK_ERR(check(longest), ERR_LIMIT);
    longest[REDIRECT_URI_MAX] = '\0';
    CHECK_OK(check(longest));
}

static void test_origin(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, URL_MAX);
    CHECK_OK(redirect_uri_origin(VIEW("https://Web.Example.test:443/a?b"), &out));
    CHECK_VIEW_STR(buf_view(&out), "https://web.example.test");
    buf_clear(&out);
    CHECK_OK(redirect_uri_origin(VIEW("http://[::1]:8080"), &out));
    CHECK_VIEW_STR(buf_view(&out), "http://[::1]:8080");
    CHECK_ERR(redirect_uri_origin(VIEW("https://a@b/"), &out), ERR_SYNTAX);
    CHECK_ERR(redirect_uri_origin(VIEW("ssh://b/"), &out), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_origin),
    };
    return RUN(tests);
}
