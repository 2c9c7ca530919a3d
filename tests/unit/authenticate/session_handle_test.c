#include "authenticate/session_handle.h"

#include "common/jose/jwt.h"
#include "tests/support/test.h"

#define NOW UINT64_C(1700000000000)
#define END (NOW + 60000)

static struct secret secret_of(char byte)
{
    uint8_t bytes[32];
    struct secret key = {0};
    memset(bytes, byte, sizeof bytes);
    secret_set(&key, view_of(bytes, sizeof bytes));
    return key;
}

static char *token_of(const struct secret *key)
{
    const struct session_handle h = {.issuer = "https://auth.example.test",
                                     .user_id = "local/a@example.test",
                                     .session_id = "6f1c",
                                     .idp_id = "local",
                                     .audience = {"auth.example.test", NULL},
                                     .issued_ms = NOW,
                                     .expires_ms = END,
                                     .server_version = UINT64_MAX,
                                     .record_version = 7};
    AUTO(buf_fini) struct buf out;
    buf_init(&out, SESSION_HANDLE_MAX);
    CHECK_OK(session_handle_write(&h, key, &out));
    return buf_to_str(&out);
}

static enum err read_with(const char *token, const struct secret *key, const struct secret *old,
                          uint64_t now)
{
    AUTO_FREE char *id = NULL;
    TRY(session_handle_read(view_str(token), key, old, now, &id));
    assert_string_equal(id, "6f1c");
    return OK;
}

static void test_claims(void **state)
{
    (void)state;
    AUTO(secret_fini) struct secret key = secret_of('k');
    AUTO_FREE char *token = token_of(&key);
    AUTO(jws_fini) struct jws t = {0};
    AUTO(json_free_ptr) struct json *claims = NULL;
    CHECK_OK(jws_parse(view_str(token), &t));
    CHECK_OK(jws_verify_hs256(&t, secret_view(&key)));
    CHECK_OK(jwt_claims(&t, &claims));
    AUTO(buf_fini) struct buf text;
    buf_init(&text, SESSION_HANDLE_MAX);
    CHECK_OK(json_write(claims, JSON_ORDER_SORTED, &text));
    CHECK_VIEW_STR(buf_view(&text),
                   "{\"aud\":[\"auth.example.test\"],\"databroker_record_version\":\"7\","
                   "\"databroker_server_version\":\"18446744073709551615\",\"exp\":1700000060,"
                   "\"iat\":1700000000,\"idp_id\":\"local\",\"iss\":\"https://auth.example.test\","
                   "\"jti\":\"6f1c\",\"sub\":\"local/a@example.test\"}");
}

static void test_secrets(void **state)
{
    (void)state;
    AUTO(secret_fini) struct secret key = secret_of('k');
    AUTO(secret_fini) struct secret next = secret_of('n');
    const struct secret none = {0};
    AUTO_FREE char *token = token_of(&key);
    CHECK_OK(read_with(token, &key, &none, NOW));
    CHECK_OK(read_with(token, &next, &key, NOW));
    CHECK_ERR(read_with(token, &next, &none, NOW), ERR_VERIFY);
    const struct session_handle h = {.issuer = "", .user_id = "", .session_id = "", .idp_id = ""};
    AUTO(buf_fini) struct buf out;
    buf_init(&out, SESSION_HANDLE_MAX);
    CHECK_ERR(session_handle_write(&h, &none, &out), ERR_RANGE);
    assert_int_equal(out.len, 0);
}

static void test_end(void **state)
{
    (void)state;
    AUTO(secret_fini) struct secret key = secret_of('k');
    const struct secret none = {0};
    AUTO_FREE char *token = token_of(&key);
    CHECK_OK(read_with(token, &key, &none, END + SESSION_HANDLE_LEEWAY_MS - 1));
    CHECK_ERR(read_with(token, &key, &none, END + SESSION_HANDLE_LEEWAY_MS), ERR_EXPIRED);
}

/* Every changed byte and every shorter token is refused, and nothing that is no handle is taken. */
static void test_damage(void **state)
{
    (void)state;
    AUTO(secret_fini) struct secret key = secret_of('k');
    const struct secret none = {0};
    AUTO_FREE char *token = token_of(&key);
    char *id = NULL;
    for (size_t i = 0; i < strlen(token); i++) {
        struct view cut = view_of(token, i);
        assert_true(session_handle_read(cut, &key, &none, NOW, &id) != OK);
        token[i] ^= 1;
        assert_true(session_handle_read(view_str(token), &key, &none, NOW, &id) != OK);
        token[i] ^= 1;
    }
    static const char *const others[] = {"{}",
                                         "{\"exp\":1700000060}",
                                         "{\"exp\":1700000060,\"sub\":\"u\"}",
                                         "{\"exp\":1700000060,\"sub\":\"u\",\"jti\":1}",
                                         "{\"sub\":\"u\",\"jti\":\"6f1c\"}",
                                         "{\"exp\":1700000060,\"jti\":\"6f1c\"}"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        AUTO(buf_fini) struct buf out;
        buf_init(&out, SESSION_HANDLE_MAX);
        CHECK_OK(jws_sign_hs256(view_str(others[i]), "JWT", NULL, secret_view(&key), &out));
        CHECK_ERR(session_handle_read(buf_view(&out), &key, &none, NOW, &id), ERR_MISMATCH);
    }
    assert_null(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claims),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_end),
        cmocka_unit_test(test_damage),
    };
    return RUN(tests);
}
