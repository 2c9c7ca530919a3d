#include "authenticate/person.h"

#include "common/base/text.h"
#include "tests/support/test.h"

/* {"alg":"RS256"} . payload . no signature: what is kept sealed was verified before. */
static char *token_of(const char *payload)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 10000);
    CHECK_OK(text_base64url(VIEW("{\"alg\":\"RS256\"}"), &b));
    CHECK_OK(buf_append_str(&b, "."));
    CHECK_OK(text_base64url(view_str(payload), &b));
    CHECK_OK(buf_append_str(&b, "."));
    CHECK_OK(text_base64url(VIEW("signature"), &b));
    return buf_to_str(&b);
}

static struct claims claims_of(const char *id_token, const char *tree, const char *old_payload)
{
    AUTO(json_free_ptr) struct json *json = NULL;
    AUTO(tokens_fini) struct tokens old = {0};
    struct claims out = {0};
    CHECK_OK(json_parse(view_str(tree), &json));
    const struct oidc_result r = {.id_token = id_token, .tree = json, .email = "a@b.test"};
    if (old_payload)
        old.id_token = token_of(old_payload);
    CHECK_OK(person_claims(&r, old_payload ? &old : NULL, &out));
    return out;
}

static void test_sign_in(void **state)
{
    (void)state;
    AUTO(claims_fini)
    struct claims c =
        claims_of("x", "{\"sub\":\"1\",\"mail\":\"a@b.test\",\"groups\":[\"ops\"]}", NULL);
    assert_string_equal(claims_first(&c, "email"), "a@b.test");
    assert_string_equal(claims_first(&c, "mail"), "a@b.test");
    assert_string_equal(claims_first(&c, "groups"), "ops");
}

/* What only the old id_token said stays; what userinfo says now holds. */
static void test_refresh_without_id_token(void **state)
{
    (void)state;
    AUTO(claims_fini)
    struct claims c =
        claims_of("", "{\"sub\":\"1\",\"groups\":[\"dev\"]}",
                  "{\"sub\":\"1\",\"groups\":[\"ops\"],\"email\":\"old@b.test\",\"role\":\"r\"}");
    assert_string_equal(claims_first(&c, "groups"), "dev");
    assert_string_equal(claims_first(&c, "role"), "r");
    assert_string_equal(claims_first(&c, "email"), "old@b.test");
}

/* A new id_token replaces all: a group that it does not name is lost. */
static void test_refresh_with_id_token(void **state)
{
    (void)state;
    AUTO(claims_fini)
    struct claims c = claims_of("new", "{\"sub\":\"1\",\"email\":\"a@b.test\"}",
                                "{\"sub\":\"1\",\"groups\":[\"ops\"],\"email\":\"a@b.test\"}");
    assert_null(claims_get(&c, "groups"));
}

static void test_old_token_damaged(void **state)
{
    (void)state;
    AUTO(json_free_ptr) struct json *json = NULL;
    AUTO(claims_fini) struct claims out = {0};
    CHECK_OK(json_parse(VIEW("{\"sub\":\"1\"}"), &json));
    const struct oidc_result r = {.id_token = "", .tree = json, .email = ""};
    const struct tokens old = {.id_token = (char[]){"no token"}};
    CHECK_ERR(person_claims(&r, &old, &out), ERR_SYNTAX);
    assert_int_equal(out.count, 0);
}

static bool differ(const char *a, const char *b)
{
    AUTO(claims_fini) struct claims x = claims_of("x", a, NULL);
    AUTO(claims_fini) struct claims y = claims_of("x", b, NULL);
    return person_differs(&x, &y);
}

static void test_differs(void **state)
{
    (void)state;
    assert_false(differ("{\"a\":1,\"iat\":1,\"exp\":2,\"nonce\":\"n\",\"at_hash\":\"h\"}",
                        "{\"exp\":3,\"a\":1,\"iat\":2,\"jti\":\"j\"}"));
    assert_true(differ("{\"a\":1}", "{\"a\":2}"));
    assert_true(differ("{\"a\":1}", "{\"a\":1,\"b\":1}"));
    assert_true(differ("{\"a\":1,\"b\":1}", "{\"a\":1}"));
    assert_true(differ("{\"g\":[\"x\",\"y\"]}", "{\"g\":[\"x\"]}"));
    assert_true(differ("{\"g\":[\"x\"]}", "{\"g\":[]}"));
    assert_false(differ("{\"g\":[]}", "{}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign_in),
        cmocka_unit_test(test_refresh_without_id_token),
        cmocka_unit_test(test_refresh_with_id_token),
        cmocka_unit_test(test_old_token_damaged),
        cmocka_unit_test(test_differs),
    };
    return RUN(tests);
}
