#include "tests/unit/common/http/transcript.h"

static void drain(struct http1 *h, struct transcript *t)
{
    struct http1_event e;
    while (http1_next(h, &e))
        transcript_event(t, &e);
}

static void send_request(struct http1 *h, const char *method, const char *upgrade)
{
    struct fields fields = {0};
    CHECK_OK(fields_add_str(&fields, "Host", "a"));
    if (upgrade)
        CHECK_OK(fields_add_str(&fields, "Upgrade", upgrade));
    CHECK_OK(http1_send_head(
        h, &(struct http1_head){.method = view_str(method),
                                .target = view_str(strcmp(method, "CONNECT") == 0 ? "a:1" : "/"),
                                .fields = &fields}));
    CHECK_OK(http1_send_end(h));
    http1_sent(h, http1_output(h).len);
    fields_fini(&fields);
}

static char *run(const char *method, struct view input, size_t first, size_t piece)
{
    struct http1 h;
    struct transcript t;
    http1_init(&h, HTTP1_CLIENT);
    transcript_init(&t);
    send_request(&h, method[0] == '+' ? "GET" : method, method[0] == '+' ? "x" : NULL);
    transcript_feed(&h, &t, view_take(input, first), drain);
    for (input = view_skip(input, first); input.len; input = view_skip(input, piece))
        transcript_feed(&h, &t, view_take(input, piece), drain);
    http1_feed_end(&h);
    drain(&h, &t);
    char *text = buf_to_str(&t.text);
    buf_fini(&t.text);
    http1_fini(&h);
    return text;
}

static const struct {
    const char *method; /* "+": GET with Upgrade */
    const char *input;
    const char *expected;
} rows[] = {
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
     "HEAD 200 length=2|Content-Length=2\nBODY ok\nEND\nCLOSED"},
    {"GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
     "HEAD 200 length=0|Content-Length=0\nEND\nCLOSED"},
    {"GET", "HTTP/1.1 200 \r\n\r\nuntil close", "HEAD 200 close close\nBODY until close\nEND"},
    {"GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
     "HEAD 200 length=2 close|Content-Length=2\nBODY ok\nEND"},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
     "HEAD 200 chunked|Transfer-Encoding=chunked\nBODY ok\nEND\nCLOSED"},
    {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
     "HEAD 200 length=2|Content-Length=2\nEND\nCLOSED"},
    {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
     "HEAD 200 none|Transfer-Encoding=chunked\nEND\nCLOSED"},
    {"GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n",
     "HEAD 204 none|Content-Length=2\nEND\nCLOSED"},
    {"GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
     "HEAD 304 length=2|Content-Length=2\nEND\nCLOSED"},
    {"GET",
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
     "INTERIM 100 none\nINTERIM 103 none|Link=x\nHEAD 200 length=0|Content-Length=0\nEND\nCLOSED"},
    {"CONNECT", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nraw bytes",
     "HEAD 200 none|Content-Length=5\nEND\nTUNNEL raw bytes\nCLOSED"},
    {"CONNECT", "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno",
     "HEAD 407 length=2|Content-Length=2\nBODY no\nEND\nCLOSED"},
    {"+", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw",
     "HEAD 101 none|Upgrade=x\nEND\nTUNNEL raw\nCLOSED"},
    {"GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nraw",
     "FAILED 0 101 without Upgrade"},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
     "HEAD 200 length=0|Content-Length=0\nEND\nFAILED 0 bytes without a request"},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
     "HEAD 200 length=3|Content-Length=3\nBODY ok\nFAILED 0 the peer closed within a message"},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
     "HEAD 200 chunked|Transfer-Encoding=chunked\nBODY ok\n"
     "FAILED 0 the peer closed within a message"},
    {"GET", "", "FAILED 0 the peer closed within a message"},
    {"GET", "HTTP/1.1 2x0 OK\r\n\r\n", "FAILED 0 malformed status line"},
    {"GET", "HTTP/1.1 600 OK\r\n\r\n", "FAILED 0 malformed status line"},
    {"GET", "HTTP/1.1 099 OK\r\n\r\n", "FAILED 0 malformed status line"},
    {"GET", "HTTP/1.1 2000\r\n\r\n", "FAILED 0 malformed status line"},
    {"GET", "HTTP/1.1  200 OK\r\n\r\n", "FAILED 0 malformed status line"},
    {"GET", "HTTP/1.1 200 O\x01K\r\n\r\n", "FAILED 0 malformed reason"},
    {"GET", "ICY 200 OK\r\n\r\n", "FAILED 0 malformed version"},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
     "FAILED 0 Transfer-Encoding and Content-Length"},
    {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
     "FAILED 0 more than one Content-Length"},
    {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
     "FAILED 0 unknown transfer coding"},
    {"GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "FAILED 0 folded field line"},
};

static void test_transcripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view input = view_str(rows[i].input);
        for (size_t at = 0; at <= input.len; at++) {
            AUTO_FREE char *got = run(rows[i].method, input, at, SIZE_MAX);
            assert_string_equal(got, rows[i].expected);
        }
        AUTO_FREE char *got = run(rows[i].method, input, 1, 1);
        assert_string_equal(got, rows[i].expected);
    }
}

static void check_output(struct http1 *h, const char *expected)
{
    CHECK_VIEW_STR(http1_output(h), expected);
    http1_sent(h, http1_output(h).len);
}

static void test_requests(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    struct fields fields = {0};
    struct http1_head head = {.method = VIEW("POST"), .target = VIEW("/x"), .fields = &fields};
    http1_init(&h, HTTP1_CLIENT);
    CHECK_ERR(http1_send_head(&h, &head), ERR_SYNTAX); /* no Host */
    CHECK_OK(fields_add_str(&fields, "Host", "a"));
    head.target = VIEW("/ x");
    CHECK_ERR(http1_send_head(&h, &head), ERR_SYNTAX);
    head.target = VIEW("/x");
    head.method = VIEW("GE T");
    CHECK_ERR(http1_send_head(&h, &head), ERR_SYNTAX);
    head.method = VIEW("POST");
    head.body = HTTP1_BODY_CLOSE;
    CHECK_ERR(http1_send_head(&h, &head), ERR_STATE);
    head.body = HTTP1_BODY_NONE;
    assert_int_equal(http1_output(&h).len, 0);
    assert_true(http1_is_idle(&h));

    CHECK_OK(http1_send_head(&h, &head));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    CHECK_ERR(http1_send_head(&h, &head), ERR_STATE);
    (void)http1_feed(&h, VIEW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    while (http1_next(&h, &e))
        assert_int_not_equal(e.type, HTTP1_FAILED);
    assert_true(http1_is_idle(&h));

    head.body = HTTP1_BODY_CHUNKED;
    head.close = true;
    CHECK_OK(http1_send_head(&h, &head));
    CHECK_OK(http1_send_body(&h, VIEW("abc")));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    (void)http1_feed(&h, VIEW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    while (http1_next(&h, &e))
        assert_int_not_equal(e.type, HTTP1_FAILED);
    assert_false(http1_is_idle(&h));
    assert_true(http1_should_close(&h));
    fields_fini(&fields);
    http1_fini(&h);
}

/* The response is there before the request is written: the connection waits for the rest. */
static void test_early_response(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    struct fields fields = {0};
    http1_init(&h, HTTP1_CLIENT);
    CHECK_OK(fields_add_str(&fields, "Host", "a"));
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.method = VIEW("PUT"),
                                                      .target = VIEW("/"),
                                                      .fields = &fields,
                                                      .body = HTTP1_BODY_LENGTH,
                                                      .body_len = 4}));
    CHECK_OK(http1_send_body(&h, VIEW("ab")));
    http1_sent(&h, http1_output(&h).len);
    (void)http1_feed(&h, VIEW("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    assert_true(http1_next(&h, &e));
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_END);
    assert_false(http1_is_idle(&h));
    assert_false(http1_should_close(&h));
    CHECK_OK(http1_send_body(&h, VIEW("cd")));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "cd");
    assert_true(http1_is_idle(&h));
    fields_fini(&fields);
    http1_fini(&h);
}

static void test_too_many_interims(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    size_t interims = 0;
    bool failed = false;
    http1_init(&h, HTTP1_CLIENT);
    send_request(&h, "GET", NULL);
    for (int i = 0; i < 100 && !failed; i++) {
        (void)http1_feed(&h, VIEW("HTTP/1.1 100 Continue\r\n\r\n"));
        while (http1_next(&h, &e)) {
            interims += e.type == HTTP1_INTERIM;
            failed = failed || e.type == HTTP1_FAILED;
        }
    }
    assert_true(failed);
    assert_int_equal(interims, 16);
    http1_fini(&h);
}

/* Both roles talk to each other: a body of every kind comes through as it is. */
static void test_roles_meet(void **state)
{
    (void)state;
    static const enum http1_body kinds[] = {HTTP1_BODY_LENGTH, HTTP1_BODY_CHUNKED};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct http1 client;
        struct http1 server;
        struct http1_event e;
        struct fields fields = {0};
        struct buf got;
        buf_init(&got, 1 << 20);
        http1_init(&client, HTTP1_CLIENT);
        http1_init(&server, HTTP1_SERVER);
        CHECK_OK(fields_add_str(&fields, "Host", "a"));
        CHECK_OK(http1_send_head(&client, &(struct http1_head){.method = VIEW("POST"),
                                                               .target = VIEW("/"),
                                                               .fields = &fields,
                                                               .body = kinds[i],
                                                               .body_len = 300000}));
        static uint8_t block[10000];
        memset(block, 'x', sizeof block);
        for (int n = 0; n < 30; n++) {
            CHECK_OK(http1_send_body(&client, view_of(block, sizeof block)));
            if (n == 29)
                CHECK_OK(http1_send_end(&client));
            while (http1_output(&client).len) {
                size_t fed = http1_feed(&server, http1_output(&client));
                http1_sent(&client, fed);
                while (http1_next(&server, &e)) {
                    assert_int_not_equal(e.type, HTTP1_FAILED);
                    if (e.type == HTTP1_BODY)
                        CHECK_OK(buf_append(&got, e.bytes));
                }
            }
        }
        assert_int_equal(e.type, HTTP1_END);
        assert_int_equal(got.len, 300000);
        assert_int_equal(view_find(buf_view(&got), '\r'), -1);
        buf_fini(&got);
        fields_fini(&fields);
        http1_fini(&client);
        http1_fini(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcripts),    cmocka_unit_test(test_requests),
        cmocka_unit_test(test_early_response), cmocka_unit_test(test_too_many_interims),
        cmocka_unit_test(test_roles_meet),
    };
    return RUN(tests);
}
