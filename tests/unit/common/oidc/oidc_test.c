#include "tests/unit/common/oidc/idp.h"

static void check_begin(struct idp *i, const struct oidc_config *c, const char *expected)
{
    struct oidc_provider p;
    struct oidc_effect e;
    CHECK_OK(oidc_provider_init(&p, c));
    struct oidc_flow *f = oidc_begin(&p, &login);
    run(i, f, NOW, &e);
    assert_int_equal(e.type, OIDC_REDIRECT);
    assert_string_equal(e.url, expected);
    oidc_flow_free(f);
    oidc_provider_fini(&p);
}

#define BEGIN_URL                                                                                  \
    "https://idp.test/auth?x=1&response_type=code&client_id=postern&redirect_uri="                 \
    "https%3A%2F%2Fauth.test%2Foauth2%2Fcallback&scope=openid%20"
#define BEGIN_TAIL "&state=the-state&nonce=the-nonce"
/* RFC 7636 appendix B */
#define CHALLENGE                                                                                  \
    "&code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256"

static void test_begin(void **state)
{
    (void)state;
    struct idp i = idp_new();
    check_begin(&i, &config, BEGIN_URL "profile%20email%20offline_access" BEGIN_TAIL CHALLENGE);
    i.document = DOCUMENT(",\"code_challenge_methods_supported\":[\"S256\"]");
    struct oidc_config c = config;
    struct oidc_param params[] = {{"prompt", "select account"}, {"hd", "a.test"}};
    c.scopes = "email groups";
    c.params = params;
    c.param_count = 2;
    check_begin(&i, &c,
                BEGIN_URL "email%20groups" BEGIN_TAIL CHALLENGE
                          "&prompt=select%20account&hd=a.test");
    i.document = DOCUMENT(",\"code_challenge_methods_supported\":[\"plain\"]");
    c.param_count = 0;
    c.scopes = "openid email";
    check_begin(&i, &c, BEGIN_URL "email" BEGIN_TAIL);
    idp_fini(&i);
}

static void test_config(void **state)
{
    (void)state;
    struct oidc_provider p;
    static const char *const urls[] = {"", "idp.test", "ftp://idp.test", "https://u@idp.test",
                                       "https://idp.test#x"};
    for (size_t n = 0; n < ARRAY_LEN(urls); n++) {
        struct oidc_config c = config;
        c.provider_url = urls[n];
        CHECK_ERR(oidc_provider_init(&p, &c), ERR_CONFIG);
        c = config;
        c.redirect_uri = urls[n];
        CHECK_ERR(oidc_provider_init(&p, &c), ERR_CONFIG);
    }
    struct oidc_param params[] = {{"ok", "x"}, {"nonce", "x"}};
    struct oidc_config c = config;
    c.params = params;
    c.param_count = 2;
    CHECK_ERR(oidc_provider_init(&p, &c), ERR_CONFIG);
}

static void test_login_init(void **state)
{
    (void)state;
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 1);
    struct oidc_login a;
    struct oidc_login b;
    oidc_login_init(&a, &rng);
    oidc_login_init(&b, &rng);
    const char *const texts[] = {a.state, a.nonce, a.verifier, b.state, b.nonce, b.verifier};
    for (size_t n = 0; n < ARRAY_LEN(texts); n++) {
        assert_int_equal(strlen(texts[n]), 43); /* RFC 7636 §4.1: at least 43 */
        for (size_t m = 0; m < n; m++)
            assert_string_not_equal(texts[n], texts[m]);
    }
}

static void test_finish(void **state)
{
    (void)state;
    struct idp i = idp_new();
    struct oidc_provider p;
    struct oidc_effect e;
    i.document = DOCUMENT(USERINFO);
    i.userinfo = "{\"sub\":\"alice\",\"email\":\"new@idp.test\",\"email_verified\":\"true\","
                 "\"aud\":\"evil\",\"exp\":1,\"realm_access\":{\"roles\":[\"dev\",7]}}";
    CHECK_OK(oidc_provider_init(&p, &config));
    struct oidc_flow *f = oidc_finish(&p, &login, &good_callback);
    run(&i, f, NOW, &e);
    assert_int_equal(e.type, OIDC_DONE);
    const struct oidc_result *r = e.result;
    assert_string_equal(r->subject, "alice");
    assert_string_equal(r->email, "new@idp.test");
    assert_string_equal(r->name, "Alice");
    assert_true(r->email_verified);
    assert_string_equal(r->access_token, "at-1");
    assert_string_equal(r->refresh_token, "rt-1");
    assert_int_equal(r->access_expires_at, NOW + 3600 * SECOND);
    assert_int_equal(r->id_expires_at, NOW + 300 * SECOND);
    assert_string_equal(claims_first(r->claims, "aud"), "postern");
    assert_string_equal(claims_first(r->claims, "exp"), "1700000300");
    assert_int_equal(claims_get(r->claims, "groups")->count, 2);
    assert_string_equal(claims_get(r->claims, "realm_access.roles")->values[1], "7");
    assert_true(strlen(r->id_token) > 100);
    /* RFC 6749 §2.3.1: base64("postern:s%26cret+%3Ax") */
    CHECK_VIEW_STR(
        buf_view(&i.sent),
        "Basic cG9zdGVybjpzJTI2Y3JldCslM0F4\n"
        "grant_type=authorization_code&code=the+code&redirect_uri=https%3A%2F%2Fauth.test"
        "%2Foauth2%2Fcallback&code_verifier=dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    CHECK_VIEW_STR(buf_view(&i.bearer), "Bearer at-1");
    oidc_flow_free(f);
    for (int n = 0; n < 4; n++)
        assert_int_equal(i.asked[n], 1);

    /* The second person costs a token request and userinfo alone. */
    f = oidc_finish(&p, &login, &good_callback);
    run(&i, f, NOW + 60 * SECOND, &e);
    assert_int_equal(e.type, OIDC_DONE);
    assert_int_equal(i.asked[OIDC_PURPOSE_DISCOVERY], 1);
    assert_int_equal(i.asked[OIDC_PURPOSE_KEYS], 1);
    assert_int_equal(i.asked[OIDC_PURPOSE_TOKEN], 2);
    oidc_flow_free(f);
    oidc_provider_fini(&p);
    idp_fini(&i);
}

static void test_client_authentication(void **state)
{
    (void)state;
    struct idp i = idp_new();
    char *text = NULL;
    i.document = DOCUMENT(",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\"]");
    CHECK_OK(finish(&i, &good_callback, NULL));
    assert_true(
        view_ends_with(buf_view(&i.sent), VIEW("&client_id=postern&client_secret=s%26cret+%3Ax")));
    assert_true(view_starts_with(buf_view(&i.sent), VIEW("\ngrant_type=")));
    i.document = DOCUMENT(",\"token_endpoint_auth_methods_supported\":[\"client_secret_post\","
                          "\"client_secret_basic\"]");
    CHECK_OK(finish(&i, &good_callback, NULL));
    assert_true(view_starts_with(buf_view(&i.sent), VIEW("Basic ")));
    i.document = DOCUMENT(",\"token_endpoint_auth_methods_supported\":[\"private_key_jwt\"]");
    CHECK_ERR(finish(&i, &good_callback, &text), ERR_UNSUPPORTED);
    assert_non_null(strstr(text, "client_secret_basic"));
    mem_free(text);
    struct oidc_config saved = config;
    config.client_secret = (struct view){0};
    CHECK_OK(finish(&i, &good_callback, NULL));
    assert_true(view_ends_with(buf_view(&i.sent), VIEW("&client_id=postern")));
    config = saved;
    idp_fini(&i);
}

static void test_good_tokens(void **state)
{
    (void)state;
    struct idp i = idp_new();
    i.alg = "ES256";
    i.kid = "ec";
    CHECK_OK(finish(&i, &good_callback, NULL));
    i.alg = "PS256";
    i.kid = NULL;
    CHECK_OK(finish(&i, &good_callback, NULL));
    idp_fini(&i);
}

static enum err finish_at(struct idp *i, struct oidc_provider *p, uint64_t now)
{
    struct oidc_effect e;
    struct oidc_flow *f = oidc_finish(p, &login, &good_callback);
    run(i, f, now, &e);
    enum err err = e.type == OIDC_DONE ? OK : e.err;
    oidc_flow_free(f);
    return err;
}

static void test_key_rotation(void **state)
{
    (void)state;
    struct idp i = idp_new();
    struct oidc_provider p;
    int *asked = &i.asked[OIDC_PURPOSE_KEYS];
    i.claims = "{\"iss\":\"https://idp.test\",\"sub\":\"s\",\"aud\":\"postern\",\"exp\":1800000000,"
               "\"iat\":1700000000,\"nonce\":\"the-nonce\"}";
    CHECK_OK(oidc_provider_init(&p, &config));
    i.keys = "ec.json";
    i.alg = "ES256";
    i.kid = "ec";
    CHECK_OK(finish_at(&i, &p, NOW));
    assert_int_equal(*asked, 1);
    /* The new key is fetched once the old answer is old enough. */
    i.keys = "rsa.json";
    i.alg = "RS256";
    i.kid = "rsa";
    CHECK_ERR(finish_at(&i, &p, NOW + OIDC_KEY_RETRY_MS - 1), ERR_VERIFY);
    assert_int_equal(*asked, 1);
    CHECK_OK(finish_at(&i, &p, NOW + OIDC_KEY_RETRY_MS));
    assert_int_equal(*asked, 2);
    /* A token without kid by a key that is not known yet. */
    i.keys = "ec.json";
    i.alg = "ES256";
    i.kid = NULL;
    CHECK_OK(finish_at(&i, &p, NOW + 2 * OIDC_KEY_RETRY_MS));
    assert_int_equal(*asked, 3);
    /* A kid that nobody knows asks once, and not again at once. */
    i.kid = "nobody";
    CHECK_ERR(finish_at(&i, &p, NOW + 3 * OIDC_KEY_RETRY_MS), ERR_VERIFY);
    CHECK_ERR(finish_at(&i, &p, NOW + 3 * OIDC_KEY_RETRY_MS + 5), ERR_VERIFY);
    assert_int_equal(*asked, 4);
    /* Old keys and documents are fetched again, and used on when that fails. */
    i.kid = "ec";
    CHECK_OK(finish_at(&i, &p, NOW + 2 * OIDC_REFRESH_MS));
    assert_int_equal(*asked, 5);
    assert_int_equal(i.asked[OIDC_PURPOSE_DISCOVERY], 2);
    i.down[OIDC_PURPOSE_KEYS] = true;
    i.status[OIDC_PURPOSE_DISCOVERY] = 502;
    CHECK_OK(finish_at(&i, &p, NOW + 4 * OIDC_REFRESH_MS));
    assert_int_equal(*asked, 6);
    assert_int_equal(i.asked[OIDC_PURPOSE_DISCOVERY], 3);
    oidc_provider_fini(&p);
    idp_fini(&i);
}

static void test_callback_parse(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        enum err expected;
    } rows[] = {
        {"code=a&state=b", OK},        {"error=x&state=b", OK},
        {"state=b", ERR_SYNTAX},       {"code=&state=b", ERR_SYNTAX},
        {"code=a&code=b", ERR_SYNTAX}, {"code=a&state=b&state=b", ERR_SYNTAX},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct form form = {0};
        struct oidc_callback c;
        CHECK_OK(form_parse(view_str(rows[n].query), &form));
        CHECK_ERR(oidc_callback_parse(&form, &c), rows[n].expected);
        form_fini(&form);
    }
}

static void test_refresh(void **state)
{
    (void)state;
    struct idp i = idp_new();
    struct oidc_provider p;
    struct oidc_effect e;
    i.document = DOCUMENT(USERINFO);
    i.userinfo = "{\"sub\":\"alice\",\"mail\":\"m@idp.test\",\"groups\":[\"ops\"]}";
    i.id_token = "";
    CHECK_OK(oidc_provider_init(&p, &config));
    struct oidc_flow *f = oidc_refresh(&p, "rt-0", "alice");
    run(&i, f, NOW, &e);
    assert_int_equal(e.type, OIDC_DONE);
    assert_string_equal(e.result->subject, "alice");
    assert_string_equal(e.result->email, "m@idp.test");
    assert_string_equal(e.result->refresh_token, "rt-1");
    assert_string_equal(e.result->id_token, "");
    assert_string_equal(claims_first(e.result->claims, "groups"), "ops");
    assert_true(
        view_ends_with(buf_view(&i.sent), VIEW("\ngrant_type=refresh_token&refresh_token=rt-0")));
    oidc_flow_free(f);

    /* The old refresh token stays where no new one comes. */
    i.token = "{\"access_token\":\"at-2\"}";
    f = oidc_refresh(&p, "rt-0", "alice");
    run(&i, f, NOW, &e);
    assert_string_equal(e.result->refresh_token, "rt-0");
    assert_int_equal(e.result->access_expires_at, 0);
    oidc_flow_free(f);

    i.token = NULL;
    i.id_token = NULL; /* of alice, for whom nonce is not looked at */
    f = oidc_refresh(&p, "rt-0", "bob");
    run(&i, f, NOW, &e);
    assert_int_equal(e.err, ERR_MISMATCH);
    oidc_flow_free(f);

    i.token = "{\"error\":\"invalid_grant\"}";
    i.status[OIDC_PURPOSE_TOKEN] = 400;
    f = oidc_refresh(&p, "rt-0", "alice");
    run(&i, f, NOW, &e);
    assert_int_equal(e.err, ERR_DENIED);
    oidc_flow_free(f);
    oidc_provider_fini(&p);
    idp_fini(&i);
}

/* Answers without an error code, and the provider in a bad moment. */
static void test_refresh_trouble(void **state)
{
    (void)state;
    static const struct {
        const char *token;
        unsigned token_status, userinfo_status;
        enum err err;
        bool partial;
    } rows[] = {
        {"", 400, 200, ERR_DENIED, false},
        {"", 401, 200, ERR_PROTOCOL, false},
        {"", 429, 200, ERR_UNAVAILABLE, false},
        {"", 502, 200, ERR_UNAVAILABLE, false},
        {NULL, 200, 401, ERR_DENIED, false},
        {NULL, 200, 403, ERR_DENIED, false},
        {NULL, 200, 404, ERR_PROTOCOL, false},
        {NULL, 200, 503, OK, true},
        {NULL, 200, 429, OK, true},
        {NULL, 200, 200, OK, false},
    };
    for (size_t n = 0; n < ARRAY_LEN(rows); n++) {
        struct idp i = idp_new();
        struct oidc_provider p;
        struct oidc_effect e;
        i.document = DOCUMENT(USERINFO);
        i.userinfo = "{\"sub\":\"alice\"}";
        i.token = rows[n].token;
        i.status[OIDC_PURPOSE_TOKEN] = rows[n].token_status;
        i.status[OIDC_PURPOSE_USERINFO] = rows[n].userinfo_status;
        CHECK_OK(oidc_provider_init(&p, &config));
        struct oidc_flow *f = oidc_refresh(&p, "rt-0", "alice");
        run(&i, f, NOW, &e);
        assert_int_equal(e.type, rows[n].err == OK ? OIDC_DONE : OIDC_FAILED);
        assert_int_equal(e.err, rows[n].err);
        if (rows[n].err == OK) {
            assert_string_equal(e.result->refresh_token, "rt-1");
            assert_int_equal(e.result->partial, rows[n].partial);
        }
        oidc_flow_free(f);
        oidc_provider_fini(&p);
        idp_fini(&i);
    }
}

static void test_logout_url(void **state)
{
    (void)state;
    struct idp i = idp_new();
    struct oidc_provider p;
    struct oidc_effect e;
    i.document = DOCUMENT(",\"end_session_endpoint\":\"https://idp.test/out\"");
    CHECK_OK(oidc_provider_init(&p, &config));
    assert_null(oidc_logout_url(&p, NULL, NULL));
    struct oidc_flow *f = oidc_begin(&p, &login);
    run(&i, f, NOW, &e);
    oidc_flow_free(f);
    AUTO_FREE char *bare = oidc_logout_url(&p, NULL, NULL);
    assert_string_equal(bare, "https://idp.test/out?client_id=postern");
    AUTO_FREE char *full = oidc_logout_url(&p, "a.b.c", "https://x/");
    assert_string_equal(full, "https://idp.test/out?id_token_hint=a.b.c&client_id=postern&"
                              "post_logout_redirect_uri=https%3A%2F%2Fx%2F");
    oidc_provider_fini(&p);
    idp_fini(&i);
}

/* A flow that is dropped while it waits, and answers that nobody waits for. */
static void test_dropped(void **state)
{
    (void)state;
    struct oidc_provider p;
    struct oidc_effect e;
    CHECK_OK(oidc_provider_init(&p, &config));
    struct oidc_flow *f = oidc_finish(&p, &login, &good_callback);
    assert_true(oidc_next(f, NOW, &e));
    oidc_flow_free(f);
    oidc_flow_free(NULL);
    f = oidc_begin(&p, &login);
    oidc_fetched(f, 200, VIEW("{}"), NOW);
    oidc_fetch_failed(f, "x", NOW);
    assert_true(oidc_next(f, NOW, &e));
    assert_int_equal(e.type, OIDC_FETCH);
    AUTO_FREE char *large = mem_zalloc(OIDC_RESPONSE_MAX + 1);
    oidc_fetched(f, 200, view_of(large, OIDC_RESPONSE_MAX + 1), NOW);
    assert_true(oidc_next(f, NOW, &e));
    assert_int_equal(e.err, ERR_LIMIT);
    oidc_flow_free(f);
    oidc_provider_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_login_init),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_client_authentication),
        cmocka_unit_test(test_good_tokens),
        cmocka_unit_test(test_key_rotation),
        cmocka_unit_test(test_callback_parse),
        cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_refresh_trouble),
        cmocka_unit_test(test_logout_url),
        cmocka_unit_test(test_dropped),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, load_keys, free_keys);
}
