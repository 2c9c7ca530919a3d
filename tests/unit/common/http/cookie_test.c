#include "common/http/cookie.h"
#include "tests/support/test.h"

static void test_read(void **state)
{
    (void)state;
    struct fields f = {0};
    CHECK_OK(fields_add_str(&f, "Cookie", "a=1; b=\"two\";c=; ; =x; d; e = f=g ;a=2"));
    CHECK_OK(fields_add_str(&f, "cookie", "late=3"));
    CHECK_VIEW_STR(cookie_get(&f, "a"), "1");
    CHECK_VIEW_STR(cookie_get(&f, "b"), "two");
    CHECK_VIEW_STR(cookie_get(&f, "c"), "");
    assert_non_null(cookie_get(&f, "c").ptr);
    CHECK_VIEW_STR(cookie_get(&f, "e"), "f=g");
    CHECK_VIEW_STR(cookie_get(&f, "late"), "3");
    assert_null(cookie_get(&f, "d").ptr);
    assert_null(cookie_get(&f, "A").ptr);
    assert_null(cookie_get(&f, "").ptr);
    struct view rest = fields_get(&f, "cookie");
    struct view name;
    struct view value;
    size_t count = 0;
    while (cookie_next(&rest, &name, &value))
        count++;
    assert_int_equal(count, 5);
    fields_fini(&f);
}

static void test_remove(void **state)
{
    (void)state;
    struct fields f = {0};
    CHECK_OK(fields_add_str(&f, "Cookie", "a=1;_p=secret; b=2; _p=again;_px=3"));
    CHECK_OK(fields_add_str(&f, "Host", "h"));
    CHECK_OK(fields_add_str(&f, "Cookie", "_p=third"));
    CHECK_OK(cookie_remove(&f, "_p"));
    assert_int_equal(f.count, 2);
    CHECK_VIEW_STR(fields_get(&f, "cookie"), "a=1; b=2; _px=3");
    CHECK_VIEW_STR(fields_get(&f, "host"), "h");
    fields_fini(&f);
}

static void check_written(const struct cookie *c, const char *expected)
{
    struct buf out;
    buf_init(&out, 10000);
    CHECK_OK(cookie_write(c, &out));
    CHECK_VIEW_STR(buf_view(&out), expected);
    buf_fini(&out);
}

static void test_write(void **state)
{
    (void)state;
    check_written(&(struct cookie){.name = VIEW("a"), .max_age = COOKIE_SESSION}, "a=");
    check_written(&(struct cookie){.name = VIEW("_pomerium"),
                                   .value = VIEW("abc.def-_"),
                                   .path = "/",
                                   .domain = "a.test",
                                   .max_age = 50400,
                                   .secure = true,
                                   .http_only = true,
                                   .same_site = COOKIE_SAME_SITE_LAX},
                  "_pomerium=abc.def-_; Path=/; Domain=a.test; Max-Age=50400; Secure; HttpOnly; "
                  "SameSite=Lax");
    check_written(&(struct cookie){.name = VIEW("a"), .same_site = COOKIE_SAME_SITE_NONE},
                  "a=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; SameSite=None");
    check_written(&(struct cookie){.name = VIEW("a"),
                                   .max_age = COOKIE_SESSION,
                                   .same_site = COOKIE_SAME_SITE_STRICT},
                  "a=; SameSite=Strict");
}

static void test_write_refused(void **state)
{
    (void)state;
    static const struct {
        struct cookie cookie;
        enum err expected;
    } rows[] = {
        {{.name = VIEW("")}, ERR_SYNTAX},
        {{.name = VIEW("a b")}, ERR_SYNTAX},
        {{.name = VIEW("a=")}, ERR_SYNTAX},
        {{.name = VIEW("a"), .value = VIEW("x;y")}, ERR_SYNTAX},
        {{.name = VIEW("a"), .value = VIEW("x y")}, ERR_SYNTAX},
        {{.name = VIEW("a"), .value = VIEW("x,y")}, ERR_SYNTAX},
        {{.name = VIEW("a"), .value = VIEW("x\r\n")}, ERR_SYNTAX},
        {{.name = VIEW("a"), .value = VIEW("\xc3\xa4")}, ERR_SYNTAX},
        {{.name = VIEW("a"), .path = "/;Domain=evil"}, ERR_SYNTAX},
        {{.name = VIEW("a"), .domain = "a\r\nX: y"}, ERR_SYNTAX},
    };
    struct buf out;
    buf_init(&out, 100000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        CHECK_ERR(cookie_write(&rows[i].cookie, &out), rows[i].expected);
    AUTO_FREE char *large = mem_zalloc(COOKIE_MAX + 1);
    memset(large, 'x', COOKIE_MAX);
    CHECK_ERR(cookie_write(&(struct cookie){.name = VIEW("a"), .value = view_str(large)}, &out),
              ERR_LIMIT);
    assert_int_equal(out.len, 0);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_write_refused),
    };
    return RUN(tests);
}
