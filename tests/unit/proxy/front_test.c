#include "tests/unit/proxy/front_fixture.h"

static void test_forward(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, HTTPD);
    say(&f, "GET /a?b HTTP/1.1\r\nHost: auth.test:8443\r\nX-Forwarded-For: 6.6.6.6\r\n"
            "Cookie: c=d\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "page"));
    assert_non_null(strstr(f.seen, "GET /a?b uri=postern://service/proxy body=0:"));
    assert_non_null(strstr(f.seen, "Host: auth.test:8443\r\n"));
    assert_non_null(strstr(f.seen, "X-Forwarded-For: 127.0.0.1\r\n"));
    assert_non_null(strstr(f.seen, "X-Forwarded-Proto: https\r\n"));
    assert_non_null(strstr(f.seen, "X-Request-Id: "));
    assert_non_null(strstr(f.seen, "Cookie: c=d\r\n"));
    assert_null(strstr(f.seen, "6.6.6.6"));
    assert_true(has(&f.browser, "HTTP/1.1 200 OK\r\n"));
    assert_true(has(&f.browser, "Set-Cookie: session=1\r\n"));
    assert_true(has(&f.browser, "Content-Length: 4\r\n"));
    assert_false(has(&f.browser, "Keep-Alive"));
    assert_false(has(&f.browser, "Connection: close"));
    /* The browser's connection goes on: local answers and a form, pipelined. */
    buf_clear(&f.browser.in);
    say(&f, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"
            "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"
            "POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab"
            "POST /.pomerium/f HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "Expect: 100-continue\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "100 Continue"));
    assert_true(has(&f.browser, "\r\n\r\nOK\n"));
    assert_true(has(&f.browser, "HTTP/1.1 404 Not Found\r\n"));
    assert_true(has(&f.browser, "Postern serves no page"));
    assert_true(has(&f.browser, "HTTP/1.1 405 "));
    assert_int_equal(f.requests, 1);
    buf_clear(&f.browser.in);
    say(&f, "4\r\na=b&\r\n3\r\nc=d\r\n0\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "page"));
    assert_non_null(strstr(f.seen, "POST /.pomerium/f uri=postern://service/proxy body=7:a=b&c=d"));
    buf_clear(&f.browser.in);
    say(&f, "HEAD / HTTP/1.1\r\nHost: auth.test\r\nConnection: close\r\n\r\n");
    WAIT(&f.loop, f.browser.ended);
    assert_true(has(&f.browser, "Content-Length: 4\r\n"));
    assert_false(has(&f.browser, "page"));
    end(&f);
}

static void test_unavailable(void **state)
{
    (void)state;
    static const struct {
        enum authenticate kind;
        const char *status;
    } rows[] = {{NOBODY, "HTTP/1.1 503 "}, {IMPOSTOR, "HTTP/1.1 502 "}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        begin(&f, rows[i].kind);
        say(&f, "POST /.pomerium/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc");
        WAIT(&f.loop, has(&f.browser, "Sign-in is not available right now."));
        assert_true(has(&f.browser, rows[i].status));
        assert_int_equal(f.requests, 0);
        /* It goes on. */
        say(&f, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
        WAIT(&f.loop, has(&f.browser, "\r\n\r\nOK\n"));
        end(&f);
    }
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *status;
    } rows[] = {
        {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: auth.test\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 "},
        {"CONNECT web1:22 HTTP/1.1\r\nHost: web1:22\r\n\r\n", "HTTP/1.1 404 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        begin(&f, HTTPD);
        say(&f, rows[i].request);
        WAIT(&f.loop, f.browser.ended);
        assert_true(has(&f.browser, rows[i].status));
        assert_int_equal(f.requests, 0);
        end(&f);
    }
}

/* A body in chunks that never ends is cut off; authenticate has refused it before. */
static void test_endless_body(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, RAW);
    say(&f, "POST / HTTP/1.1\r\nHost: auth.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    static char chunk[4096];
    memset(chunk, 'x', sizeof chunk);
    for (size_t sent = 0; sent <= FRONT_BODY_MAX; sent += sizeof chunk) {
        say(&f, "1000\r\n");
        CHECK_OK(stream_write(f.browser.s, view_of(chunk, sizeof chunk)));
        say(&f, "\r\n");
    }
    WAIT(&f.loop, f.browser.ended || f.browser.failed);
    assert_true(has(&f.browser, "HTTP/1.1 413 "));
    WAIT(&f.loop, f.raw.ended || f.raw.failed);
    end(&f);
}

static void test_early_response(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, RAW);
    say(&f, "POST / HTTP/1.1\r\nHost: auth.test\r\nContent-Length: 100000\r\n\r\nabc");
    WAIT(&f.loop, has(&f.raw, "abc"));
    CHECK_OK(stream_write(f.raw.s, VIEW("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")));
    WAIT(&f.loop, has(&f.browser, "\r\n\r\nno"));
    assert_true(has(&f.browser, "HTTP/1.1 403 "));
    WAIT(&f.loop, f.raw.ended || f.raw.failed);
    end(&f);
}

/* What authenticate sends waits there while the browser does not read. */
static void test_back_pressure(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, RAW);
    enum { BODY = 48 << 20 };
    f.browser.pause_on_read = true;
    say(&f, "GET / HTTP/1.1\r\nHost: auth.test\r\n\r\n");
    WAIT(&f.loop, has(&f.raw, "\r\n\r\n"));
    struct buf all;
    buf_init(&all, BODY + 1000);
    CHECK_OK(buf_printf(&all, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", BODY));
    for (uint32_t i = 0; i < BODY / 4; i++)
        CHECK_OK(buf_append(&all, view_of(&i, 4)));
    CHECK_OK(stream_write(f.raw.s, buf_view(&all)));
    WAIT(&f.loop, f.browser.in.len > 0);
    size_t before;
    do {
        before = stream_pending(f.raw.s);
        for (int i = 0; i < 200; i++)
            (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    } while (stream_pending(f.raw.s) != before);
    /* Sockets hold some, we hold little; most of it waits. */
    assert_true(before > BODY / 2);
    f.browser.pause_on_read = false;
    stream_resume(f.browser.s);
    struct view wanted = view_skip(buf_view(&all), all.len - BODY);
    WAIT(&f.loop, f.browser.in.len >= BODY + 20);
    WAIT(&f.loop, view_ends_with(buf_view(&f.browser.in), view_skip(wanted, BODY - 100)));
    CHECK_VIEW(view_skip(buf_view(&f.browser.in), f.browser.in.len - BODY), wanted);
    buf_fini(&all);
    end(&f);
}

static void test_large_page(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, HTTPD);
    say(&f, "GET /big HTTP/1.1\r\nHost: auth.test\r\n\r\n");
    WAIT(&f.loop, f.browser.in.len > HTTPD_RESPONSE_MAX &&
                      view_ends_with(buf_view(&f.browser.in), VIEW("xxxx")));
    say(&f, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, view_ends_with(buf_view(&f.browser.in), VIEW("OK\n")));
    end(&f);
}

/* A page that ends in the middle is cut for the browser too, not completed. */
static void test_cut_page(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, RAW);
    say(&f, "GET / HTTP/1.1\r\nHost: auth.test\r\n\r\n");
    WAIT(&f.loop, has(&f.raw, "\r\n\r\n"));
    CHECK_OK(stream_write(
        f.raw.s, VIEW("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")));
    WAIT(&f.loop, has(&f.browser, "abc"));
    side_close(&f.raw);
    WAIT(&f.loop, f.browser.ended || f.browser.failed);
    assert_false(has(&f.browser, "0\r\n\r\n"));
    end(&f);
    /* Before the head, it is a page in words. */
    begin(&f, RAW);
    say(&f, "GET / HTTP/1.1\r\nHost: auth.test\r\n\r\n");
    WAIT(&f.loop, has(&f.raw, "\r\n\r\n"));
    side_close(&f.raw);
    WAIT(&f.loop, has(&f.browser, "HTTP/1.1 502 "));
    end(&f);
}

/* The browser leaves: authenticate's connection ends with it. */
static void test_browser_leaves(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, RAW);
    say(&f, "GET / HTTP/1.1\r\nHost: auth.test\r\n\r\n");
    WAIT(&f.loop, has(&f.raw, "\r\n\r\n"));
    stream_abort(f.browser.s, side_closed, &f.browser);
    f.browser.s = NULL;
    WAIT(&f.loop, f.raw.ended || f.raw.failed);
    end(&f);
}

/* Newcomers wait in the kernel while memory is short; who is there is served. */
static void test_rest(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, HTTPD);
    say(&f, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "OK"));
    front_rest(f.front, true);
    say(&f, "GET /absent HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "404"));
    side_end(&f.loop, &f.browser);
    connect_browser(&f);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_false(f.browser.opened || f.browser.ended);
    front_rest(f.front, false);
    WAIT(&f.loop, f.browser.opened);
    say(&f, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "OK"));
    front_rest(NULL, true);
    end(&f);
}

static void test_drain(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, HTTPD);
    say(&f, "GET /late HTTP/1.1\r\nHost: auth.test\r\n\r\n");
    WAIT(&f.loop, f.late);
    front_drain(f.front, set_true, &f.drained);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_false(f.drained || f.browser.ended);
    httpd_reply_send(f.late, 200, NULL, VIEW("bye"));
    WAIT(&f.loop, f.browser.ended);
    assert_true(has(&f.browser, "bye"));
    assert_true(has(&f.browser, "Connection: close\r\n"));
    side_close(&f.browser);
    WAIT(&f.loop, f.drained);
    end(&f);
    /* An idle connection does not hold it up. */
    begin(&f, HTTPD);
    say(&f, "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "OK"));
    front_drain(f.front, set_true, &f.drained);
    WAIT(&f.loop, f.browser.ended);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),        cmocka_unit_test(test_unavailable),
        cmocka_unit_test(test_bad_requests),   cmocka_unit_test(test_endless_body),
        cmocka_unit_test(test_early_response), cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_large_page),     cmocka_unit_test(test_cut_page),
        cmocka_unit_test(test_browser_leaves), cmocka_unit_test(test_drain),
        cmocka_unit_test(test_rest),
    };
    return FIXTURE_RUN(tests);
}
