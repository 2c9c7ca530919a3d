#include "authorize/token.h"

#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/jose/jws.h"
#include "tests/support/test.h"

static const uint64_t now_ms = 1000000000; /* 1,000,000 s */

static const struct view key = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};
static const struct view other = {(const uint8_t *)"fedcba9876543210fedcba9876543210", 32};
static const struct token_secrets secrets = {
    {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32}, {0}};

#define WHO "\"jti\":\"s1\",\"sub\":\"u1\""

static char *sign(const char *claims, struct view secret)
{
    struct buf out;
    buf_init(&out, JWS_MAX);
    CHECK_OK(jws_sign_hs256(view_str(claims), "JWT", NULL, secret, &out));
    char *text = buf_to_str(&out);
    buf_fini(&out);
    return text;
}

static enum err verify(const char *text)
{
    struct token t = {0};
    enum err e = token_verify(view_str(text), &secrets, now_ms, &t);
    token_fini(&t);
    return e;
}

static const struct {
    const char *claims;
    enum err expected;
} rows[] = {
    {"{" WHO "}", OK},
    {"{" WHO ",\"exp\":1000001}", OK},
    {"{" WHO ",\"exp\":1000000.9}", ERR_EXPIRED},
    {"{" WHO ",\"exp\":1000000}", ERR_EXPIRED}, /* at its second it is over: RFC 7519 §4.1.4 */
    {"{" WHO ",\"exp\":999999}", ERR_EXPIRED},
    {"{" WHO ",\"exp\":0}", ERR_EXPIRED},
    {"{" WHO ",\"exp\":-1}", ERR_EXPIRED},
    {"{" WHO ",\"exp\":9223372036854775807}", OK},
    {"{" WHO ",\"exp\":1e300}", ERR_SYNTAX},
    {"{" WHO ",\"exp\":\"1000001\"}", ERR_SYNTAX},
    {"{" WHO ",\"exp\":null}", ERR_SYNTAX},
    {"{" WHO ",\"nbf\":1000060,\"iat\":1000060}", OK},
    {"{" WHO ",\"nbf\":1000061}", ERR_MISMATCH},
    {"{" WHO ",\"iat\":1000061}", ERR_MISMATCH},
    {"{" WHO ",\"nbf\":\"1\"}", ERR_SYNTAX},
    {"{" WHO ",\"iss\":\"https://auth.test\",\"aud\":[\"a\"],\"idp_id\":\"x\"}", OK},
    {"{\"jti\":\"s1\"}", ERR_SYNTAX},
    {"{\"sub\":\"u1\"}", ERR_SYNTAX},
    {"{\"jti\":\"\",\"sub\":\"u1\"}", ERR_SYNTAX},
    {"{\"jti\":7,\"sub\":\"u1\"}", ERR_SYNTAX},
    {"{\"jti\":[\"s1\"],\"sub\":\"u1\"}", ERR_SYNTAX},
    {"{\"jti\":\"s1\\n\",\"sub\":\"u1\"}", ERR_SYNTAX},
    {"{\"jti\":\"s1\",\"sub\":\"\\u007f\"}", ERR_SYNTAX},
    {"{\"jti\":\"s1\",\"jti\":\"s2\",\"sub\":\"u1\"}", ERR_SYNTAX},
    {"[]", ERR_SYNTAX},
    {"{}", ERR_SYNTAX},
    {"no JSON", ERR_SYNTAX},
};

static void test_claims(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *text = sign(rows[i].claims, key);
        enum err e = verify(text);
        if (e != rows[i].expected)
            fail_msg("%s gave %s", rows[i].claims, err_name(e));
    }
}

static void test_what_it_says(void **state)
{
    (void)state;
    AUTO(token_fini) struct token t = {0};
    AUTO(token_fini) struct token for_ever = {0};
    AUTO_FREE char *text = sign("{" WHO ",\"exp\":1000001}", key);
    AUTO_FREE char *endless = sign("{" WHO "}", key);
    CHECK_OK(token_verify(view_str(text), &secrets, now_ms, &t));
    assert_string_equal(t.id, "s1");
    assert_string_equal(t.user_id, "u1");
    assert_true(t.expires_ms == 1000001000);
    CHECK_ERR(token_verify(view_str(text), &secrets, 1000001000, &for_ever), ERR_EXPIRED);
    assert_null(for_ever.id);
    CHECK_OK(token_verify(view_str(endless), &secrets, now_ms, &for_ever));
    assert_true(for_ever.expires_ms == TOKEN_NEVER);
}

static void test_secrets(void **state)
{
    (void)state;
    AUTO_FREE char *text = sign("{" WHO "}", key);
    static const struct {
        const struct view *now;
        const struct view *previous;
        enum err expected;
    } pairs[] = {
        {&key, NULL, OK},           {&key, &other, OK},           {&other, &key, OK},
        {&other, NULL, ERR_VERIFY}, {&other, &other, ERR_VERIFY}, {NULL, NULL, ERR_RANGE},
        {NULL, &other, ERR_VERIFY},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct token_secrets s = {pairs[i].now ? *pairs[i].now : (struct view){0},
                                  pairs[i].previous ? *pairs[i].previous : (struct view){0}};
        struct token t = {0};
        CHECK_ERR(token_verify(view_str(text), &s, now_ms, &t), pairs[i].expected);
        token_fini(&t);
    }
}

/* header.payload with a MAC that is right for it by the named digest. */
static char *forge(const char *header, enum digest_alg alg, size_t mac_len)
{
    uint8_t mac[DIGEST_MAX];
    struct buf out;
    buf_init(&out, TOKEN_MAX);
    CHECK_OK(text_base64url(view_str(header), &out));
    CHECK_OK(buf_append_u8(&out, '.'));
    CHECK_OK(text_base64url(VIEW("{" WHO "}"), &out));
    digest_hmac(alg, key, buf_view(&out), mac);
    CHECK_OK(buf_append_u8(&out, '.'));
    CHECK_OK(text_base64url(view_of(mac, mac_len), &out));
    char *text = buf_to_str(&out);
    buf_fini(&out);
    return text;
}

static void test_algorithms(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum digest_alg alg;
        size_t mac_len;
        bool good;
    } forged[] = {
        {"{\"alg\":\"HS256\"}", DIGEST_SHA256, 32, true},
        {"{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"x\"}", DIGEST_SHA256, 32, true},
        {"{\"alg\":\"HS256\"}", DIGEST_SHA256, 31, false},
        {"{\"alg\":\"HS256\"}", DIGEST_SHA256, 0, false},
        {"{\"alg\":\"HS384\"}", DIGEST_SHA384, 48, false},
        {"{\"alg\":\"HS512\"}", DIGEST_SHA512, 64, false},
        {"{\"alg\":\"none\"}", DIGEST_SHA256, 0, false},
        {"{\"alg\":\"none\"}", DIGEST_SHA256, 32, false},
        {"{\"alg\":\"None\"}", DIGEST_SHA256, 32, false},
        {"{\"alg\":\"hs256\"}", DIGEST_SHA256, 32, false},
        {"{\"alg\":\"RS256\"}", DIGEST_SHA256, 32, false},
        {"{\"alg\":\"ES256\"}", DIGEST_SHA256, 32, false},
        {"{\"alg\":[\"HS256\"]}", DIGEST_SHA256, 32, false},
        {"{}", DIGEST_SHA256, 32, false},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", DIGEST_SHA256, 32, false},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", DIGEST_SHA256, 32, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(forged); i++) {
        AUTO_FREE char *text = forge(forged[i].header, forged[i].alg, forged[i].mac_len);
        if ((verify(text) == OK) != forged[i].good)
            fail_msg("%s", forged[i].header);
    }
}

/* Cut anywhere, or with any one byte changed, it is no token. */
static void test_every_byte_counts(void **state)
{
    (void)state;
    AUTO_FREE char *text = sign("{" WHO ",\"exp\":1000001}", key);
    size_t len = strlen(text);
    for (size_t i = 0; i < len; i++) {
        struct token t = {0};
        assert_int_not_equal(token_verify(view_of(text, i), &secrets, now_ms, &t), OK);
        text[i] ^= 1;
        assert_int_not_equal(token_verify(view_str(text), &secrets, now_ms, &t), OK);
        text[i] ^= 1;
    }
    AUTO_FREE char *more = mem_printf("%s.", text);
    assert_int_not_equal(verify(more), OK);
    AUTO_FREE char *padded = mem_printf("%s=", text);
    assert_int_not_equal(verify(padded), OK);
}

static void test_lengths(void **state)
{
    (void)state;
    static char pad[TOKEN_MAX];
    memset(pad, 'x', sizeof pad - 1);
    AUTO_FREE char *claims = mem_printf("{" WHO ",\"pad\":\"%s\"}", pad);
    AUTO_FREE char *too_long = sign(claims, key);
    CHECK_ERR(verify(too_long), ERR_LIMIT);
    AUTO_FREE char *id = mem_printf("{\"jti\":\"%.*s\",\"sub\":\"u1\"}", TOKEN_ID_MAX + 1, pad);
    AUTO_FREE char *long_id = sign(id, key);
    CHECK_ERR(verify(long_id), ERR_SYNTAX);
    AUTO_FREE char *whole = mem_printf("{\"jti\":\"%.*s\",\"sub\":\"u1\"}", TOKEN_ID_MAX, pad);
    AUTO_FREE char *longest = sign(whole, key);
    CHECK_OK(verify(longest));
    assert_int_not_equal(verify(""), OK);
    assert_int_not_equal(verify("."), OK);
    assert_int_not_equal(verify(".."), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),  cmocka_unit_test(test_what_it_says),
        cmocka_unit_test(test_secrets), cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_every_byte_counts),
    };
    return RUN(tests);
}
