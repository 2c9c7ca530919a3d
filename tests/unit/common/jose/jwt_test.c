#include "common/jose/jwt.h"
#include "tests/support/test.h"

/* At 1,000,000 s, with a minute of leeway. */
static const struct jwt_expect strict = {
    .issuer = "https://idp.test",
    .audience = "postern",
    .nonce = "n1",
    .azp = "postern",
    .now_ms = 1000000000,
    .leeway_ms = 60000,
    .need_exp = true,
    .need_iat = true,
    .need_sub = true,
};

#define HEAD "{\"iss\":\"https://idp.test\",\"sub\":\"s\",\"nonce\":\"n1\""
#define TIMES ",\"iat\":999990,\"exp\":1000300"

static const struct {
    const char *claims;
    enum err expected;
    const char *why;
} rows[] = {
    {HEAD TIMES ",\"aud\":\"postern\"}", OK, NULL},
    {HEAD TIMES ",\"aud\":[\"postern\"]}", OK, NULL},
    {HEAD TIMES ",\"aud\":[\"x\",\"postern\"],\"azp\":\"postern\"}", OK, NULL},
    {HEAD TIMES ",\"aud\":\"postern\",\"azp\":\"postern\",\"nbf\":1000060}", OK, NULL},
    {HEAD ",\"iat\":1000060,\"exp\":999940.9,\"aud\":\"postern\"}", ERR_EXPIRED, "exp is over"},
    {HEAD ",\"iat\":1000060,\"exp\":999941,\"aud\":\"postern\"}", OK, NULL},
    {HEAD ",\"iat\":1,\"exp\":9223372036854775807,\"aud\":\"postern\"}", OK, NULL},
    {HEAD ",\"iat\":1,\"exp\":-1,\"aud\":\"postern\"}", ERR_EXPIRED, "exp is over"},
    {HEAD ",\"iat\":1000061,\"exp\":1000300,\"aud\":\"postern\"}", ERR_MISMATCH,
     "iat is in the future"},
    {HEAD TIMES ",\"aud\":\"postern\",\"nbf\":1000061}", ERR_MISMATCH, "nbf is in the future"},
    {HEAD ",\"iat\":1,\"aud\":\"postern\"}", ERR_MISMATCH, "no exp"},
    {HEAD ",\"exp\":1000300,\"aud\":\"postern\"}", ERR_MISMATCH, "no iat"},
    {HEAD ",\"iat\":1,\"exp\":\"1000300\",\"aud\":\"postern\"}", ERR_SYNTAX, "exp is no number"},
    {HEAD ",\"iat\":true,\"exp\":1000300,\"aud\":\"postern\"}", ERR_SYNTAX, "iat is no number"},
    {HEAD TIMES ",\"nbf\":null,\"aud\":\"postern\"}", ERR_SYNTAX, "nbf is no number"},
    {HEAD ",\"iat\":1,\"exp\":1e300,\"aud\":\"postern\"}", ERR_SYNTAX, "exp is no number"},
    {HEAD TIMES ",\"aud\":\"Postern\"}", ERR_MISMATCH, "aud does not have the client"},
    {HEAD TIMES ",\"aud\":\"postern2\"}", ERR_MISMATCH, "aud does not have the client"},
    {HEAD TIMES ",\"aud\":[]}", ERR_MISMATCH, "aud does not have the client"},
    {HEAD TIMES ",\"aud\":[1,null]}", ERR_MISMATCH, "aud does not have the client"},
    {HEAD TIMES ",\"aud\":{\"postern\":1}}", ERR_MISMATCH, "aud does not have the client"},
    {HEAD TIMES "}", ERR_MISMATCH, "aud does not have the client"},
    {HEAD TIMES ",\"aud\":[\"x\",\"postern\"]}", ERR_MISMATCH, "several aud and no azp"},
    {HEAD TIMES ",\"aud\":\"postern\",\"azp\":\"x\"}", ERR_MISMATCH, "azp is another client"},
    {HEAD TIMES ",\"aud\":\"postern\",\"azp\":1}", ERR_MISMATCH, "azp is another client"},
    {"{\"iss\":\"https://idp.test/\",\"sub\":\"s\",\"nonce\":\"n1\"" TIMES ",\"aud\":\"postern\"}",
     ERR_MISMATCH, "iss is another issuer"},
    {"{\"sub\":\"s\",\"nonce\":\"n1\"" TIMES ",\"aud\":\"postern\"}", ERR_MISMATCH,
     "iss is another issuer"},
    {"{\"iss\":\"https://idp.test\",\"sub\":\"s\",\"nonce\":\"n2\"" TIMES ",\"aud\":\"postern\"}",
     ERR_MISMATCH, "nonce is another one"},
    {"{\"iss\":\"https://idp.test\",\"sub\":\"s\"" TIMES ",\"aud\":\"postern\"}", ERR_MISMATCH,
     "nonce is another one"},
    {"{\"iss\":\"https://idp.test\",\"nonce\":\"n1\"" TIMES ",\"aud\":\"postern\"}", ERR_MISMATCH,
     "no sub"},
    {"{\"iss\":\"https://idp.test\",\"sub\":\"\",\"nonce\":\"n1\"" TIMES ",\"aud\":\"postern\"}",
     ERR_MISMATCH, "no sub"},
    {"[]", ERR_SYNTAX, "the payload is no object"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json *claims = NULL;
        const char *why = NULL;
        CHECK_OK(json_parse(view_str(rows[i].claims), &claims));
        enum err e = jwt_check(claims, &strict, &why);
        if (e != rows[i].expected)
            fail_msg("row %zu: %s (%s)", i, err_name(e), why ? why : "");
        if (rows[i].why)
            assert_string_equal(why, rows[i].why);
        else
            assert_null(why);
        CHECK_ERR(jwt_check(claims, &strict, NULL), rows[i].expected);
        json_free(claims);
    }
}

static void test_nothing_expected(void **state)
{
    (void)state;
    struct json *claims = NULL;
    CHECK_OK(json_parse(VIEW("{}"), &claims));
    CHECK_OK(jwt_check(claims, &(struct jwt_expect){.now_ms = 5}, NULL));
    json_free(claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nothing_expected),
    };
    return RUN(tests);
}
