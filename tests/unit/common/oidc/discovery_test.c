#include "common/oidc/discovery.h"
#include "tests/support/test.h"

#define ENDPOINTS(base)                                                                            \
    "\"authorization_endpoint\":\"" base "/auth\",\"token_endpoint\":\"" base                      \
    "/token\",\"jwks_uri\":\"" base "/jwks\""

static void test_urls(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"https://a", "https://a/.well-known/openid-configuration"},
        {"https://a/", "https://a/.well-known/openid-configuration"},
        {"https://a/b/api/oidc", "https://a/b/api/oidc/.well-known/openid-configuration"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *url = discovery_url(rows[i][0]);
        assert_string_equal(url, rows[i][1]);
    }
}

static void test_whole_document(void **state)
{
    (void)state;
    struct discovery d = {0};
    char *why = NULL;
    CHECK_OK(discovery_parse(
        VIEW("{\"issuer\":\"https://idp.test/x\"," ENDPOINTS(
            "https://idp.test") ",\"userinfo_endpoint\":\"https://idp.test/me\","
                                "\"end_session_endpoint\":\"https://idp.test/out\","
                                "\"revocation_endpoint\":\"https://idp.test/revoke\","
                                "\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]"
                                ","
                                "\"code_challenge_methods_supported\":[\"plain\",\"S256\"],"
                                "\"authorization_response_iss_parameter_supported\":true,"
                                "\"unknown\":{\"x\":[1]}}"),
        "https://idp.test/x", &d, &why));
    assert_string_equal(d.issuer, "https://idp.test/x");
    assert_string_equal(d.authorization_endpoint, "https://idp.test/auth");
    assert_string_equal(d.token_endpoint, "https://idp.test/token");
    assert_string_equal(d.jwks_uri, "https://idp.test/jwks");
    assert_string_equal(d.userinfo_endpoint, "https://idp.test/me");
    assert_string_equal(d.end_session_endpoint, "https://idp.test/out");
    assert_string_equal(d.revocation_endpoint, "https://idp.test/revoke");
    assert_true(d.pkce_s256 && d.auth_post && !d.auth_basic && d.iss_in_response);
    /* What is not said has its default; the old document is replaced. */
    CHECK_OK(discovery_parse(
        VIEW("{\"issuer\":\"https://a\"," ENDPOINTS("https://a") ",\"userinfo_endpoint\":null}"),
        "https://a", &d, &why));
    assert_null(d.userinfo_endpoint);
    assert_null(d.end_session_endpoint);
    assert_true(d.pkce_s256 && !d.auth_post && d.auth_basic && !d.iss_in_response);
    CHECK_OK(discovery_parse(VIEW("{\"issuer\":\"https://a\"," ENDPOINTS(
                                 "https://a") ",\"code_challenge_methods_supported\":[\"plain\"]}"),
                             "https://a", &d, &why));
    assert_false(d.pkce_s256);
    assert_null(why);
    discovery_fini(&d);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *provider;
        enum err expected;
        const char *why;
    } rows[] = {
        {"<html>", "https://a", ERR_SYNTAX, "the provider's document is no JSON"},
        {"[]", "https://a", ERR_SYNTAX, "the provider's document has no issuer"},
        {"{" ENDPOINTS("https://a") "}", "https://a", ERR_SYNTAX,
         "the provider's document has no issuer"},
        {"{\"issuer\":\"https://a/\"," ENDPOINTS("https://a") "}", "https://a", ERR_MISMATCH,
         "the provider calls itself https://a/, idp_provider_url is https://a; they have to be the "
         "same"},
        {"{\"issuer\":\"https://A\"," ENDPOINTS("https://a") "}", "https://a", ERR_MISMATCH,
         "the provider calls itself https://A, idp_provider_url is https://a; they have to be the "
         "same"},
        {"{\"issuer\":\"https://a\"," ENDPOINTS("http://a") "}", "https://a", ERR_MISMATCH,
         "the provider's authorization_endpoint is not https: http://a/auth"},
        {"{\"issuer\":\"https://a\"," ENDPOINTS("ftp://localhost") "}", "https://a", ERR_MISMATCH,
         "the provider's authorization_endpoint is not https: ftp://localhost/auth"},
        {"{\"issuer\":\"http://a\"," ENDPOINTS("javascript://a") "}", "http://a", ERR_MISMATCH,
         "the provider's authorization_endpoint is not https: javascript://a/auth"},
        {"{\"issuer\":\"https://a\"," ENDPOINTS("https://u@a") "}", "https://a", ERR_SYNTAX,
         "the provider's document has no valid authorization_endpoint"},
        {"{\"issuer\":\"https://a\",\"authorization_endpoint\":\"https://a\"}", "https://a",
         ERR_SYNTAX, "the provider's document has no valid token_endpoint"},
        {"{\"issuer\":\"https://a\"," ENDPOINTS("https://a") ",\"userinfo_endpoint\":\"http://b\"}",
         "https://a", ERR_MISMATCH, "the provider's userinfo_endpoint is not https: http://b"},
        {"{\"issuer\":\"https://a\",\"issuer\":\"https://b\"," ENDPOINTS("https://a") "}",
         "https://a", ERR_SYNTAX, "the provider's document is no JSON"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct discovery d = {0};
        AUTO_FREE char *why = NULL;
        CHECK_ERR(discovery_parse(view_str(rows[i].text), rows[i].provider, &d, &why),
                  rows[i].expected);
        assert_string_equal(why, rows[i].why);
        assert_null(d.issuer);
    }
}

static void test_http(void **state)
{
    (void)state;
    struct discovery d = {0};
    char *why = NULL;
    CHECK_OK(discovery_parse(VIEW("{\"issuer\":\"http://idp:80\"," ENDPOINTS("http://idp:80") "}"),
                             "http://idp:80", &d, &why));
    CHECK_OK(
        discovery_parse(VIEW("{\"issuer\":\"https://idp\"," ENDPOINTS("http://127.0.0.1:8080") "}"),
                        "https://idp", &d, &why));
    discovery_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_urls),
        cmocka_unit_test(test_whole_document),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_http),
    };
    return RUN(tests);
}
