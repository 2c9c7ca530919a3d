/* Requests that two recipients could read in two ways, or that are too large: all refused. */
#include "tests/unit/common/http/transcript.h"

static void drain(struct http1 *h, struct transcript *t)
{
    struct http1_event e;
    while (http1_next(h, &e))
        transcript_event(t, &e);
}

/* The status of the refusal, 0 when there is none; never after a body or an END. */
static unsigned refusal(struct view input, size_t piece)
{
    struct http1 h;
    struct http1_event e;
    unsigned status = 0;
    http1_init(&h, HTTP1_SERVER);
    while (input.len && !status) {
        size_t n = http1_feed(&h, view_take(input, piece));
        input = view_skip(input, n);
        while (http1_next(&h, &e)) {
            if (e.type == HTTP1_FAILED)
                status = e.status;
        }
        if (!n)
            break;
    }
    if (status) {
        /* It can be said, and then the connection ends. */
        CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = (uint16_t)status}));
        CHECK_OK(http1_send_end(&h));
        assert_true(view_search(http1_output(&h), VIEW("\r\nConnection: close\r\n")) > 0);
        http1_sent(&h, http1_output(&h).len);
        assert_true(http1_should_close(&h));
        assert_false(http1_next(&h, &e));
    }
    http1_fini(&h);
    return status;
}

#define LINE "GET / HTTP/1.1\r\nHost: a\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a\r\n"

static const struct {
    struct view input;
    unsigned status;
} rows[] = {
    /* two framings */
    {VIEW(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 5, 6\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 5, 5\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: +5\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: -5\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 0x5\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 5 5\r\n\r\n"), 400},
    {VIEW(POST "Content-Length:\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 18446744073709551621\r\n\r\n"), 400},
    {VIEW(POST "Content-Length: 9223372036854775808\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501},
    {VIEW(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked, gzip\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: identity\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: xchunked\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding:\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: \x0b"
               "chunked\r\n\r\n"),
     400},
    {VIEW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    /* lines and blanks */
    {VIEW("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400},
    {VIEW(LINE "X: y\n\r\n"), 400},
    {VIEW(LINE "X: y\r\n\n"), 400},
    {VIEW(LINE "X: y\rZ: 1\r\n\r\n"), 400},
    {VIEW(LINE "X: y\r\n folded\r\n\r\n"), 400},
    {VIEW(LINE "X: y\r\n\tfolded\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), 400},
    {VIEW(LINE "X : y\r\n\r\n"), 400},
    {VIEW(POST "Content-Length : 5\r\n\r\nhello"), 400},
    {VIEW(POST "Transfer-Encoding\t: chunked\r\n\r\n"), 400},
    {VIEW(LINE "X\r\n\r\n"), 400},
    {VIEW(LINE ": y\r\n\r\n"), 400},
    {VIEW(LINE "X(: y\r\n\r\n"), 400},
    {VIEW(LINE "X\0Y: y\r\n\r\n"), 400},
    {VIEW(LINE "X: y\0z\r\n\r\n"), 400},
    {VIEW(LINE "X: y\x01z\r\n\r\n"), 400},
    {VIEW(LINE "X: y\x7fz\r\n\r\n"), 400},
    {VIEW(LINE "\xc3\xa4: y\r\n\r\n"), 400},
    {VIEW("\r\n\r\nGET / HTTP/1.1\r\n"), 400},
    {VIEW("\nGET / HTTP/1.1\r\n"), 400},
    /* request line */
    {VIEW("GET  / HTTP/1.1\r\n"), 400},
    {VIEW("GET /  HTTP/1.1\r\n"), 400},
    {VIEW("GET /a b HTTP/1.1\r\n"), 400},
    {VIEW(" GET / HTTP/1.1\r\n"), 400},
    {VIEW("GET / HTTP/1.1 \r\n"), 400},
    {VIEW("GET\t/ HTTP/1.1\r\n"), 400},
    {VIEW("GET /\r\n"), 400},
    {VIEW("GET / http/1.1\r\n"), 400},
    {VIEW("GET / HTTP/1.11\r\n"), 400},
    {VIEW("GET / HTTP/1,1\r\n"), 400},
    {VIEW("GET / HTTP/2.0\r\n"), 505},
    {VIEW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {VIEW("G@T / HTTP/1.1\r\n"), 400},
    {VIEW("GET /\0 HTTP/1.1\r\n"), 400},
    {VIEW("GET /\x80 HTTP/1.1\r\n"), 400},
    {VIEW("GET /#f HTTP/1.1\r\n"), 400},
    {VIEW("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n"), 501},
    {VIEW("\x16\x03\x01\x02\n"), 400},
    /* target and host */
    {VIEW("GET / HTTP/1.1\r\n\r\n"), 400},
    {VIEW(LINE "Host: b\r\n\r\n"), 400},
    {VIEW(LINE "host: a\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n"), 400},
    {VIEW("GET / HTTP/1.1\r\nHost: [::g]\r\n\r\n"), 400},
    {VIEW("GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("CONNECT a:0 HTTP/1.1\r\nHost: a\r\n\r\n"), 400},
    {VIEW("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"), 400},
    {VIEW("CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {VIEW("CONNECT http://a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT http://a:1/ HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT u@a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT u:p@a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1/ HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1/b HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1?b HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1,b:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a: HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT :1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:65536 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:+1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a%2e:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT ::1:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT [::1] HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT [fe80::1%eth0]:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT * HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1 HTTP/1.1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nHost: a:1\r\n\r\n"), 400},
    {VIEW("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 0\r\n\r\n"), 400},
    {VIEW("connect a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), 400},
    /* a name that another program could read as Content-Length */
    {VIEW(POST "Content_Length: 5\r\n\r\n"), 400},
    {VIEW(LINE "X_Pomerium_Authorization: y\r\n\r\n"), 400},
    {VIEW(LINE "_: y\r\n\r\n"), 400},
    {VIEW(POST "Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"), 417},
    /* chunks */
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n 5\r\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n-1\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5;\x01\r\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\n0\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloworld\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\rX"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX : y\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n z\r\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\n\r\n"), 400},
    {VIEW(POST "Transfer-Encoding: chunked\r\n\r\n0\r\nno colon\r\n\r\n"), 400},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        unsigned status = refusal(rows[i].input, SIZE_MAX);
        if (status != rows[i].status)
            fail_msg("row %zu: %u instead of %u: %.*s", i, status, rows[i].status,
                     VIEW_FMT(rows[i].input));
        assert_int_equal(refusal(rows[i].input, 1), rows[i].status);
    }
}

/* `head`, then `count` times `part`, then `tail`. */
static unsigned repeated(const char *head, const char *part, size_t count, const char *tail)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    CHECK_OK(buf_append_str(&text, head));
    for (size_t i = 0; i < count; i++)
        CHECK_OK(buf_append_str(&text, part));
    CHECK_OK(buf_append_str(&text, tail));
    unsigned whole = refusal(buf_view(&text), SIZE_MAX);
    assert_int_equal(refusal(buf_view(&text), 1000), whole);
    buf_fini(&text);
    return whole;
}

static void test_limits(void **state)
{
    (void)state;
    const char *version = " HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_int_equal(repeated("GET /", "x", HTTP1_TARGET_MAX - 1, version), 0);
    assert_int_equal(repeated("GET /", "x", HTTP1_TARGET_MAX, version), 414);
    assert_int_equal(repeated("GET /", "x", 100000, ""), 414);
    assert_int_equal(repeated(LINE, "X: y\r\n", FIELDS_COUNT_MAX - 1, "\r\n"), 0);
    assert_int_equal(repeated(LINE, "X: y\r\n", FIELDS_COUNT_MAX, "\r\n"), 431);
    assert_int_equal(repeated(LINE "X: ", "y", 60000, "\r\n\r\n"), 0);
    assert_int_equal(repeated(LINE "X: ", "y", 65536, "\r\n\r\n"), 431);
    assert_int_equal(repeated(LINE "X: ", "y", 200000, ""), 431);
    const char *chunked = POST "Transfer-Encoding: chunked\r\n\r\n";
    AUTO_FREE char *extension = mem_printf("%s1;", chunked);
    assert_int_equal(repeated(extension, "e", CHUNK_LINE_MAX - 2, "\r\nx\r\n0\r\n\r\n"), 0);
    assert_int_equal(repeated(extension, "e", CHUNK_LINE_MAX, "\r\nx\r\n0\r\n\r\n"), 400);
    AUTO_FREE char *trailer = mem_printf("%s0\r\n", chunked);
    assert_int_equal(repeated(trailer, "X: y\r\n", 1000, "\r\n"), 0);
    assert_int_equal(repeated(trailer, "X: y\r\n", 2000, "\r\n"), 400);
}

/* What is refused in the second request of a connection says nothing about the first. */
static void test_second_request(void **state)
{
    (void)state;
    struct http1 h;
    struct transcript t;
    http1_init(&h, HTTP1_SERVER);
    transcript_init(&t);
    transcript_feed(&h, &t, VIEW(LINE "\r\nGET / HTTP/1.1\r\n\r\n"), drain);
    CHECK_VIEW_STR(buf_view(&t.text), "HEAD GET / host=a path=/ none|Host=a\nEND");
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200}));
    CHECK_OK(http1_send_end(&h));
    drain(&h, &t);
    CHECK_VIEW_STR(buf_view(&t.text),
                   "HEAD GET / host=a path=/ none|Host=a\nEND\nFAILED 400 no Host");
    buf_fini(&t.text);
    http1_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_second_request),
    };
    return RUN(tests);
}
