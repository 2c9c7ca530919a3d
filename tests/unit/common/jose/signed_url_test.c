#include "common/jose/signed_url.h"

#include "tests/support/test.h"

enum { NOW = 1000000500 };

static const struct view key = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32};
static const struct view other = {(const uint8_t *)"fedcba9876543210fedcba9876543210", 32};
static const struct view none;

static const char url[] =
    "https://auth.test/.pomerium/sign_in?pomerium_redirect_uri=https%3A%2F%2Fa";
#define TAIL "&pomerium_issued=1000000&pomerium_expiry=1000301&pomerium_signature="

static void sign(struct view secret, const char *text, struct buf *out)
{
    buf_init(out, SIGNED_URL_MAX);
    CHECK_ERR(signed_url_sign(secret, view_str(text), NOW, NOW + SIGNED_URL_VALID_MS, out), OK);
}

static void test_sign(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf a;
    AUTO(buf_fini) struct buf b;
    sign(key, url, &a);
    AUTO_FREE char *text = buf_to_str(&a);
    assert_memory_equal(text, url, strlen(url));
    assert_memory_equal(text + strlen(url), TAIL, strlen(TAIL));
    assert_int_equal(strlen(text), strlen(url) + strlen(TAIL) + 43);
    /* A URL without a query gets one. */
    sign(key, "https://auth.test/x", &b);
    AUTO_FREE char *begun = buf_to_str(&b);
    assert_non_null(strstr(begun, "/x?pomerium_issued=1000000&"));
}

static void test_sign_refuses(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 2 * SIGNED_URL_MAX);
    CHECK_ERR(signed_url_sign(view_take(key, 31), view_str(url), 1, 2, &out), ERR_RANGE);
    CHECK_ERR(signed_url_sign(key, view_str(url), 2, 1, &out), ERR_RANGE);
    CHECK_ERR(signed_url_sign(key, view_str(url), 2, UINT64_MAX, &out), ERR_RANGE);
    AUTO_FREE char *large = mem_zalloc(SIGNED_URL_MAX);
    memset(large, 'a', SIGNED_URL_MAX - 1);
    CHECK_ERR(signed_url_sign(key, view_str(large), 1, 2, &out), ERR_LIMIT);
    assert_int_equal(out.len, 0);
}

static void test_verify(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    struct view got;
    sign(key, url, &b);
    CHECK_ERR(signed_url_verify(key, none, buf_view(&b), NOW, &got), OK);
    assert_true(view_eq_str(got, url));
    CHECK_ERR(signed_url_verify(other, key, buf_view(&b), NOW, &got), OK);
    CHECK_ERR(signed_url_verify(other, none, buf_view(&b), NOW, &got), ERR_VERIFY);
    CHECK_ERR(signed_url_verify(other, other, buf_view(&b), NOW, &got), ERR_VERIFY);
    CHECK_ERR(signed_url_verify(view_take(key, 8), key, buf_view(&b), NOW, &got), ERR_RANGE);
}

/* "&" and "?" stand for nothing else where they are not the first "?". */
static void test_odd_urls(void **state)
{
    (void)state;
    static const char *const rows[] = {"https://a.test/b&c", "https://a.test/?b?c",
                                       "https://a.test/?", "https://a.test/?b=c&", "a"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO(buf_fini) struct buf b;
        struct view got;
        sign(key, rows[i], &b);
        CHECK_OK(signed_url_verify(key, none, buf_view(&b), NOW, &got));
        CHECK_VIEW_STR(got, rows[i]);
    }
}

static void test_verify_times(void **state)
{
    (void)state;
    static const struct {
        uint64_t now;
        enum err expected;
    } rows[] = {
        {1000000000, OK},
        {1000000000 - SIGNED_URL_LEEWAY_MS, OK},
        {1000000000 - SIGNED_URL_LEEWAY_MS - 1, ERR_MISMATCH},
        {1000301000 + SIGNED_URL_LEEWAY_MS - 1, OK},
        {1000301000 + SIGNED_URL_LEEWAY_MS, ERR_EXPIRED},
        {UINT64_MAX - SIGNED_URL_LEEWAY_MS, ERR_EXPIRED},
    };
    AUTO(buf_fini) struct buf b;
    struct view got;
    sign(key, url, &b);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ERR(signed_url_verify(key, none, buf_view(&b), rows[i].now, &got), rows[i].expected);
}

/* No other text of the same length or shorter is believed. */
static void test_every_byte_counts(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    struct view got = VIEW("untouched");
    sign(key, url, &b);
    for (size_t i = 0; i < b.len; i++) {
        assert_int_not_equal(signed_url_verify(key, none, view_take(buf_view(&b), i), NOW, &got),
                             OK);
        /* The last letter of the signature has two bits that are to be 0. */
        buf_ptr(&b)[i] ^= 1;
        assert_int_not_equal(signed_url_verify(key, none, buf_view(&b), NOW, &got), OK);
        buf_ptr(&b)[i] ^= 1;
    }
    assert_true(view_eq_str(got, "untouched"));
    CHECK_ERR(buf_append_str(&b, "&more=1"), OK);
    CHECK_ERR(signed_url_verify(key, none, buf_view(&b), NOW, &got), ERR_SYNTAX);
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "https://auth.test/",
        "https://auth.test/?pomerium_signature=AAAA",
        "https://auth.test/?pomerium_issued=1&pomerium_signature=AAAA",
        "https://auth.test/?pomerium_expiry=1&pomerium_issued=1&pomerium_signature=AAAA",
        "pomerium_issued=1&pomerium_expiry=1&pomerium_signature=AAAA",
    };
    struct view got;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ERR(signed_url_verify(key, none, view_str(rows[i]), NOW, &got), ERR_SYNTAX);
    CHECK_ERR(signed_url_verify(key, none,
                                VIEW("h?pomerium_issued=1&pomerium_expiry=1&pomerium_signature=A*"),
                                NOW, &got),
              ERR_VERIFY);
    AUTO_FREE char *large = mem_zalloc(SIGNED_URL_MAX + 2);
    memset(large, 'a', SIGNED_URL_MAX + 1);
    CHECK_ERR(signed_url_verify(key, none, view_str(large), NOW, &got), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign),         cmocka_unit_test(test_sign_refuses),
        cmocka_unit_test(test_verify),       cmocka_unit_test(test_odd_urls),
        cmocka_unit_test(test_verify_times), cmocka_unit_test(test_every_byte_counts),
        cmocka_unit_test(test_malformed),
    };
    return RUN(tests);
}
