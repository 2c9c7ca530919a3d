#include "common/crypto/jwa.h"

#include "common/base/text.h"
#include "tests/support/test.h"

static struct view unbase64url(const char *text)
{
    static struct buf kept[16];
    static size_t next;
    struct buf *b = &kept[next++ % ARRAY_LEN(kept)];
    buf_fini(b);
    buf_init(b, 4096);
    CHECK_OK(text_unbase64url(view_str(text), b));
    return buf_view(b);
}

/* RFC 7515 A.3. */
static void test_es256(void **state)
{
    (void)state;
    AUTO(jwa_key_fini) struct jwa_key k = {0};
    struct view data = VIEW("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
                            "Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
    CHECK_OK(jwa_key_ec(&k, VIEW("P-256"),
                        unbase64url("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                        unbase64url("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")));
    struct view sig = unbase64url("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
                                  "pmWQxfKTUJqPP3-Kg6NU1Q");
    CHECK_OK(jwa_verify(&k, JWA_ES256, data, sig));
    CHECK_ERR(jwa_verify(&k, JWA_ES256, view_skip(data, 1), sig), ERR_VERIFY);
    for (size_t n = 0; n < sig.len; n++)
        CHECK_ERR(jwa_verify(&k, JWA_ES256, data, view_take(sig, n)), ERR_VERIFY);
    /* CVE-2022-21449: r = s = 0. */
    uint8_t zeros[64] = {0};
    CHECK_ERR(jwa_verify(&k, JWA_ES256, data, view_of(zeros, sizeof zeros)), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_RS256, data, sig), ERR_UNSUPPORTED);
    CHECK_ERR(jwa_verify(&k, JWA_ES384, data, sig), ERR_UNSUPPORTED);
}

/* RFC 8037 A.4. */
static void test_eddsa(void **state)
{
    (void)state;
    AUTO(jwa_key_fini) struct jwa_key k = {0};
    struct view data = VIEW("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    struct view sig = unbase64url("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5B"
                                  "hVsPt9g7sVvpAr_MuM0KAg");
    CHECK_OK(jwa_key_ed25519(&k, unbase64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")));
    CHECK_OK(jwa_verify(&k, JWA_EDDSA, data, sig));
    CHECK_ERR(jwa_verify(&k, JWA_EDDSA, VIEW("x"), sig), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_EDDSA, data, view_take(sig, 63)), ERR_VERIFY);
}

static struct view skip_string(struct view blob, size_t count)
{
    for (; count; count--)
        blob = view_skip(blob, 4 + ((size_t)blob.ptr[2] << 8 | blob.ptr[3]));
    return view_of(blob.ptr + 4, (size_t)blob.ptr[2] << 8 | blob.ptr[3]);
}

/* Made by openssl. */
static void test_rsa(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key private_key = {0};
    AUTO(jwa_key_fini) struct jwa_key k = {0};
    CHECK_OK(private_key_parse(&private_key, test_file("tests/vectors/keys/rsa.pkcs8")));
    struct view blob = public_key_blob(&private_key.public);
    CHECK_OK(jwa_key_rsa(&k, skip_string(blob, 2), skip_string(blob, 1)));
    struct view rs = test_file("tests/vectors/jwa/rs256.sig");
    struct view ps = test_file("tests/vectors/jwa/ps256.sig");
    CHECK_OK(jwa_verify(&k, JWA_RS256, VIEW("header.payload"), rs));
    CHECK_OK(jwa_verify(&k, JWA_PS256, VIEW("header.payload"), ps));
    CHECK_ERR(jwa_verify(&k, JWA_PS256, VIEW("header.payload"), rs), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_RS256, VIEW("header.payload"), ps), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_RS512, VIEW("header.payload"), rs), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_RS256, VIEW("header.payloae"), rs), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_RS256, VIEW("header.payload"), view_take(rs, 255)), ERR_VERIFY);
    CHECK_ERR(jwa_verify(&k, JWA_ES256, VIEW("header.payload"), rs), ERR_UNSUPPORTED);
}

static enum err public_of(const struct private_key *p, struct jwa_key *k)
{
    static const char *const names[] = {"P-256", "P-384", "P-521"};
    struct view blob = public_key_blob(&p->public);
    struct jwa_point point;
    if (p->public.type == KEY_RSA)
        return jwa_key_rsa(k, skip_string(blob, 2), skip_string(blob, 1));
    if (p->public.type == KEY_ED25519)
        return jwa_key_ed25519(k, skip_string(blob, 1));
    CHECK_OK(jwa_point(p, &point));
    return jwa_key_ec(k, view_str(names[p->public.type - KEY_ECDSA_P256]),
                      view_of(point.x, point.len), view_of(point.y, point.len));
}

static void test_sign(void **state)
{
    (void)state;
    const char *const files[] = {"ed25519", "ecdsa256", "ecdsa384", "ecdsa521", "rsa"};
    size_t signed_count = 0;
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        AUTO(private_key_fini) struct private_key p = {0};
        AUTO(jwa_key_fini) struct jwa_key k = {0};
        AUTO_FREE char *path = mem_printf("tests/vectors/keys/%s", files[i]);
        CHECK_OK(private_key_parse(&p, test_file(path)));
        CHECK_OK(public_of(&p, &k));
        for (unsigned a = 0; a < JWA_ALG_COUNT; a++) {
            AUTO(buf_fini) struct buf sig;
            buf_init(&sig, 4096);
            enum err e = jwa_sign(&p, (enum jwa_alg)a, VIEW("data"), &sig);
            CHECK_ERR(jwa_verify(&k, (enum jwa_alg)a, VIEW("data"), buf_view(&sig)), e);
            if (e != OK) {
                CHECK_ERR(e, ERR_UNSUPPORTED);
                continue;
            }
            CHECK_ERR(jwa_verify(&k, (enum jwa_alg)a, VIEW("other"), buf_view(&sig)), ERR_VERIFY);
            signed_count++;
        }
    }
    assert_int_equal(signed_count, JWA_ALG_COUNT);
}

static void test_bad_keys(void **state)
{
    (void)state;
    struct jwa_key k;
    uint8_t bytes[512];
    memset(bytes, 0xff, sizeof bytes);
    struct view e = test_hex("010001");
    CHECK_ERR(jwa_key_rsa(&k, view_of(bytes, 128), e), ERR_RANGE);
    CHECK_ERR(jwa_key_rsa(&k, view_of(bytes, 256), test_hex("01")), ERR_RANGE);
    CHECK_ERR(jwa_key_rsa(&k, view_of(NULL, 0), view_of(NULL, 0)), ERR_RANGE);
    CHECK_ERR(jwa_key_ec(&k, VIEW("P-256"), view_of(bytes, 32), view_of(bytes, 32)), ERR_RANGE);
    CHECK_ERR(jwa_key_ec(&k, VIEW("P-256"), view_of(bytes, 31), view_of(bytes, 32)), ERR_RANGE);
    CHECK_ERR(jwa_key_ec(&k, VIEW("secp256k1"), view_of(bytes, 32), view_of(bytes, 32)),
              ERR_UNSUPPORTED);
    CHECK_ERR(jwa_key_ed25519(&k, view_of(bytes, 31)), ERR_RANGE);
}

static void test_names(void **state)
{
    (void)state;
    enum jwa_alg alg;
    for (unsigned i = 0; i < JWA_ALG_COUNT; i++) {
        CHECK_OK(jwa_find(view_str(jwa_name((enum jwa_alg)i)), &alg));
        assert_int_equal(alg, i);
    }
    const char *const bad[] = {"none", "None", "HS256", "RS1", "", "rs256"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        CHECK_ERR(jwa_find(view_str(bad[i]), &alg), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_es256), cmocka_unit_test(test_eddsa),    cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_sign),  cmocka_unit_test(test_bad_keys), cmocka_unit_test(test_names),
    };
    return RUN(tests);
}
