/* Callbacks, tokens and answers that end no sign-in. */
#include "tests/unit/common/oidc/idp.h"

#define CLAIMS(iss, sub, aud, exp, nonce)                                                          \
    "{\"iss\":\"" iss "\",\"sub\":\"" sub "\",\"aud\":" aud ",\"exp\":" exp                        \
    ",\"iat\":1700000000,\"nonce\":\"" nonce "\"}"

static void test_bad_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *alg;
        const char *kid;
        const char *claims;
        enum err expected;
        const char *text;
    } rows[] = {
        {"RS256", "rsa", CLAIMS("https://idp.test", "s", "\"postern\"", "1700000300", "other"),
         ERR_MISMATCH, "nonce"},
        {"RS256", "rsa", CLAIMS("https://idp.test", "s", "\"else\"", "1700000300", "the-nonce"),
         ERR_MISMATCH, "aud"},
        {"RS256", "rsa",
         CLAIMS("https://idp.test", "s", "[\"postern\",\"x\"]", "1700000300", "the-nonce"),
         ERR_MISMATCH, "azp"},
        {"RS256", "rsa", CLAIMS("https://idp.test", "s", "\"postern\"", "1699999940", "the-nonce"),
         ERR_EXPIRED, "exp"},
        {"RS256", "rsa", CLAIMS("https://evil.test", "s", "\"postern\"", "1700000300", "the-nonce"),
         ERR_MISMATCH, "iss"},
        {"RS256", "rsa", CLAIMS("https://idp.test", "", "\"postern\"", "1700000300", "the-nonce"),
         ERR_MISMATCH, "sub"},
        {"RS256", "rsa", "[1]", ERR_SYNTAX, "object"},
        {"RS256", "ec", GOOD_CLAIMS, ERR_VERIFY, "signature"},
        {"ES256", "rsa", GOOD_CLAIMS, ERR_VERIFY, "signature"},
        {"RS256", "gone", GOOD_CLAIMS, ERR_VERIFY, "signature"},
        {"HS256", "rsa", GOOD_CLAIMS, ERR_UNSUPPORTED, "signature"},
        {"HS256", NULL, GOOD_CLAIMS, ERR_UNSUPPORTED, "signature"},
        {"none", NULL, GOOD_CLAIMS, ERR_UNSUPPORTED, "malformed"},
        {"none", "rsa", GOOD_CLAIMS, ERR_UNSUPPORTED, "malformed"},
        {"RS1", "rsa", GOOD_CLAIMS, ERR_UNSUPPORTED, "malformed"},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct idp i = idp_new();
        AUTO_FREE char *text = NULL;
        i.alg = rows[n].alg;
        i.kid = rows[n].kid;
        i.claims = rows[n].claims;
        enum err e = finish(&i, &good_callback, &text);
        if (e != rows[n].expected || !strstr(text, rows[n].text))
            fail_msg("row %zu: %s, %s", n, err_name(e), text);
        assert_true(strncmp(text, "id_token: ", 10) == 0);
        assert_int_equal(i.asked[OIDC_PURPOSE_KEYS], 1);
        idp_fini(&i);
    }
}

static void test_at_hash(void **state)
{
    (void)state;
    struct idp i = idp_new();
    uint8_t hash[DIGEST_MAX];
    struct buf text;
    buf_init(&text, 100);
    digest(DIGEST_SHA256, VIEW("at-1"), hash);
    CHECK_OK(text_base64url(view_of(hash, 16), &text));
    AUTO_FREE char *good = mem_printf("%.*s,\"at_hash\":\"%.*s\"}", (int)strlen(GOOD_CLAIMS) - 1,
                                      GOOD_CLAIMS, VIEW_FMT(buf_view(&text)));
    i.claims = good;
    CHECK_OK(finish(&i, &good_callback, NULL));
    AUTO_FREE char *bad =
        mem_printf("%.*s,\"at_hash\":\"x\"}", (int)strlen(GOOD_CLAIMS) - 1, GOOD_CLAIMS);
    i.claims = bad;
    CHECK_ERR(finish(&i, &good_callback, NULL), ERR_MISMATCH);
    buf_fini(&text);
    idp_fini(&i);
}

static void test_callback(void **state)
{
    (void)state;
    static const struct {
        struct oidc_callback callback;
        enum err expected;
        const char *text;
        int asked; /* requests to the token endpoint */
    } rows[] = {
        {{.code = VIEW("c"), .state = VIEW("other")}, ERR_MISMATCH, "state", 0},
        {{.code = VIEW("c")}, ERR_MISMATCH, "state", 0},
        {{.state = VIEW("the-state"), .error = VIEW("access_denied")},
         ERR_DENIED,
         "the provider says access_denied",
         0},
        {{.state = VIEW("the-state"),
          .error = VIEW("server_error"),
          .error_description = VIEW("down\r\nagain")},
         ERR_UNAVAILABLE,
         "the provider says server_error: down??again",
         0},
        {{.state = VIEW("the-state"), .error = VIEW("invalid_scope"), .code = VIEW("c")},
         ERR_PROTOCOL,
         "invalid_scope",
         0},
        {{.code = VIEW("c"), .state = VIEW("the-state"), .iss = VIEW("https://evil.test")},
         ERR_MISMATCH,
         "iss",
         0},
        {{.code = VIEW("c"), .state = VIEW("the-state"), .iss = VIEW("")}, ERR_MISMATCH, "iss", 0},
        {{.code = VIEW("c"), .state = VIEW("the-state"), .iss = VIEW("https://idp.test")},
         OK,
         "",
         1},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct idp i = idp_new();
        AUTO_FREE char *text = NULL;
        CHECK_ERR(finish(&i, &rows[n].callback, &text), rows[n].expected);
        if (!strstr(text, rows[n].text))
            fail_msg("row %zu: %s", n, text);
        assert_int_equal(i.asked[OIDC_PURPOSE_TOKEN], rows[n].asked);
        idp_fini(&i);
    }
    /* RFC 9207: a provider that says it sends iss has to. */
    struct idp i = idp_new();
    i.document = DOCUMENT(",\"authorization_response_iss_parameter_supported\":true");
    CHECK_ERR(finish(&i, &good_callback, NULL), ERR_MISMATCH);
    idp_fini(&i);
}

static void test_token_endpoint_errors(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *token;
        enum err expected;
        const char *text;
    } rows[] = {
        {400, "{\"error\":\"invalid_grant\",\"error_description\":\"code was used\"}", ERR_PROTOCOL,
         "the provider says invalid_grant: code was used"},
        {401, "{\"error\":\"invalid_client\"}", ERR_PROTOCOL, "invalid_client"},
        {403, "", ERR_PROTOCOL, "the token endpoint answered 403"},
        {503, "<html>", ERR_UNAVAILABLE, "the token endpoint answered 503"},
        {200, "{\"error\":\"access_denied\"}", ERR_DENIED, "access_denied"},
        {200, "<html>", ERR_SYNTAX, "no JSON"},
        {200, "{}", ERR_SYNTAX, "no access_token"},
        {200, "{\"access_token\":\"a\"}", ERR_SYNTAX, "no id_token"},
        {200, "{\"access_token\":\"a\",\"token_type\":\"mac\",\"id_token\":\"x\"}", ERR_UNSUPPORTED,
         "token_type"},
        {200, "{\"access_token\":\"a\",\"id_token\":\"x.y.z\"}", ERR_SYNTAX, "malformed"},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct idp i = idp_new();
        AUTO_FREE char *text = NULL;
        i.status[OIDC_PURPOSE_TOKEN] = rows[n].status;
        i.token = rows[n].token;
        CHECK_ERR(finish(&i, &good_callback, &text), rows[n].expected);
        if (!strstr(text, rows[n].text))
            fail_msg("row %zu: %s", n, text);
        idp_fini(&i);
    }
}

static void test_other_failures(void **state)
{
    (void)state;
    static const struct {
        enum oidc_purpose purpose;
        unsigned status; /* 0 = no answer */
        enum err expected;
        const char *text;
    } rows[] = {
        {OIDC_PURPOSE_DISCOVERY, 0, ERR_UNAVAILABLE,
         "https://idp.test/.well-known/openid-configuration: connection refused"},
        {OIDC_PURPOSE_DISCOVERY, 404, ERR_UNAVAILABLE, "answered 404"},
        {OIDC_PURPOSE_KEYS, 0, ERR_UNAVAILABLE, "https://idp.test/jwks: connection refused"},
        {OIDC_PURPOSE_KEYS, 500, ERR_UNAVAILABLE, "https://idp.test/jwks answered 500"},
        {OIDC_PURPOSE_TOKEN, 0, ERR_UNAVAILABLE, "https://idp.test/token: connection refused"},
        {OIDC_PURPOSE_USERINFO, 0, ERR_UNAVAILABLE, "https://idp.test/me: connection refused"},
        {OIDC_PURPOSE_USERINFO, 401, ERR_PROTOCOL, "userinfo answered 401"},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct idp i = idp_new();
        AUTO_FREE char *text = NULL;
        i.document = DOCUMENT(USERINFO);
        i.userinfo = "{\"sub\":\"alice\"}";
        i.down[rows[n].purpose] = rows[n].status == 0;
        i.status[rows[n].purpose] = rows[n].status;
        CHECK_ERR(finish(&i, &good_callback, &text), rows[n].expected);
        if (!strstr(text, rows[n].text))
            fail_msg("row %zu: %s", n, text);
        idp_fini(&i);
    }
}

static void test_userinfo(void **state)
{
    (void)state;
    static const struct {
        const char *userinfo;
        enum err expected;
    } rows[] = {
        {"{\"sub\":\"alice\"}", OK},
        {"{\"sub\":\"bob\"}", ERR_MISMATCH},
        {"{\"email\":\"x\"}", ERR_MISMATCH},
        {"{\"sub\":1}", ERR_MISMATCH},
        {"eyJhbGciOiJub25lIn0.e30.", ERR_SYNTAX},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct idp i = idp_new();
        i.document = DOCUMENT(USERINFO);
        i.userinfo = rows[n].userinfo;
        CHECK_ERR(finish(&i, &good_callback, NULL), rows[n].expected);
        idp_fini(&i);
    }
}

static void test_bad_document(void **state)
{
    (void)state;
    struct idp i = idp_new();
    AUTO_FREE char *text = NULL;
    i.document = "{\"issuer\":\"https://other.test\"}";
    CHECK_ERR(finish(&i, &good_callback, &text), ERR_MISMATCH);
    assert_non_null(strstr(text, "https://other.test"));
    assert_int_equal(i.asked[OIDC_PURPOSE_TOKEN], 0);
    idp_fini(&i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_tokens),     cmocka_unit_test(test_at_hash),
        cmocka_unit_test(test_callback),       cmocka_unit_test(test_token_endpoint_errors),
        cmocka_unit_test(test_other_failures), cmocka_unit_test(test_userinfo),
        cmocka_unit_test(test_bad_document),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, load_keys, free_keys);
}
