#include "common/base/text.h"

#include "tests/support/test.h"

typedef enum err (*codec_fn)(struct view in, struct buf *out);

static void expect(codec_fn fn, const char *in, enum err e, const char *out)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    CHECK_ERR(fn(view_str(in), &b), e);
    CHECK_VIEW_STR(buf_view(&b), out);
}

static void test_base64(void **state)
{
    (void)state;
    /* RFC 4648 §10 */
    static const char *const rows[][2] = {{"", ""},
                                          {"f", "Zg=="},
                                          {"fo", "Zm8="},
                                          {"foo", "Zm9v"},
                                          {"foob", "Zm9vYg=="},
                                          {"fooba", "Zm9vYmE="},
                                          {"foobar", "Zm9vYmFy"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        expect(text_base64, rows[i][0], OK, rows[i][1]);
        expect(text_unbase64, rows[i][1], OK, rows[i][0]);
    }
    expect(text_base64url, "\xfb\xff", OK, "-_8");
    expect(text_unbase64url, "-_8", OK, "\xfb\xff");
    static const char *const bad[] = {
        "Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "Z===", "Zm9v\n", "Zm9*"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        expect(text_unbase64, bad[i], ERR_SYNTAX, "");
    expect(text_unbase64url, "Zg==", ERR_SYNTAX, "");
    expect(text_unbase64url, "+/8", ERR_SYNTAX, "");
}

static void test_hex_codec(void **state)
{
    (void)state;
    expect(text_hex, "\x01\xff", OK, "01ff");
    expect(text_unhex, "4aF0", OK, "\x4a\xf0");
    expect(text_unhex, "4", ERR_SYNTAX, "");
    expect(text_unhex, "4g", ERR_SYNTAX, "");
}

static void test_u64(void **state)
{
    (void)state;
    uint64_t v = 99;
    CHECK_OK(text_u64(VIEW("18446744073709551615"), UINT64_MAX, &v));
    assert_true(v == UINT64_MAX);
    CHECK_ERR(text_u64(VIEW("18446744073709551616"), UINT64_MAX, &v), ERR_RANGE);
    CHECK_ERR(text_u64(VIEW("256"), 255, &v), ERR_RANGE);
    CHECK_ERR(text_u64(VIEW("9"), 5, &v), ERR_RANGE);
    CHECK_ERR(text_u64(VIEW(""), 5, &v), ERR_SYNTAX);
    CHECK_ERR(text_u64(VIEW("-1"), 5, &v), ERR_SYNTAX);
    CHECK_ERR(text_u64(VIEW("1 "), 5, &v), ERR_SYNTAX);
    CHECK_OK(text_u64(VIEW("0"), 0, &v));
    assert_true(v == 0);
}

static void test_duration(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum err e;
        uint64_t ms;
    } rows[] = {{"0", OK, 0},          {"15m", OK, 900000},        {"1h30m", OK, 5400000},
                {"0.3s", OK, 300},     {"250ms", OK, 250},         {"1.5h", OK, 5400000},
                {"", ERR_SYNTAX, 0},   {"15", ERR_SYNTAX, 0},      {"m", ERR_SYNTAX, 0},
                {"-3s", ERR_RANGE, 0}, {"9999999h", ERR_RANGE, 0}, {"3 s", ERR_SYNTAX, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t ms = 0;
        CHECK_ERR(text_duration_ms(view_str(rows[i].text), &ms), rows[i].e);
        assert_int_equal(ms, rows[i].ms);
    }
}

static void test_time_and_printable(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    CHECK_OK(text_rfc3339(1700000000123, &b));
    CHECK_VIEW_STR(buf_view(&b), "2023-11-14T22:13:20.123Z");
    expect(text_printable, "a\x1b[31m\xc3\xa4\xc2\x9b\xff\xed\xa0\x80", OK, "a?[31m\xc3\xa4??????");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64),
        cmocka_unit_test(test_hex_codec),
        cmocka_unit_test(test_u64),
        cmocka_unit_test(test_duration),
        cmocka_unit_test(test_time_and_printable),
    };
    return RUN(tests);
}
