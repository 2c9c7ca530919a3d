#include "common/daemon/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "common/daemon/json_text.h"
#include "tests/support/test.h"

static int pipe_fd[2];

static void open_log(void)
{
    assert_int_equal(pipe2(pipe_fd, O_CLOEXEC), 0);
    log_set_level(CONFIG_LOG_INFO);
    log_init("test", pipe_fd[1]);
}

/* What was logged up to log_fini; the pipe holds it all in these tests. */
static char *close_log(void)
{
    log_fini();
    (void)close(pipe_fd[1]);
    struct buf b;
    buf_init(&b, 1 << 20);
    uint8_t *p;
    ssize_t n;
    do {
        CHECK_OK(buf_reserve(&b, 4096, &p));
        n = read(pipe_fd[0], p, 4096);
        buf_commit(&b, n > 0 ? (size_t)n : 0);
    } while (n > 0);
    (void)close(pipe_fd[0]);
    char *text = buf_to_str(&b);
    buf_fini(&b);
    return text;
}

/* The line without its time, which must be there. */
static void expect_line(const char *line, const char *level, const char *rest)
{
    char *head = mem_printf("{\"level\":\"%s\",\"time\":\"", level);
    if (strncmp(line, head, strlen(head)) != 0)
        fail_msg("%s: wanted %s", line, head);
    line += strlen(head);
    /* 2026-01-02T03:04:05.678Z */
    assert_int_equal(line[10], 'T');
    assert_int_equal(line[19], '.');
    assert_int_equal(line[23], 'Z');
    assert_string_equal(line + 24, rest);
    mem_free(head);
}

static void test_fields(void **state)
{
    (void)state;
    static const char *const reasons[] = {"a", "b\"c"};
    open_log();
    log_info("authorize check", LOG_STR("user", "u"), LOG_STR("email", NULL), LOG_STR("login", ""),
             LOG_VIEW("route", VIEW("web\0x")), LOG_U64("bytes-in", UINT64_MAX),
             LOG_I64("delta", -5), LOG_BOOL("allow", true), LOG_BOOL("deny", false),
             LOG_STRS("allow-why-true", reasons, 2), LOG_STRS("none", NULL, 0),
             LOG_MS("duration", 12), LOG_ERR(ERR_DENIED));
    log_warn("plain");
    char *text = close_log();
    char *second = strchr(text, '\n');
    *second++ = 0;
    *strchr(second, '\n') = 0;
    expect_line(text, "info",
                "\",\"service\":\"test\",\"message\":\"authorize check\",\"user\":\"u\","
                "\"login\":\"\",\"route\":\"web\\u0000x\",\"bytes-in\":18446744073709551615,"
                "\"delta\":-5,\"allow\":true,\"deny\":false,\"allow-why-true\":[\"a\",\"b\\\"c\"],"
                "\"none\":[],\"duration\":12,\"error\":\"denied\"}");
    expect_line(second, "warn", "\",\"service\":\"test\",\"message\":\"plain\"}");
    mem_free(text);
}

static void test_levels(void **state)
{
    (void)state;
    open_log();
    log_debug("no");
    log_set_level(CONFIG_LOG_DEBUG);
    assert_true(log_enabled(CONFIG_LOG_DEBUG));
    log_debug("yes");
    log_set_level(CONFIG_LOG_NONE);
    assert_false(log_enabled(CONFIG_LOG_ERROR));
    log_error("no");
    char *text = close_log();
    assert_non_null(strstr(text, "\"message\":\"yes\""));
    assert_null(strstr(text, "\"message\":\"no\""));
    mem_free(text);
}

static void test_nothing_before_init(void **state)
{
    (void)state;
    uint64_t before = log_dropped();
    assert_false(log_enabled(CONFIG_LOG_ERROR));
    log_error("nowhere");
    assert_int_equal(log_dropped(), before);
}

static void expect_json(struct view text, const char *json)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    CHECK_OK(json_text_write(text, &b));
    CHECK_VIEW_STR(buf_view(&b), json);
}

static void test_any_bytes(void **state)
{
    (void)state;
    expect_json(VIEW(""), "\"\"");
    expect_json(VIEW("a\\b\"c/\n\r\t\x01\x7f"), "\"a\\\\b\\\"c/\\n\\r\\t\\u0001\\u007f\"");
    expect_json(VIEW("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
                "\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\"");
    /* C1 control, overlong, surrogate, too high, cut off. */
    expect_json(VIEW("\xc2\x9b"), "\"\\u009b\"");
    expect_json(VIEW("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_json(VIEW("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_json(VIEW("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    expect_json(VIEW("x\xe2\x82"), "\"x\xef\xbf\xbd\xef\xbf\xbd\"");
    AUTO(buf_fini) struct buf small;
    buf_init(&small, 3);
    CHECK_ERR(json_text_write(VIEW("abc"), &small), ERR_LIMIT);
}

/* A value is cut; a line that gets too long anyway leaves fields out and stays JSON. */
static void test_limits(void **state)
{
    (void)state;
    size_t len = 100000;
    char *big = mem_zalloc(len + 1);
    memset(big, '\x01', len);
    open_log();
    log_info("big", LOG_STR("a", big), LOG_STR("b", big), LOG_STR("c", "end"));
    char *text = close_log();
    size_t n = strlen(text);
    assert_true(n <= LOG_LINE_MAX);
    assert_non_null(strstr(text, ",\"c\":\"end\",\"truncated\":true}\n"));
    assert_null(strstr(text, "\"b\":"));
    char *a = strstr(text, "\"a\":\"");
    assert_non_null(a);
    assert_int_equal(strchr(a + 5, '"') - (a + 5), LOG_VALUE_MAX * 6);
    mem_free(text);
    mem_free(big);
}

/* Nobody reads: logging goes on without waiting, and the count is told once there is room. */
static void test_stuck_pipe(void **state)
{
    (void)state;
    size_t len = 4000;
    char *value = mem_zalloc(len + 1);
    memset(value, 'x', len);
    open_log();
    uint64_t before = log_dropped();
    for (int i = 0; i < 3000; i++)
        log_info("flood", LOG_STR("value", value));
    uint64_t lost = log_dropped() - before;
    assert_true(lost > 1000);
    assert_false(log_flush(1));
    /* Now somebody reads until the report has come. */
    AUTO(buf_fini) struct buf all;
    buf_init(&all, 64 << 20);
    bool told = false;
    char *wanted =
        mem_printf("\"message\":\"log lines dropped\",\"count\":%llu}", (unsigned long long)lost);
    bool asked = false;
    while (!told) {
        uint8_t *p;
        CHECK_OK(buf_reserve(&all, 65536, &p));
        ssize_t n = read(pipe_fd[0], p, 65536);
        assert_true(n > 0);
        buf_commit(&all, (size_t)n);
        if (!asked && all.len > (LOG_RING_MAX / 2)) {
            log_info("after the flood");
            asked = true;
        }
        told = view_search(buf_view(&all), view_str(wanted)) >= 0;
    }
    mem_free(wanted);
    mem_free(value);
    char *rest = close_log();
    mem_free(rest);
}

/* The end comes although nobody reads. */
static void test_fini_with_a_stuck_pipe(void **state)
{
    (void)state;
    char *value = mem_zalloc(4001);
    memset(value, 'x', 4000);
    open_log();
    for (int i = 0; i < 100; i++)
        log_info("flood", LOG_STR("value", value));
    log_fini();
    assert_false(log_enabled(CONFIG_LOG_ERROR));
    (void)close(pipe_fd[0]);
    (void)close(pipe_fd[1]);
    mem_free(value);
}

static void test_closed_reader(void **state)
{
    (void)state;
    open_log();
    (void)close(pipe_fd[0]);
    uint64_t before = log_dropped();
    log_info("to nobody");
    assert_true(log_flush(10000));
    assert_int_equal(log_dropped(), before + 1);
    log_fini();
    (void)close(pipe_fd[1]);
}

static void *many(void *ctx)
{
    for (int i = 0; i < 100; i++)
        log_info("line", LOG_STR("who", ctx), LOG_I64("i", i));
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[4];
    open_log();
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, (void *)"w"), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    char *text = close_log();
    size_t lines = 0;
    for (char *p = text; *p; lines++) {
        assert_int_equal(*p, '{');
        p = strchr(p, '\n');
        assert_int_equal(p[-1], '}');
        p++;
    }
    assert_int_equal(lines, 400);
    mem_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_before_init),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_stuck_pipe),
        cmocka_unit_test(test_fini_with_a_stuck_pipe),
        cmocka_unit_test(test_closed_reader),
        cmocka_unit_test(test_threads),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return RUN(tests);
}
