#include "common/jose/jws.h"
#include "common/jose/jwt.h"
#include "tests/support/test.h"

static struct view vector(const char *name)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/jose/%s", name);
    return test_file(path);
}

static enum err verify(struct view token, const struct jwk_set *set)
{
    struct jws t;
    TRY(jws_parse(token, &t));
    enum err e = jws_verify(&t, set);
    jws_fini(&t);
    return e;
}

static void test_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum err expected;
    } rows[] = {
        {"rs256.jwt", OK},
        {"rs256-without-kid.jwt", OK},
        {"ps256.jwt", OK},
        {"es256.jwt", OK},
        {"es384.jwt", OK},
        {"eddsa.jwt", OK},
        {"unknown-kid.jwt", ERR_NOT_FOUND},
        {"kid-of-another-type.jwt", ERR_VERIFY},
        {"alg-of-another-type.jwt", ERR_VERIFY},
        {"none.jwt", ERR_UNSUPPORTED},
        {"hs256-with-the-pem.jwt", ERR_UNSUPPORTED},
        {"hs256-with-the-modulus.jwt", ERR_UNSUPPORTED},
        {"crit.jwt", ERR_UNSUPPORTED},
    };
    struct jwk_set set = {0};
    CHECK_OK(jwk_set_parse(vector("keys.json"), &set));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum err e = verify(vector(rows[i].name), &set);
        if (e != rows[i].expected)
            fail_msg("%s: %s", rows[i].name, err_name(e));
    }
    jwk_set_fini(&set);
}

/* Any other byte in any of the three parts is another token. */
static void test_every_byte_counts(void **state)
{
    (void)state;
    static const char *const names[] = {"rs256.jwt", "es256.jwt", "eddsa.jwt"};
    struct jwk_set set = {0};
    CHECK_OK(jwk_set_parse(vector("keys.json"), &set));
    for (size_t n = 0; n < ARRAY_LEN(names); n++) {
        struct view token = vector(names[n]);
        AUTO_FREE char *copy = mem_strndup(token.ptr, token.len);
        for (size_t i = 0; i < token.len; i++) {
            char was = copy[i];
            copy[i] = was == 'B' ? 'C' : 'B';
            enum err e = verify(view_str(copy), &set);
            if (e == OK)
                fail_msg("%s with another byte %zu is taken", names[n], i);
            copy[i] = was;
            if (i % 16 == 0)
                assert_int_not_equal(verify(view_of(copy, i), &set), OK);
        }
    }
    jwk_set_fini(&set);
}

/* RFC 8037 appendix A.4 and RFC 7515 appendix A.3 */
static void test_rfc_vectors(void **state)
{
    (void)state;
    struct jwk_set set = {0};
    CHECK_OK(jwk_set_parse(VIEW("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                                "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"},"
                                "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
                                "\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}]}"),
                           &set));
    assert_int_equal(set.count, 2);
    struct jws t;
    CHECK_OK(jws_parse(VIEW("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt"
                            "9g7sVvpAr_MuM0KAg"),
                       &t));
    CHECK_OK(jws_verify(&t, &set));
    CHECK_VIEW_STR(buf_view(&t.payload), "Example of Ed25519 signing");
    jws_fini(&t);
    CHECK_OK(
        verify(VIEW("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dH"
                    "A6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-X"
                    "x-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
               &set));
    jwk_set_fini(&set);
}

/* RFC 7515 appendix A.1 */
static void test_hs256_vector(void **state)
{
    (void)state;
    struct jws t;
    CHECK_OK(
        jws_parse(VIEW("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOj"
                       "EzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
                       "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
                  &t));
    struct view secret =
        test_hex("0323354b2b0fa5bc837e0665777ba68f5ab328e6f054c928a90f84b2d2502ebf"
                 "d3fb5a92d20647ef968ab4c377623d223d2e2172052e4f08c0cd9af567d080a3");
    CHECK_OK(jws_verify_hs256(&t, secret));
    CHECK_ERR(jws_verify_hs256(&t, view_take(secret, 63)), ERR_VERIFY);
    CHECK_ERR(jws_verify_hs256(&t, view_take(secret, 31)), ERR_RANGE);
    jws_fini(&t);
}

static void test_hs256_round_trip(void **state)
{
    (void)state;
    struct view secret = VIEW("0123456789abcdef0123456789abcdef");
    struct buf token;
    struct jws t;
    struct json *claims = NULL;
    buf_init(&token, JWS_MAX);
    CHECK_ERR(jws_sign_hs256(VIEW("{}"), "JWT", NULL, VIEW("short"), &token), ERR_RANGE);
    assert_int_equal(token.len, 0);
    CHECK_OK(jws_sign_hs256(VIEW("{\"sub\":\"x\"}"), "JWT", "k1", secret, &token));
    CHECK_OK(jws_parse(buf_view(&token), &t));
    CHECK_OK(jws_verify_hs256(&t, secret));
    CHECK_VIEW_STR(t.kid, "k1");
    CHECK_OK(jwt_claims(&t, &claims));
    CHECK_VIEW_STR(json_get_str(claims, "sub"), "x");
    json_free(claims);
    CHECK_ERR(jws_verify_hs256(&t, VIEW("0123456789abcdef0123456789abcdeX")), ERR_VERIFY);
    struct jwk_set none = {0};
    CHECK_ERR(jws_verify(&t, &none), ERR_UNSUPPORTED);
    jws_fini(&t);
    for (size_t i = 0; i < token.len; i++) {
        uint8_t *byte = buf_ptr(&token) + i;
        uint8_t was = *byte;
        *byte = was == 'B' ? 'C' : 'B';
        if (jws_parse(buf_view(&token), &t) == OK) {
            assert_int_not_equal(jws_verify_hs256(&t, secret), OK);
            jws_fini(&t);
        }
        *byte = was;
    }
    buf_fini(&token);
}

static void test_public_keys_do_not_verify_hs256(void **state)
{
    (void)state;
    struct jws t;
    CHECK_OK(jws_parse(vector("rs256.jwt"), &t));
    CHECK_ERR(jws_verify_hs256(&t, VIEW("0123456789abcdef0123456789abcdef")), ERR_UNSUPPORTED);
    jws_fini(&t);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const tokens[] = {
        "",
        ".",
        "..",
        "a.b",
        "eyJhbGciOiJSUzI1NiJ9.e30",
        "eyJhbGciOiJSUzI1NiJ9.e30.AA.AA",
        "eyJhbGciOiJSUzI1NiJ9.e30=.AA",
        "eyJhbGciOiJSUzI1NiJ9.e3+.AA",
        "eyJhbGciOiJSUzI1NiJ9.e30.A",
        "eyJhbGciOiJSUzI1NiJ9 .e30.AA",
        "e30.e30.AA",                                    /* {} */
        "W10.e30.AA",                                    /* [] */
        "eyJhbGciOjF9.e30.AA",                           /* {"alg":1} */
        "eyJhbGciOiJSUzI1NiIsImFsZyI6Im5vbmUifQ.e30.AA", /* alg twice */
    };
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct jws t;
        CHECK_ERR(jws_parse(view_str(tokens[i]), &t), ERR_SYNTAX);
    }
    struct jws t;
    AUTO_FREE char *large = mem_zalloc(JWS_MAX + 1);
    CHECK_ERR(jws_parse(view_of(large, JWS_MAX + 1), &t), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_rfc_vectors),
        cmocka_unit_test(test_hs256_vector),
        cmocka_unit_test(test_hs256_round_trip),
        cmocka_unit_test(test_public_keys_do_not_verify_hs256),
        cmocka_unit_test(test_malformed),
    };
    return RUN(tests);
}
