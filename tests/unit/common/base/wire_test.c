#include "common/base/wire.h"
#include "tests/support/test.h"

static void test_round_trip(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 4096);
    struct writer w = writer_to(&b);
    write_u8(&w, 7);
    write_u16(&w, 0x1234);
    write_bool(&w, true);
    write_u64(&w, 0x0102030405060708);
    size_t mark = write_begin(&w);
    write_cstring(&w, "inner");
    write_end(&w, mark);
    write_mpint(&w, VIEW("\x00\x00\x80"));
    CHECK_OK(writer_done(&w));
    struct reader r = reader_of(buf_view(&b));
    assert_int_equal(read_u8(&r), 7);
    assert_int_equal(read_u16(&r), 0x1234);
    assert_true(read_bool(&r));
    assert_true(read_u64(&r) == 0x0102030405060708);
    struct reader inner = reader_of(read_string(&r));
    CHECK_VIEW_STR(read_string(&inner), "inner");
    CHECK_OK(reader_done(&inner));
    CHECK_VIEW(read_mpint(&r), VIEW("\x80"));
    CHECK_OK(reader_done(&r));
}

/* Whatever is cut off, a reader fails and stays failed. */
static void test_truncated(void **state)
{
    (void)state;
    struct view whole = test_hex("05 0000000361 6263 00000009 01");
    for (size_t n = 0; n < whole.len; n++) {
        struct reader r = reader_of(view_take(whole, n));
        (void)read_u8(&r);
        (void)read_string(&r);
        (void)read_u32(&r);
        (void)read_u8(&r);
        CHECK_ERR(reader_done(&r), ERR_SYNTAX);
        assert_int_equal(read_u32(&r), 0);
    }
    struct reader r = reader_of(test_hex("ffffffff 00"));
    assert_int_equal(read_string(&r).len, 0);
    CHECK_ERR(reader_ok(&r), ERR_SYNTAX);
}

static void test_mpint_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"00000001 80", "00000002 0001", "00000001 00",
                                      "00000002 007f"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct reader r = reader_of(test_hex(bad[i]));
        (void)read_mpint(&r);
        CHECK_ERR(reader_ok(&r), ERR_SYNTAX);
    }
    struct reader zero = reader_of(test_hex("00000000"));
    assert_int_equal(read_mpint(&zero).len, 0);
    CHECK_OK(reader_done(&zero));
}

static void test_string_max(void **state)
{
    (void)state;
    struct reader r = reader_of(test_hex("00000003 616263"));
    (void)read_string_max(&r, 2);
    CHECK_ERR(reader_ok(&r), ERR_SYNTAX);
}

static void test_writer_limit(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 6);
    struct writer w = writer_to(&b);
    write_cstring(&w, "abc");
    write_u8(&w, 1);
    CHECK_ERR(writer_done(&w), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_mpint_refused), cmocka_unit_test(test_string_max),
        cmocka_unit_test(test_writer_limit),
    };
    return RUN(tests);
}
