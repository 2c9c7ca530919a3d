#include "common/json/json.h"
#include "tests/support/test.h"

static struct json *parsed(const char *text)
{
    struct json *v = NULL;
    CHECK_OK(json_parse(view_str(text), &v));
    return v;
}

static void check_written(const struct json *v, enum json_order order, const char *expected)
{
    struct buf out;
    buf_init(&out, 10000);
    CHECK_OK(json_write(v, order, &out));
    CHECK_VIEW_STR(buf_view(&out), expected);
    buf_fini(&out);
}

static void test_getters(void **state)
{
    (void)state;
    struct json *v =
        parsed("{\"s\":\"text\",\"e\":\"\",\"i\":-5,\"r\":1700000000.9,\"t\":true,\"n\":null,"
               "\"o\":{\"p\":{\"q\":\"deep\"},\"x.y\":\"dotted\"},\"a.b\":1,\"l\":[1,\"two\"]}");
    int64_t n;
    CHECK_VIEW_STR(json_get_str(v, "s"), "text");
    assert_non_null(json_get_str(v, "e").ptr);
    assert_null(json_get_str(v, "i").ptr);
    assert_null(json_get_str(v, "none").ptr);
    CHECK_VIEW_STR(json_get_str(v, "o.p.q"), "deep");
    CHECK_VIEW_STR(json_get_str(v, "o.x.y"), "dotted");
    assert_null(json_get(v, "o.p.q.r"));
    assert_null(json_get(v, "s.t"));
    CHECK_OK(json_get_i64(v, "a.b", &n));
    assert_int_equal(n, 1);
    CHECK_OK(json_get_i64(v, "i", &n));
    assert_int_equal(n, -5);
    CHECK_OK(json_get_i64(v, "r", &n));
    assert_int_equal(n, 1700000000);
    CHECK_ERR(json_get_i64(v, "none", &n), ERR_NOT_FOUND);
    CHECK_ERR(json_get_i64(v, "s", &n), ERR_SYNTAX);
    assert_true(json_get_bool(v, "t", false));
    assert_true(json_get_bool(v, "s", true));
    assert_false(json_get_bool(v, "none", false));
    assert_int_equal(json_kind(json_get(v, "n")), JSON_KIND_NULL);
    assert_int_equal(json_len(json_get(v, "l")), 2);
    CHECK_VIEW_STR(json_str(json_at(json_get(v, "l"), 1)), "two");
    assert_null(json_at(json_get(v, "l"), 2));
    assert_null(json_member(v, view_of("s\0x", 3)));
    json_free(v);

    assert_int_equal(json_kind(NULL), JSON_KIND_NONE);
    assert_int_equal(json_len(NULL), 0);
    assert_null(json_get(NULL, "a"));
    json_free(NULL);
}

static void test_ranges(void **state)
{
    (void)state;
    int64_t n;
    struct json *v = parsed("[9223372036854775807,-9223372036854775808,9.3e18,-1e300,9.2e18]");
    CHECK_OK(json_i64(json_at(v, 0), &n));
    assert_true(n == INT64_MAX);
    CHECK_OK(json_i64(json_at(v, 1), &n));
    assert_true(n == INT64_MIN);
    CHECK_ERR(json_i64(json_at(v, 2), &n), ERR_RANGE);
    CHECK_ERR(json_i64(json_at(v, 3), &n), ERR_RANGE);
    CHECK_OK(json_i64(json_at(v, 4), &n));
    assert_true(n == 9200000000000000000);
    json_free(v);
}

static void test_iteration(void **state)
{
    (void)state;
    struct json *v = parsed("{\"z\":1,\"a\":2,\"m\":3}");
    char names[4] = "";
    size_t count = 0;
    for (struct json_iter i = json_iter(v); json_next(&i);) {
        assert_int_equal(i.name.len, 1);
        names[count++] = (char)i.name.ptr[0];
    }
    assert_string_equal(names, "zam");
    json_free(v);
    v = parsed("[1]");
    struct json_iter i = json_iter(v);
    assert_false(json_next(&i));
    json_free(v);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "1",
        "\"x\"",
        "null",
        "{",
        "[1,]",
        "{\"a\":1}x",
        "{\"a\":1,\"a\":2}",
        "{a:1}",
        "[01]",
        "[\"\xff\"]",
        "[\"\\u0000\"]",
        "[\"\\ud800\"]",
        "[9223372036854775808]",
        "[1e999]",
        "['a']",
        "[\"\n\"]",
        "// x\n[]",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct json *v = NULL;
        if (json_parse(view_str(texts[i]), &v) != ERR_SYNTAX)
            fail_msg("taken: %s", texts[i]);
        assert_null(v);
    }
    struct json *v = NULL;
    CHECK_ERR(json_parse(view_of("[1]\0", 4), &v), ERR_SYNTAX);
}

static void test_depth(void **state)
{
    (void)state;
    struct json *v = NULL;
    char text[201];
    for (size_t depth = 1; depth <= 100; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        text[2 * depth] = 0;
        enum err e = json_parse(view_str(text), &v);
        assert_int_equal(e, depth <= JSON_DEPTH_MAX ? OK : ERR_LIMIT);
        if (e == OK)
            json_free(v);
    }
    /* Brackets within strings are text. */
    json_free(parsed("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\",\"\\\"[[[[[[[[[[[[[[[[[[[[[[[[["
                     "[[[[[[[[[\"]"));
    json_free(parsed(
        "[[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],[],"
        "[],[],[],[],[],[],[],[]]"));
}

static void test_build(void **state)
{
    (void)state;
    struct json *v = json_new_object();
    struct json *list = json_new_array();
    CHECK_OK(json_add_str(list, VIEW("x")));
    CHECK_OK(json_add(list, json_new_object()));
    CHECK_OK(json_set_str(v, "z", VIEW("\xc3\xa4\"\n")));
    CHECK_OK(json_set_i64(v, "i", -7));
    CHECK_OK(json_set_bool(v, "b", true));
    CHECK_OK(json_set(v, "l", list));
    CHECK_OK(json_set_copy(v, "c", list));
    CHECK_ERR(json_set_str(v, "bad", VIEW("\xff")), ERR_SYNTAX);
    CHECK_ERR(json_set_str(v, "bad", view_of("a\0b", 3)), ERR_SYNTAX);
    check_written(
        v, JSON_ORDER_INSERTED,
        "{\"z\":\"\xc3\xa4\\\"\\n\",\"i\":-7,\"b\":true,\"l\":[\"x\",{}],\"c\":[\"x\",{}]}");
    check_written(
        v, JSON_ORDER_SORTED,
        "{\"b\":true,\"c\":[\"x\",{}],\"i\":-7,\"l\":[\"x\",{}],\"z\":\"\xc3\xa4\\\"\\n\"}");
    struct json *copy = json_clone(v);
    json_remove(v, "l");
    json_remove(v, "none");
    CHECK_OK(json_set_i64(v, "z", 1));
    check_written(v, JSON_ORDER_INSERTED, "{\"z\":1,\"i\":-7,\"b\":true,\"c\":[\"x\",{}]}");
    assert_int_equal(json_len(copy), 5);
    struct buf small;
    buf_init(&small, 10);
    CHECK_OK(buf_append_str(&small, "ab"));
    CHECK_ERR(json_write(v, JSON_ORDER_SORTED, &small), ERR_LIMIT);
    CHECK_VIEW_STR(buf_view(&small), "ab");
    buf_fini(&small);
    json_free(copy);
    json_free(v);
}

static void test_text(void **state)
{
    (void)state;
    struct json *v = parsed("[\"s\",12,1.5,true,false,null,[],{}]");
    static const char *const expected[] = {"s", "12", "1.5", "true", "false"};
    for (size_t i = 0; i < json_len(v); i++) {
        struct buf out;
        buf_init(&out, 100);
        if (i < ARRAY_LEN(expected)) {
            CHECK_OK(json_text(json_at(v, i), &out));
            CHECK_VIEW_STR(buf_view(&out), expected[i]);
        } else {
            CHECK_ERR(json_text(json_at(v, i), &out), ERR_SYNTAX);
        }
        buf_fini(&out);
    }
    json_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_getters),   cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_iteration), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),     cmocka_unit_test(test_build),
        cmocka_unit_test(test_text),
    };
    return RUN(tests);
}
