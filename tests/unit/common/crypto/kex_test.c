#include "common/crypto/kex.h"

#include "common/crypto/mlkem768.h"
#include "tests/support/test.h"

/* An rng that gives out fixed bytes. */
static void fill_fixed(void *ctx, uint8_t *out, size_t n)
{
    struct view *rest = ctx;
    assert_true(rest->len >= n);
    memcpy(out, rest->ptr, n);
    *rest = view_skip(*rest, n);
}

/* RFC 7748 §5.2 and, from Bob's side, §6.1. */
static void test_x25519(void **state)
{
    (void)state;
    uint8_t out[KEX_X25519_LEN], private_key[KEX_X25519_LEN], public_key[KEX_X25519_LEN];
    CHECK_OK(kex_x25519_shared(
        test_hex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4").ptr,
        test_hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c").ptr, out));
    CHECK_VIEW(view_of(out, sizeof out),
               test_hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
    struct view bob = test_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct rng fixed = {.fill = fill_fixed, .ctx = &bob};
    kex_x25519_keypair(&fixed, private_key, public_key);
    CHECK_VIEW(view_of(public_key, sizeof public_key),
               test_hex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
    CHECK_OK(kex_x25519_shared(
        private_key,
        test_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a").ptr, out));
    CHECK_VIEW(view_of(out, sizeof out),
               test_hex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
}

/* The key of the seed 00 … 3f and a ciphertext that OpenSSL made for it. */
static void test_mlkem_vector(void **state)
{
    (void)state;
    uint8_t public_key[KEX_MLKEM768_PUBLIC_LEN], private_key[KEX_MLKEM768_PRIVATE_LEN];
    uint8_t seed[64], hash[DIGEST_SHA256_LEN], shared[KEX_MLKEM768_SHARED_LEN];
    for (size_t i = 0; i < sizeof seed; i++)
        seed[i] = (uint8_t)i;
    struct view rest = view_of(seed, sizeof seed);
    struct rng fixed = {.fill = fill_fixed, .ctx = &rest};
    mlkem768_keypair(&fixed, public_key, private_key);
    digest(DIGEST_SHA256, view_of(public_key, sizeof public_key), hash);
    CHECK_VIEW(view_of(hash, sizeof hash),
               test_hex("0b7934c83125c788995e2ba6bd761e33046b3e40571be53e023309a29f398cc9"));
    struct view hex = test_file("tests/vectors/mlkem768.ciphertext.hex");
    AUTO_FREE char *text = mem_strndup(hex.ptr, hex.len);
    struct view ciphertext = test_hex(text);
    assert_int_equal(ciphertext.len, KEX_MLKEM768_CIPHERTEXT_LEN);
    mlkem768_decaps(private_key, ciphertext.ptr, shared);
    CHECK_VIEW(view_of(shared, sizeof shared),
               test_hex("21a689d92c363aa1870c5437b5940c396c0f3e2655294e2e79274ae5492d22d7"));
    /* FIPS 203 §6.3: implicit rejection is deterministic. */
    uint8_t zeros[KEX_MLKEM768_CIPHERTEXT_LEN] = {0};
    mlkem768_decaps(private_key, zeros, shared);
    CHECK_VIEW(view_of(shared, sizeof shared),
               test_hex("c8fbeddafdacef2ffeb8b354ea644f11b5c150f3e2c4a74ce38abba8f854ae16"));
}

static void test_mlkem_modulus_check(void **state)
{
    (void)state;
    struct rng_test t;
    struct rng rng = rng_test(&t, 1);
    uint8_t public_key[KEX_MLKEM768_PUBLIC_LEN], private_key[KEX_MLKEM768_PRIVATE_LEN];
    uint8_t ciphertext[KEX_MLKEM768_CIPHERTEXT_LEN], a[32], b[32];
    mlkem768_keypair(&rng, public_key, private_key);
    CHECK_OK(mlkem768_encaps(&rng, public_key, ciphertext, a));
    mlkem768_decaps(private_key, ciphertext, b);
    assert_memory_equal(a, b, sizeof a);
    ciphertext[100] ^= 1;
    mlkem768_decaps(private_key, ciphertext, b);
    assert_memory_not_equal(a, b, sizeof a);
    memset(public_key, 0xff, 3); /* a coefficient of 4095 */
    CHECK_ERR(mlkem768_encaps(&rng, public_key, ciphertext, a), ERR_SYNTAX);
}

/* Both sides agree, and K is a minimal mpint whatever its first bytes are. */
static void test_agreement(void **state)
{
    (void)state;
    struct rng_test t;
    struct rng rng = rng_test(&t, 42);
    size_t short_ones = 0, padded = 0;
    for (int i = 0; i < 1200; i++) {
        enum kex_method method = i % 100 == 0 ? KEX_MLKEM768X25519 : KEX_CURVE25519;
        static struct kex_client client;
        static struct kex_answer answer;
        struct kex_secret secret;
        kex_client_init(&client, method, &rng);
        assert_int_equal(kex_client_share(&client).len, kex_info(method)->client_len);
        CHECK_OK(kex_server_answer(method, kex_client_share(&client), &rng, &answer));
        assert_int_equal(answer.share_len, kex_info(method)->server_len);
        CHECK_OK(kex_client_finish(&client, view_of(answer.share, answer.share_len), &secret));
        CHECK_VIEW(kex_secret_view(&secret), kex_secret_view(&answer.secret));
        const uint8_t *e = secret.encoded;
        assert_int_equal(e[3], secret.len - 4);
        if (method == KEX_MLKEM768X25519) {
            assert_int_equal(secret.len, 36);
            continue;
        }
        assert_true(e[4] != 0 || (e[5] & 0x80));
        assert_true(!(e[4] & 0x80));
        short_ones += secret.len < 36;
        padded += secret.len == 37;
    }
    assert_true(short_ones > 0);
    assert_true(padded > 0);
}

/* RFC 8731 §3.1 with RFC 7748's numbers: the secret begins with 4a, so 32 bytes and no padding. */
static void test_secret_encoding(void **state)
{
    (void)state;
    static struct kex_answer answer;
    struct view bob = test_hex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct rng fixed = {.fill = fill_fixed, .ctx = &bob};
    CHECK_OK(kex_server_answer(
        KEX_CURVE25519,
        test_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"), &fixed,
        &answer));
    CHECK_VIEW(
        kex_secret_view(&answer.secret),
        test_hex("000000204a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"));
}

static void test_refusals(void **state)
{
    (void)state;
    struct rng_test t;
    struct rng rng = rng_test(&t, 5);
    static struct kex_client client;
    static struct kex_answer answer;
    static uint8_t share[KEX_CLIENT_MAX + 1];
    struct kex_secret secret;
    for (unsigned m = 0; m < KEX_METHOD_COUNT; m++) {
        enum kex_method method = (enum kex_method)m;
        size_t client_len = kex_info(method)->client_len;
        size_t server_len = kex_info(method)->server_len;
        kex_client_init(&client, method, &rng);
        memset(share, 0, sizeof share);
        for (size_t len = 0; len <= sizeof share; len++) {
            if (len != client_len)
                CHECK_ERR(kex_server_answer(method, view_of(share, len), &rng, &answer),
                          ERR_SYNTAX);
            if (len != server_len)
                CHECK_ERR(kex_client_finish(&client, view_of(share, len), &secret), ERR_SYNTAX);
        }
        /* An X25519 share of zero gives a secret of zero. */
        memcpy(share, kex_client_share(&client).ptr, client_len);
        memset(share + client_len - KEX_X25519_LEN, 0, KEX_X25519_LEN);
        CHECK_ERR(kex_server_answer(method, view_of(share, client_len), &rng, &answer), ERR_VERIFY);
        CHECK_OK(kex_server_answer(method, kex_client_share(&client), &rng, &answer));
        memset(answer.share + server_len - KEX_X25519_LEN, 0, KEX_X25519_LEN);
        CHECK_ERR(kex_client_finish(&client, view_of(answer.share, server_len), &secret),
                  ERR_VERIFY);
        kex_client_fini(&client);
    }
}

static void test_names(void **state)
{
    (void)state;
    for (unsigned m = 0; m < KEX_METHOD_COUNT; m++) {
        enum kex_method method;
        CHECK_OK(kex_find(view_str(kex_info((enum kex_method)m)->name), &method));
        assert_int_equal(method, m);
    }
    enum kex_method method;
    CHECK_ERR(kex_find(VIEW("diffie-hellman-group14-sha1"), &method), ERR_UNSUPPORTED);
    CHECK_ERR(kex_find(VIEW(""), &method), ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_x25519),
        cmocka_unit_test(test_mlkem_vector),
        cmocka_unit_test(test_mlkem_modulus_check),
        cmocka_unit_test(test_agreement),
        cmocka_unit_test(test_secret_encoding),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),
    };
    return RUN(tests);
}
