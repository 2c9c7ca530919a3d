#include "common/jose/jwk.h"
#include "tests/support/test.h"

static void test_useful_keys_alone(void **state)
{
    (void)state;
    struct jwk_set set = {0};
    CHECK_OK(jwk_set_parse(test_file("tests/vectors/jose/keys.json"), &set));
    static const struct {
        const char *kid;
        const char *alg;
        enum key_type type;
    } expected[] = {
        {"rsa", "", KEY_RSA},
        {"ec", "ES256", KEY_ECDSA_P256},
        {"ec384", "", KEY_ECDSA_P384},
        {"ed", "", KEY_ED25519},
    };
    assert_int_equal(set.count, ARRAY_LEN(expected));
    for (size_t i = 0; i < set.count; i++) {
        assert_string_equal(set.items[i].kid, expected[i].kid);
        assert_string_equal(set.items[i].alg, expected[i].alg);
        assert_int_equal(set.items[i].key.type, expected[i].type);
    }
    /* A failure leaves the set as it is, a success replaces it. */
    CHECK_ERR(jwk_set_parse(VIEW("{\"keys\":{}}"), &set), ERR_SYNTAX);
    assert_int_equal(set.count, 4);
    CHECK_OK(jwk_set_parse(VIEW("{\"keys\":[]}"), &set));
    assert_int_equal(set.count, 0);
    jwk_set_fini(&set);
}

static void test_no_set(void **state)
{
    (void)state;
    struct jwk_set set = {0};
    static const char *const texts[] = {"", "[]", "{}", "{\"keys\":1}", "{\"keys\":[}", "x"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        CHECK_ERR(jwk_set_parse(view_str(texts[i]), &set), ERR_SYNTAX);
    struct buf many;
    buf_init(&many, JWK_SET_MAX);
    CHECK_OK(buf_append_str(&many, "{\"keys\":[1"));
    for (size_t i = 0; i < JWK_COUNT_MAX; i++)
        CHECK_OK(buf_append_str(&many, ",1"));
    CHECK_OK(buf_append_str(&many, "]}"));
    CHECK_ERR(jwk_set_parse(buf_view(&many), &set), ERR_LIMIT);
    buf_fini(&many);
    AUTO_FREE char *large = mem_zalloc(JWK_SET_MAX + 1);
    CHECK_ERR(jwk_set_parse(view_of(large, JWK_SET_MAX + 1), &set), ERR_LIMIT);
    assert_null(set.items);
}

static void test_malformed_keys_are_skipped(void **state)
{
    (void)state;
    static const char *const keys[] = {
        "1",
        "null",
        "[]",
        "{}",
        "{\"kty\":1}",
        "{\"kty\":\"RSA\",\"n\":\"!\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":1,\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"EC\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_"
        "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":"
        "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"key_ops\":[]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct jwk_set set = {0};
        AUTO_FREE char *text = mem_printf("{\"keys\":[%s]}", keys[i]);
        CHECK_OK(jwk_set_parse(view_str(text), &set));
        assert_int_equal(set.count, 0);
        jwk_set_fini(&set);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_useful_keys_alone),
        cmocka_unit_test(test_no_set),
        cmocka_unit_test(test_malformed_keys_are_skipped),
    };
    return RUN(tests);
}
