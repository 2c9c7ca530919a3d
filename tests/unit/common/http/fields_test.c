#include "common/http/fields.h"
#include "tests/support/test.h"

static void check_written(const struct fields *f, const char *expected)
{
    struct buf out;
    buf_init(&out, 100000);
    CHECK_OK(fields_write(f, &out));
    CHECK_VIEW_STR(buf_view(&out), expected);
    buf_fini(&out);
}

static void test_add_get_remove(void **state)
{
    (void)state;
    struct fields f = {0};
    CHECK_OK(fields_add_str(&f, "Set-Cookie", "a"));
    CHECK_OK(fields_add_str(&f, "Host", " \tb\t "));
    CHECK_OK(fields_add_str(&f, "set-cookie", "c"));
    CHECK_OK(fields_add_str(&f, "Empty", ""));
    CHECK_VIEW_STR(fields_get(&f, "SET-COOKIE"), "a");
    CHECK_VIEW_STR(fields_get(&f, "host"), "b");
    assert_string_equal((const char *)fields_get(&f, "host").ptr, "b");
    assert_non_null(fields_get(&f, "empty").ptr);
    assert_null(fields_get(&f, "none").ptr);
    assert_int_equal(fields_count(&f, "Set-Cookie"), 2);
    check_written(&f, "Set-Cookie: a\r\nHost: b\r\nset-cookie: c\r\nEmpty: \r\n");
    struct fields copy = {0};
    CHECK_OK(fields_append(&copy, &f));
    assert_int_equal(fields_remove(&f, "set-cookie"), 2);
    assert_int_equal(fields_remove(&f, "set-cookie"), 0);
    check_written(&f, "Host: b\r\nEmpty: \r\n");
    CHECK_OK(fields_set(&copy, "SET-cookie", fields_get(&copy, "host")));
    check_written(&copy, "Host: b\r\nEmpty: \r\nSET-cookie: b\r\n");
    assert_int_equal(fields_remove_prefix(&copy, "se"), 1);
    assert_int_equal(fields_remove_prefix(&copy, "EMPTY-"), 0);
    fields_fini(&copy);
    fields_clear(&f);
    assert_int_equal(f.bytes, 0);
    check_written(&f, "");
    fields_fini(&f);
}

static void test_bytes_refused(void **state)
{
    (void)state;
    struct fields f = {0};
    CHECK_ERR(fields_add_str(&f, "", "x"), ERR_SYNTAX);
    CHECK_ERR(fields_add_str(&f, "a b", "x"), ERR_SYNTAX);
    CHECK_ERR(fields_add_str(&f, "a:", "x"), ERR_SYNTAX);
    CHECK_ERR(fields_add(&f, view_of("a\0b", 3), VIEW("x")), ERR_SYNTAX);
    CHECK_ERR(fields_add_str(&f, "\xc3\xa4", "x"), ERR_SYNTAX);
    CHECK_OK(fields_add_str(&f, "!#$%&'*+-.^_`|~09azAZ", "\xc3\xa4\t\"x"));
    for (int c = 0; c < 256; c++) {
        uint8_t value[3] = {'a', (uint8_t)c, 'b'};
        bool good = (c >= ' ' && c != 0x7f) || c == '\t';
        CHECK_ERR(fields_add(&f, VIEW("X"), view_of(value, 3)), good ? OK : ERR_SYNTAX);
        if (good)
            assert_int_equal(fields_remove(&f, "x"), 1);
    }
    CHECK_OK(fields_set(&f, "Y", VIEW("1")));
    CHECK_ERR(fields_set(&f, "Y", VIEW("1\n")), ERR_SYNTAX);
    CHECK_VIEW_STR(fields_get(&f, "y"), "1");
    fields_fini(&f);
}

static void test_limits(void **state)
{
    (void)state;
    struct fields f = {0};
    for (size_t i = 0; i < FIELDS_COUNT_MAX; i++)
        CHECK_OK(fields_add_str(&f, "a", "b"));
    CHECK_ERR(fields_add_str(&f, "a", "b"), ERR_LIMIT);
    fields_clear(&f);
    AUTO_FREE char *large = mem_zalloc(FIELDS_BYTES_MAX);
    memset(large, 'x', FIELDS_BYTES_MAX - 1);
    CHECK_OK(fields_add(&f, VIEW("a"), view_of(large, FIELDS_BYTES_MAX - 1)));
    CHECK_ERR(fields_add_str(&f, "a", ""), ERR_LIMIT);
    fields_fini(&f);
}

static void test_tokens(void **state)
{
    (void)state;
    struct fields f = {0};
    struct view token;
    struct buf seen;
    buf_init(&seen, 1000);
    CHECK_OK(fields_add_str(&f, "TE", "a , ,b,"));
    CHECK_OK(fields_add_str(&f, "X", "no"));
    CHECK_OK(fields_add_str(&f, "te", ""));
    CHECK_OK(fields_add_str(&f, "te", "C"));
    for (struct fields_iter i = fields_tokens(&f, "Te"); fields_next_token(&i, &token);)
        CHECK_OK(buf_printf(&seen, "%.*s.", VIEW_FMT(token)));
    CHECK_VIEW_STR(buf_view(&seen), "a.b.C.");
    assert_true(fields_has_token(&f, "TE", "c"));
    assert_true(fields_has_token(&f, "TE", "B"));
    assert_false(fields_has_token(&f, "TE", "no"));
    buf_fini(&seen);
    fields_fini(&f);
}

static void test_hop_by_hop(void **state)
{
    (void)state;
    struct fields f = {0};
    static const char *const names[] = {
        "Host", "Connection", "X-Hop",  "Keep-Alive",          "TE",      "Transfer-Encoding",
        "Keep", "Upgrade",    "x-hop2", "Proxy-Authorization", "Trailer", "Proxy-Connection"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        CHECK_OK(fields_add_str(&f, names[i],
                                strcmp(names[i], "Connection") == 0 ? "close, x-hop" : "v"));
    CHECK_OK(fields_add_str(&f, "connection", "X-HOP2, @, "));
    fields_remove_hop_by_hop(&f);
    check_written(&f, "Host: v\r\nKeep: v\r\n");
    fields_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_get_remove), cmocka_unit_test(test_bytes_refused),
        cmocka_unit_test(test_limits),         cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_hop_by_hop),
    };
    return RUN(tests);
}
