#include "common/http/chunk.h"
#include "tests/support/test.h"

/* The body of what is in `input`, cut once at `at`; *out_rest what lies behind its end. */
static enum err decode(struct view input, size_t at, struct buf *body, size_t *out_rest)
{
    struct chunk_decoder d = {0};
    struct buf in;
    enum err e = ERR_MORE;
    buf_init(&in, 1 << 20);
    for (int part = 0; part < 2 && e == ERR_MORE; part++) {
        CHECK_OK(buf_append(&in, part ? view_skip(input, at) : view_take(input, at)));
        do {
            size_t used;
            struct view data;
            e = chunk_decode(&d, buf_view(&in), &used, &data);
            CHECK_OK(buf_append(body, data));
            buf_consume(&in, used);
        } while (e == OK && d.state != CHUNK_DONE);
    }
    *out_rest = in.len;
    buf_fini(&in);
    return e;
}

static void test_round_trip(void **state)
{
    (void)state;
    struct buf coded;
    struct buf body;
    size_t rest;
    buf_init(&coded, 1 << 20);
    buf_init(&body, 1 << 20);
    CHECK_OK(chunk_write(VIEW("hello"), &coded));
    CHECK_OK(chunk_write(VIEW(", world 0\r\n\r\n"), &coded));
    CHECK_OK(chunk_write_end(&coded));
    CHECK_VIEW_STR(buf_view(&coded), "5\r\nhello\r\nd\r\n, world 0\r\n\r\n\r\n0\r\n\r\n");
    size_t whole = coded.len;
    CHECK_OK(buf_append_str(&coded, "next"));
    for (size_t at = 0; at <= coded.len; at++) {
        buf_clear(&body);
        CHECK_OK(decode(buf_view(&coded), at, &body, &rest));
        CHECK_VIEW_STR(buf_view(&body), "hello, world 0\r\n\r\n");
        assert_true(rest == coded.len - whole || at >= whole);
    }
    for (size_t cut = 0; cut < whole; cut++)
        CHECK_ERR(decode(view_take(buf_view(&coded), cut), cut, &body, &rest), ERR_MORE);
    buf_fini(&coded);
    buf_fini(&body);
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *input;
        enum err expected;
    } rows[] = {
        {"0\r\n\r\n", OK},
        {"000\r\n\r\n", OK},
        {"aB;x=\"y;z\"\r\n01234567890\r\n", ERR_MORE},
        {"B ;x\r\n01234567890\r\n0\r\n\r\n", OK},
        {"0\r\nA: b\r\nC:\r\n\r\n", OK},
        {"000000000000001\r\nx\r\n0\r\n\r\n", OK},
        {"0000000000000001\r\nx\r\n0\r\n\r\n", ERR_SYNTAX},
        {"g\r\n", ERR_SYNTAX},
        {"1\r\nx\n", ERR_SYNTAX},
        {"1\r\nxy", ERR_SYNTAX},
        {"0\n\n", ERR_SYNTAX},
        {"0\r\n\n", ERR_SYNTAX},
        {";a\r\n", ERR_SYNTAX},
        {"1,2\r\n", ERR_SYNTAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view input = view_str(rows[i].input);
        for (size_t at = 0; at <= input.len; at++) {
            struct buf body;
            size_t rest;
            buf_init(&body, 1000);
            enum err e = decode(input, at, &body, &rest);
            if (e != rows[i].expected)
                fail_msg("row %zu at %zu: %s", i, at, err_name(e));
            buf_fini(&body);
        }
    }
}

static void test_write_limit(void **state)
{
    (void)state;
    struct buf small;
    buf_init(&small, 10);
    CHECK_ERR(chunk_write(VIEW("abc"), &small), ERR_LIMIT);
    assert_int_equal(small.len, 0);
    buf_fini(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_write_limit),
    };
    return RUN(tests);
}
