#include "common/crypto/digest.h"

#include "common/crypto/rng.h"
#include "tests/support/test.h"

static void check(enum digest_alg alg, const char *data, const char *expected)
{
    uint8_t out[DIGEST_MAX];
    digest(alg, view_str(data), out);
    CHECK_VIEW(view_of(out, digest_len(alg)), test_hex(expected));
}

/* FIPS 180-4, the examples with "abc". */
static void test_sha2(void **state)
{
    (void)state;
    check(DIGEST_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    check(DIGEST_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(DIGEST_SHA384, "abc",
          "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
          "8086072ba1e7cc2358baeca134c825a7");
    check(DIGEST_SHA512, "abc",
          "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
          "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

static void test_every_split(void **state)
{
    (void)state;
    uint8_t data[300];
    uint8_t whole[DIGEST_MAX], parts[DIGEST_MAX];
    struct rng_test t;
    struct rng rng = rng_test(&t, 1);
    rng_fill(&rng, data, sizeof data);
    for (int alg = DIGEST_SHA256; alg <= DIGEST_SHA512; alg++) {
        size_t len = digest_len((enum digest_alg)alg);
        digest((enum digest_alg)alg, view_of(data, sizeof data), whole);
        for (size_t i = 0; i <= sizeof data; i++) {
            struct digest d;
            digest_init(&d, (enum digest_alg)alg);
            digest_update(&d, view_of(data, i));
            struct digest copy = d;
            digest_update(&copy, view_of(data + i, sizeof data - i));
            digest_final(&copy, parts);
            assert_memory_equal(whole, parts, len);
        }
    }
}

/* RFC 4231 §4.2, §4.3 and §4.7. */
static void test_hmac(void **state)
{
    (void)state;
    uint8_t out[DIGEST_MAX];
    uint8_t key[131];
    memset(key, 0x0b, 20);
    digest_hmac(DIGEST_SHA256, view_of(key, 20), VIEW("Hi There"), out);
    CHECK_VIEW(view_of(out, 32),
               test_hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"));
    digest_hmac(DIGEST_SHA512, VIEW("Jefe"), VIEW("what do ya want for nothing?"), out);
    CHECK_VIEW(view_of(out, 64),
               test_hex("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                        "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"));
    memset(key, 0xaa, sizeof key);
    digest_hmac(DIGEST_SHA256, view_of(key, sizeof key),
                VIEW("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    CHECK_VIEW(view_of(out, 32),
               test_hex("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

/* RFC 5869 A.1 and A.3. */
static void test_hkdf(void **state)
{
    (void)state;
    uint8_t out[42];
    struct view ikm = test_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
    digest_hkdf(ikm, test_hex("000102030405060708090a0b0c"), test_hex("f0f1f2f3f4f5f6f7f8f9"), out,
                sizeof out);
    CHECK_VIEW(view_of(out, sizeof out),
               test_hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
                        "34007208d5b887185865"));
    digest_hkdf(ikm, view_of(NULL, 0), view_of(NULL, 0), out, sizeof out);
    CHECK_VIEW(view_of(out, sizeof out),
               test_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"
                        "9d201395faa4b61a96c8"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha2),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_hmac),
        cmocka_unit_test(test_hkdf),
    };
    return RUN(tests);
}
