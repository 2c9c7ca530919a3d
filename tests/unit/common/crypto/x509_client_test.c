#include "common/crypto/x509_client.h"

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/support/test.h"

/* Made by openssl req -x509, P-256, with names of four kinds. */
static const char certificate[] =
    "MIIB2DCCAX+gAwIBAgIUYcqTtOIRcm/ewjQulj7XwjETBsswCgYIKoZIzj0EAwIwDjEMMAoGA1UE"
    "AwwDYW5uMCAXDTI2MTEyMTE5MzMwMloYDzIxMDkwMTEwMTkzMzAyWjAOMQwwCgYDVQQDDANhbm4w"
    "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAROY12mgGNettHDKMbh7m4wbD7Jy1v5OHbp5ucNnjkt"
    "jWcirVzQQTlaBKKC4U5+ZiDxZTcmwFeG1esBnZul1K50o4G4MIG1MB0GA1UdDgQWBBSLe/AFK8AH"
    "M7hf21XZPSX+CekWizAfBgNVHSMEGDAWgBSLe/AFK8AHM7hf21XZPSX+CekWizAPBgNVHRMBAf8E"
    "BTADAQH/MGIGA1UdEQRbMFmBEGFubkBleGFtcGxlLnRlc3SCE2xhcHRvcC5leGFtcGxlLnRlc3SG"
    "GXNwaWZmZTovL2V4YW1wbGUudGVzdC9hbm6HBMAAAgGBD2EyQGV4YW1wbGUudGVzdDAKBggqhkjO"
    "PQQDAgNHADBEAiB8qymtJsjL8zX/QxKxzSQkpaP/Wwu2jQLRvVPjg2ARDAIgZqjwzs0XQInQ28tW"
    "hmVHP6jiwBOw00lqT7qIeaFGlGc=";

/* sha256sum of it, and of its key by openssl pkey -pubin -outform DER. */
static const char fingerprint[] =
    "56aa40974c000b80582a5da3c4c7d0ebece409fd74656c2c276b534ae267f2c0";
static const char spki_hash[] = "OsR2GHlFivkR71Q10SdyLO1CMFQexnBqeYIaH7MbCM4=";

static void decode(struct buf *der)
{
    buf_init(der, 4096);
    CHECK_OK(text_unbase64(view_str(certificate), der));
}

static void test_names(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf der;
    AUTO(x509_client_fini) struct x509_client c = {0};
    AUTO(buf_fini) struct buf hash;
    decode(&der);
    CHECK_OK(x509_client_parse(&c, buf_view(&der)));
    assert_int_equal(c.emails.count, 2);
    assert_string_equal(c.emails.items[0], "ann@example.test");
    assert_string_equal(c.emails.items[1], "a2@example.test");
    assert_int_equal(c.dns.count, 1);
    assert_string_equal(c.dns.items[0], "laptop.example.test");
    assert_int_equal(c.uris.count, 1);
    assert_string_equal(c.uris.items[0], "spiffe://example.test/ann");
    buf_init(&hash, 200);
    CHECK_OK(text_hex(view_of(c.fingerprint, sizeof c.fingerprint), &hash));
    assert_true(view_eq_str(buf_view(&hash), fingerprint));
    buf_clear(&hash);
    CHECK_OK(text_base64(view_of(c.spki_hash, sizeof c.spki_hash), &hash));
    assert_true(view_eq_str(buf_view(&hash), spki_hash));
}

/* Any byte less or more is no certificate. */
static void test_every_length(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf der;
    struct x509_client c;
    decode(&der);
    for (size_t n = 0; n < der.len; n++)
        CHECK_ERR(x509_client_parse(&c, view_take(buf_view(&der), n)), ERR_SYNTAX);
    CHECK_OK(buf_append_u8(&der, 0));
    CHECK_ERR(x509_client_parse(&c, buf_view(&der)), ERR_SYNTAX);
}

/* A name that would end at a NUL in C is none: "ann@example.test\0…" is not Ann's. */
static void test_control_bytes(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf der;
    AUTO(x509_client_fini) struct x509_client c = {0};
    decode(&der);
    ptrdiff_t at = view_search(buf_view(&der), VIEW("ann@example.test"));
    assert_true(at > 0);
    buf_ptr(&der)[at + 3] = 0;
    CHECK_OK(x509_client_parse(&c, buf_view(&der)));
    assert_int_equal(c.emails.count, 1);
    assert_string_equal(c.emails.items[0], "a2@example.test");
}

static void test_limit(void **state)
{
    (void)state;
    struct x509_client c;
    AUTO_FREE uint8_t *big = mem_zalloc(X509_CLIENT_DER_MAX + 1);
    CHECK_ERR(x509_client_parse(&c, view_of(big, X509_CLIENT_DER_MAX + 1)), ERR_LIMIT);
    CHECK_ERR(x509_client_parse(&c, view_of(big, X509_CLIENT_DER_MAX)), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_every_length),
        cmocka_unit_test(test_control_bytes),
        cmocka_unit_test(test_limit),
    };
    return RUN(tests);
}
