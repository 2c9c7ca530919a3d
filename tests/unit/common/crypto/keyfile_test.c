#include "common/base/text.h"
#include "common/crypto/key.h"
#include "tests/support/test.h"

static struct view key_file(const char *name)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/keys/%s", name);
    return test_file(path);
}

/* Every form gives the key whose public half ssh-keygen wrote. */
static void test_forms(void **state)
{
    (void)state;
    const struct {
        const char *file;
        const char *public;
    } rows[] = {
        {"ed25519", "ed25519.pub"},
        {"ecdsa256", "ecdsa256.pub"},
        {"ecdsa384", "ecdsa384.pub"},
        {"ecdsa521", "ecdsa521.pub"},
        {"rsa", "rsa.pub"},
        {"rsa.pkcs1", "rsa.pub"},
        {"rsa.pkcs8", "rsa.pub"},
        {"ecdsa384.sec1", "ecdsa384.pub"},
        {"ecdsa256.pkcs8", "ecdsa256.pub"},
        {"ca_ed25519", "ca_ed25519.pub"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(private_key_fini) struct private_key k = {0};
        AUTO(public_key_fini) struct public_key expected = {0};
        CHECK_OK(private_key_parse(&k, key_file(rows[i].file)));
        CHECK_OK(public_key_parse_line(&expected, key_file(rows[i].public), NULL));
        assert_true(public_key_equal(&k.public, &expected));
    }
}

static void test_other_tools(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key ed = {0}, ec = {0};
    CHECK_OK(private_key_parse(&ed, key_file("ed25519.pkcs8")));
    assert_int_equal(ed.public.type, KEY_ED25519);
    /* `openssl ecparam -genkey` puts EC PARAMETERS first. */
    CHECK_OK(private_key_parse(&ec, key_file("ecdsa256.params.pem")));
    assert_int_equal(ec.public.type, KEY_ECDSA_P256);
}

static void test_refusals(void **state)
{
    (void)state;
    struct private_key k;
    CHECK_ERR(private_key_parse(&k, key_file("ed25519_locked")), ERR_ENCRYPTED);
    CHECK_ERR(private_key_parse(&k, key_file("rsa_locked.pem")), ERR_ENCRYPTED);
    CHECK_ERR(private_key_parse(&k, key_file("pkcs8_locked.pem")), ERR_ENCRYPTED);
    CHECK_ERR(private_key_parse(&k, key_file("rsa1024")), ERR_RANGE);
    CHECK_ERR(private_key_parse(&k, key_file("ed25519.pub")), ERR_SYNTAX);
    CHECK_ERR(private_key_parse(&k, VIEW("")), ERR_SYNTAX);
    CHECK_ERR(private_key_parse(
                  &k, VIEW("-----BEGIN DSA PRIVATE KEY-----\nAAAA\n-----END DSA PRIVATE KEY-----")),
              ERR_UNSUPPORTED);
    AUTO_FREE char *large = mem_zalloc(KEY_FILE_MAX + 1);
    CHECK_ERR(private_key_parse(&k, view_of(large, KEY_FILE_MAX + 1)), ERR_LIMIT);
}

/* What is cut off anywhere is refused, but for the line end behind the last dashes. */
static void test_every_prefix(void **state)
{
    (void)state;
    const char *const files[] = {"ed25519", "ecdsa384.sec1", "ecdsa256.pkcs8", "ed25519.pkcs8"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct view text = key_file(files[i]);
        for (size_t n = 0; n + 1 < text.len; n++) {
            struct private_key k;
            AUTO_FREE char *exact = mem_strndup(text.ptr, n);
            CHECK_ERR(private_key_parse(&k, view_of(exact, n)), ERR_SYNTAX);
        }
    }
}

/* Flipping any bit of the binary gives an error or the very same key (check and padding). */
static void test_every_bit(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key good = {0};
    AUTO(buf_fini) struct buf base64, bytes;
    struct view line, text = key_file("ed25519");
    size_t accepted = 0;
    CHECK_OK(private_key_parse(&good, text));
    buf_init(&base64, 8192);
    buf_init(&bytes, 8192);
    while (view_next(&text, '\n', &line))
        if (line.len && line.ptr[0] != '-')
            CHECK_OK(buf_append(&base64, line));
    CHECK_OK(text_unbase64(buf_view(&base64), &bytes));
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        struct private_key k = {0};
        AUTO(buf_fini) struct buf pem;
        buf_init(&pem, 8192);
        buf_ptr(&bytes)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CHECK_OK(buf_append_str(&pem, "-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        CHECK_OK(text_base64(buf_view(&bytes), &pem));
        CHECK_OK(buf_append_str(&pem, "\n-----END OPENSSH PRIVATE KEY-----\n"));
        buf_ptr(&bytes)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        if (private_key_parse(&k, buf_view(&pem)) != OK)
            continue;
        assert_true(public_key_equal(&k.public, &good.public));
        private_key_fini(&k);
        accepted++;
    }
    /* The comment, "ed25519 test", is all that may differ; it may take in the one padding byte. */
    assert_int_equal(accepted, 12 * 8 + 1);
}

static void test_windows_line_ends(void **state)
{
    (void)state;
    AUTO(private_key_fini) struct private_key k = {0};
    AUTO(buf_fini) struct buf text;
    struct view line, file = key_file("ed25519");
    buf_init(&text, 8192);
    CHECK_OK(buf_append_str(&text, "\r\nsome text before\r\n"));
    while (view_next(&file, '\n', &line)) {
        CHECK_OK(buf_append(&text, line));
        CHECK_OK(buf_append_str(&text, "\r\n"));
    }
    CHECK_OK(private_key_parse(&k, buf_view(&text)));
}

static void test_write(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    for (unsigned t = KEY_ED25519; t <= KEY_RSA; t++) {
        AUTO(private_key_fini) struct private_key k = {0}, again = {0}, pem = {0};
        AUTO(buf_wipe) struct buf text, pkcs8, sig;
        buf_init(&text, KEY_FILE_MAX);
        buf_init(&pkcs8, KEY_FILE_MAX);
        buf_init(&sig, KEY_BLOB_MAX);
        CHECK_OK(private_key_generate(&k, (enum key_type)t, &rng));
        assert_int_equal(k.public.type, t);
        CHECK_OK(private_key_write_openssh(&k, "written here", &rng, &text));
        CHECK_OK(private_key_parse(&again, buf_view(&text)));
        assert_true(public_key_equal(&k.public, &again.public));
        CHECK_OK(private_key_write_pem(&k, &pkcs8));
        CHECK_OK(private_key_parse(&pem, buf_view(&pkcs8)));
        assert_true(public_key_equal(&k.public, &pem.public));
        struct view alg = view_str(key_alg_default((enum key_type)t)->name);
        CHECK_OK(private_key_sign(&again, alg, VIEW("x"), &sig));
        CHECK_OK(public_key_verify(&k.public, alg, VIEW("x"), buf_view(&sig)));
    }
}

static void fill_fixed(void *ctx, uint8_t *out, size_t n)
{
    memcpy(out, ctx, n);
}

/* RFC 8032 §7.1, TEST 1. */
static void test_ed25519_vector(void **state)
{
    (void)state;
    struct view seed = test_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    struct rng fixed = {.fill = fill_fixed, .ctx = (void *)(uintptr_t)seed.ptr};
    AUTO(private_key_fini) struct private_key k = {0};
    AUTO(buf_fini) struct buf sig;
    buf_init(&sig, KEY_BLOB_MAX);
    CHECK_OK(private_key_generate(&k, KEY_ED25519, &fixed));
    CHECK_VIEW(view_skip(public_key_blob(&k.public), 4 + 11 + 4),
               test_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
    CHECK_OK(private_key_sign(&k, VIEW("ssh-ed25519"), view_of(NULL, 0), &sig));
    CHECK_VIEW(view_skip(buf_view(&sig), 4 + 11 + 4),
               test_hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"));
}

static void test_generate_is_random(void **state)
{
    (void)state;
    struct rng rng = rng_system();
    struct rng_test t;
    for (unsigned type = KEY_ED25519; type <= KEY_ECDSA_P521; type++) {
        AUTO(private_key_fini) struct private_key a = {0}, b = {0}, c = {0}, d = {0};
        CHECK_OK(private_key_generate(&a, (enum key_type)type, &rng));
        CHECK_OK(private_key_generate(&b, (enum key_type)type, &rng));
        assert_false(public_key_equal(&a.public, &b.public));
        struct rng fixed = rng_test(&t, 9);
        CHECK_OK(private_key_generate(&c, (enum key_type)type, &fixed));
        fixed = rng_test(&t, 9);
        CHECK_OK(private_key_generate(&d, (enum key_type)type, &fixed));
        assert_true(public_key_equal(&c.public, &d.public));
    }
    struct private_key k;
    CHECK_ERR(private_key_generate(&k, KEY_SK_ED25519, &rng), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_other_tools),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_every_prefix),
        cmocka_unit_test(test_every_bit),
        cmocka_unit_test(test_windows_line_ends),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_ed25519_vector),
        cmocka_unit_test(test_generate_is_random),
    };
    return RUN(tests);
}
