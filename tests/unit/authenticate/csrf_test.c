#include "authenticate/csrf.h"

#include "tests/support/test.h"

static struct secret key_of(char byte)
{
    uint8_t bytes[32];
    struct secret key = {0};
    memset(bytes, byte, sizeof bytes);
    secret_set(&key, view_of(bytes, sizeof bytes));
    return key;
}

static void test_token(void **state)
{
    (void)state;
    AUTO(secret_fini) struct secret key = key_of('k');
    AUTO(secret_fini) struct secret other = key_of('o');
    AUTO_FREE char *token = csrf_token(&key, "session-1", "/a");
    struct view t = view_str(token);
    assert_int_equal(t.len, 43);
    assert_true(csrf_is_token(&key, "session-1", "/a", t));
    assert_false(csrf_is_token(&key, "session-1", "/b", t));
    assert_false(csrf_is_token(&key, "session-2", "/a", t));
    assert_false(csrf_is_token(&other, "session-1", "/a", t));
    assert_false(csrf_is_token(&key, "session-1", "/a", view_take(t, 42)));
    assert_false(csrf_is_token(&key, "session-1", "/a", VIEW("")));
    assert_false(csrf_is_token(&key, "session-1", "/a", (struct view){0}));
    /* What is bound and the path do not run into each other. */
    AUTO_FREE char *apart = csrf_token(&key, "session-1/", "a");
    assert_false(csrf_is_token(&key, "session-1", "/a", view_str(apart)));
}

static bool is_own(const char *origin, const char *site)
{
    AUTO(fields_fini) struct fields f = {0};
    struct url own;
    CHECK_OK(url_parse(VIEW("https://auth.example.test"), &own));
    if (origin)
        CHECK_OK(fields_add_str(&f, "Origin", origin));
    if (site)
        CHECK_OK(fields_add_str(&f, "Sec-Fetch-Site", site));
    return csrf_is_own_origin(&own, &f);
}

static void test_origin(void **state)
{
    (void)state;
    assert_true(is_own("https://auth.example.test", "same-origin"));
    assert_true(is_own("https://AUTH.example.test:443", NULL));
    assert_true(is_own(NULL, NULL)); /* clients that are no browsers: the token decides */
    assert_true(is_own(NULL, "same-origin"));
    assert_false(is_own("null", "same-origin"));
    assert_false(is_own("", NULL));
    assert_false(is_own("https://evil.test", NULL));
    assert_false(is_own("http://auth.example.test", NULL));
    assert_false(is_own("https://auth.example.test:8443", NULL));
    assert_false(is_own("https://auth.example.test.evil.test", NULL));
    assert_false(is_own("https://auth.example.test", "same-site"));
    assert_false(is_own("https://auth.example.test", "cross-site"));
    assert_false(is_own("https://auth.example.test", "none"));
}

static void test_two_origins(void **state)
{
    (void)state;
    AUTO(fields_fini) struct fields f = {0};
    struct url own;
    CHECK_OK(url_parse(VIEW("https://auth.example.test"), &own));
    CHECK_OK(fields_add_str(&f, "Origin", "https://auth.example.test"));
    CHECK_OK(fields_add_str(&f, "Origin", "https://evil.test"));
    assert_false(csrf_is_own_origin(&own, &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_origin),
        cmocka_unit_test(test_two_origins),
    };
    return RUN(tests);
}
