#include "tests/unit/common/http/transcript.h"

/* Answers each request at its end with 200 and an empty body, CONNECT too. */
static void serve(struct http1 *h, struct transcript *t)
{
    struct http1_event e;
    while (http1_next(h, &e)) {
        transcript_event(t, &e);
        if (e.type == HTTP1_END) {
            bool upgrade = h->head.upgrade;
            struct fields fields = {0};
            if (upgrade)
                CHECK_OK(fields_add_str(&fields, "Upgrade", "x"));
            CHECK_OK(http1_send_head(
                h, &(struct http1_head){.status = upgrade ? 101 : 200, .fields = &fields}));
            if (!http1_is_tunnel(h))
                CHECK_OK(http1_send_end(h));
            fields_fini(&fields);
        }
        http1_sent(h, http1_output(h).len);
    }
}

/* The transcript of `input` in pieces of up to `piece` bytes, the first of `first`. */
static char *run(struct view input, size_t first, size_t piece)
{
    struct http1 h;
    struct transcript t;
    http1_init(&h, HTTP1_SERVER);
    transcript_init(&t);
    transcript_feed(&h, &t, view_take(input, first), serve);
    for (input = view_skip(input, first); input.len; input = view_skip(input, piece))
        transcript_feed(&h, &t, view_take(input, piece), serve);
    http1_feed_end(&h);
    serve(&h, &t);
    assert_true(http1_should_close(&h) || http1_is_tunnel(&h));
    char *text = buf_to_str(&t.text);
    buf_fini(&t.text);
    http1_fini(&h);
    return text;
}

static const struct {
    const char *input;
    const char *expected;
} rows[] = {
    {"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n",
     "HEAD GET / host=a.test path=/ none|Host=a.test\nEND\nCLOSED"},
    {"\r\nGET /a?b HTTP/1.1\r\nHost:a:8443\r\nX:  y z\t \r\nX:\r\n\r\n",
     "HEAD GET /a?b host=a:8443 path=/a?b none|Host=a:8443|X=y z|X=\nEND\nCLOSED"},
    {"GET / HTTP/1.0\r\n\r\n", "HEAD GET / host= path=/ none close\nEND"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Close\r\n\r\nGET",
     "HEAD GET / host=a path=/ none close|Host=a|Connection=x, Close\nEND"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nHost: "
     "b\r\n\r\n",
     "HEAD POST / host=a path=/ length=5|Host=a|Content-Length=5\nBODY hello\nEND\n"
     "HEAD GET /2 host=b path=/2 none|Host=b\nEND\nCLOSED"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
     "HEAD POST / host=a path=/ length=0|Host=a|Content-Length=0\nEND\nCLOSED"},
    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
     "5;a=\"b\"\r\nhello\r\nA\r\n, world, 1\r\n0\r\nTrailer: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: "
     "b\r\n\r\n",
     "HEAD POST / host=a path=/ chunked|Host=a|Transfer-Encoding=Chunked\n"
     "BODY hello, world, 1\nEND\nHEAD GET /2 host=b path=/2 none|Host=b\nEND\nCLOSED"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\nok",
     "HEAD POST / host=a path=/ length=2 expect|Host=a|Content-Length=2|Expect=100-Continue\n"
     "BODY ok\nEND\nCLOSED"},
    {"GET http://A.test:80/x?y HTTP/1.1\r\nHost: a.test:80\r\n\r\n",
     "HEAD GET http://A.test:80/x?y host=A.test:80 path=/x?y none|Host=a.test:80\nEND\nCLOSED"},
    {"GET https://a HTTP/1.1\r\nHost: a\r\n\r\n",
     "HEAD GET https://a host=a path=/ none|Host=a\nEND\nCLOSED"},
    {"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
     "HEAD OPTIONS * host=[::1]:80 path=* none|Host=[::1]:80\nEND\nCLOSED"},
    {"CONNECT a.test:22 HTTP/1.1\r\nHost: a.test:22\r\n\r\nSSH-2.0-x\r\n",
     "HEAD CONNECT a.test:22 host=a.test:22 path= none|Host=a.test:22\nEND\n"
     "TUNNEL SSH-2.0-x\r\n\nCLOSED"},
    {"CONNECT [::1]:22 HTTP/1.1\r\nHost: b.test\r\n\r\n",
     "HEAD CONNECT [::1]:22 host=[::1]:22 path= none|Host=b.test\nEND\nTUNNEL \nCLOSED"},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n\r\nraw",
     "HEAD GET / host=a path=/ none upgrade|Host=a|Connection=keep-alive, Upgrade|Upgrade=x\n"
     "END\nTUNNEL raw\nCLOSED"},
    {"GET / HTTP/1.7\r\nHost: a\r\n\r\n", "HEAD GET / host=a path=/ none|Host=a\nEND\nCLOSED"},
    {"GET / HT", "FAILED 0 the peer closed within a message"},
    {"GET / HTTP/1.1\r\nHost: a\r\n", "FAILED 0 the peer closed within a message"},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
     "HEAD POST / host=a path=/ length=5|Host=a|Content-Length=5\nBODY hel\n"
     "FAILED 0 the peer closed within a message"},
};

static void test_transcripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *got = run(view_str(rows[i].input), SIZE_MAX, 1);
        assert_string_equal(got, rows[i].expected);
    }
}

static void test_every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct view input = view_str(rows[i].input);
        for (size_t at = 0; at <= input.len; at++) {
            AUTO_FREE char *got = run(input, at, SIZE_MAX);
            assert_string_equal(got, rows[i].expected);
        }
        AUTO_FREE char *got = run(input, 1, 1);
        assert_string_equal(got, rows[i].expected);
    }
}

/* An engine that has read `input` up to and with its last END. */
static void open_with(struct http1 *h, const char *input)
{
    struct http1_event e;
    http1_init(h, HTTP1_SERVER);
    assert_int_equal(http1_feed(h, view_str(input)), strlen(input));
    while (http1_next(h, &e))
        assert_int_not_equal(e.type, HTTP1_FAILED);
}

static void check_output(struct http1 *h, const char *expected)
{
    CHECK_VIEW_STR(http1_output(h), expected);
    http1_sent(h, http1_output(h).len);
}

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

static void test_response_length(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    struct fields fields = {0};
    open_with(&h, GET);
    CHECK_OK(fields_add_str(&fields, "Server", "s"));
    CHECK_OK(fields_add_str(&fields, "Content-Length", "77"));
    CHECK_OK(fields_add_str(&fields, "Connection", "x"));
    CHECK_OK(fields_add_str(&fields, "transfer-encoding", "chunked"));
    CHECK_OK(http1_send_head(
        &h, &(struct http1_head){
                .status = 404, .fields = &fields, .body = HTTP1_BODY_LENGTH, .body_len = 4}));
    CHECK_ERR(http1_send_head(&h, &(struct http1_head){.status = 200}), ERR_STATE);
    CHECK_OK(http1_send_body(&h, VIEW("abc")));
    CHECK_ERR(http1_send_body(&h, VIEW("de")), ERR_STATE);
    CHECK_OK(http1_send_body(&h, VIEW("d")));
    assert_false(http1_is_idle(&h));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 404 Not Found\r\nServer: s\r\nContent-Length: 4\r\n\r\nabcd");
    assert_true(http1_is_idle(&h));
    assert_false(http1_next(&h, &e));
    CHECK_ERR(http1_send_head(&h, &(struct http1_head){.status = 200}), ERR_STATE);
    fields_fini(&fields);
    http1_fini(&h);
}

static void test_response_chunked(void **state)
{
    (void)state;
    struct http1 h;
    open_with(&h, GET);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .body = HTTP1_BODY_CHUNKED}));
    CHECK_OK(http1_send_body(&h, VIEW("")));
    CHECK_OK(http1_send_body(&h, VIEW("0123456789abcdefg")));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "11\r\n0123456789abcdefg\r\n0\r\n\r\n");
    assert_true(http1_is_idle(&h));
    http1_fini(&h);
}

/* RFC 9112 §9.3: to HTTP/1.0 the end of the body is the end of the connection. */
static void test_response_to_old_client(void **state)
{
    (void)state;
    struct http1 h;
    open_with(&h, "GET / HTTP/1.0\r\n\r\n");
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .body = HTTP1_BODY_CHUNKED}));
    CHECK_OK(http1_send_body(&h, VIEW("body")));
    CHECK_OK(http1_send_end(&h));
    assert_false(http1_should_close(&h));
    check_output(&h, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody");
    assert_true(http1_should_close(&h));
    http1_fini(&h);
}

static void test_response_without_body(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        uint16_t status;
        enum http1_body body;
        const char *expected;
    } cases[] = {
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP1_BODY_LENGTH,
         "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP1_BODY_CHUNKED,
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP1_BODY_NONE, "HTTP/1.1 200 OK\r\n\r\n"},
        {GET, 204, HTTP1_BODY_LENGTH, "HTTP/1.1 204 No Content\r\n\r\n"},
        {GET, 304, HTTP1_BODY_LENGTH, "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n"},
        {GET, 304, HTTP1_BODY_CHUNKED, "HTTP/1.1 304 Not Modified\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http1 h;
        open_with(&h, cases[i].request);
        CHECK_OK(http1_send_head(
            &h,
            &(struct http1_head){.status = cases[i].status, .body = cases[i].body, .body_len = 4}));
        CHECK_OK(http1_send_body(&h, VIEW("abcd")));
        CHECK_OK(http1_send_end(&h));
        check_output(&h, cases[i].expected);
        assert_true(http1_is_idle(&h));
        http1_fini(&h);
    }
}

static void test_continue(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    const char *request =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    open_with(&h, request);
    CHECK_OK(http1_send_continue(&h));
    CHECK_OK(http1_send_continue(&h));
    check_output(&h, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_int_equal(http1_feed(&h, VIEW("ok")), 2);
    assert_true(http1_next(&h, &e));
    CHECK_VIEW_STR(e.bytes, "ok");
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_END);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200}));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(http1_is_idle(&h));
    http1_fini(&h);

    /* Refused without a 100: whether the body follows is unknown, so the connection ends. */
    open_with(&h, request);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 413}));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
                     "Content-Length: 0\r\n\r\n");
    assert_true(http1_should_close(&h));
    http1_fini(&h);
}

static void test_response_before_the_body(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    /* Little is missing: it is read, and the connection stays. */
    open_with(&h, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 401}));
    CHECK_OK(http1_send_end(&h));
    http1_sent(&h, http1_output(&h).len);
    assert_false(http1_should_close(&h));
    assert_int_equal(http1_feed(&h, VIEW("ok" GET)), 2 + strlen(GET));
    static const enum http1_event_type expected[] = {HTTP1_BODY, HTTP1_END, HTTP1_HEAD};
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_true(http1_next(&h, &e));
        assert_int_equal(e.type, expected[i]);
    }
    http1_fini(&h);

    open_with(&h, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n");
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 401}));
    CHECK_OK(http1_send_end(&h));
    http1_sent(&h, http1_output(&h).len);
    assert_true(http1_should_close(&h));
    assert_int_equal(http1_room(&h), 0);
    http1_fini(&h);
}

static void test_connect_refused_closes(void **state)
{
    (void)state;
    struct http1 h;
    open_with(&h, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 403}));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    struct http1_event e;
    assert_false(http1_next(&h, &e));
    assert_true(http1_should_close(&h));
    http1_fini(&h);
}

static void test_tunnel(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    open_with(&h, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nearly");
    assert_false(http1_is_tunnel(&h));
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200}));
    check_output(&h, "HTTP/1.1 200 OK\r\n\r\n");
    assert_true(http1_is_tunnel(&h));
    CHECK_OK(http1_send_body(&h, VIEW("0\r\n\r\n")));
    check_output(&h, "0\r\n\r\n");
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_TUNNEL);
    assert_int_equal(e.bytes.len, 0);
    assert_true(http1_next(&h, &e));
    CHECK_VIEW_STR(e.bytes, "early");
    http1_feed_end(&h);
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_CLOSED);
    /* Half closed: our direction lives on. */
    assert_false(http1_should_close(&h));
    CHECK_OK(http1_send_body(&h, VIEW("late")));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "late");
    assert_true(http1_should_close(&h));
    http1_fini(&h);
}

static void test_upgrade_not_asked_for(void **state)
{
    (void)state;
    struct http1 h;
    open_with(&h, GET);
    CHECK_ERR(http1_send_head(&h, &(struct http1_head){.status = 101}), ERR_STATE);
    CHECK_ERR(http1_send_head(&h, &(struct http1_head){.status = 42}), ERR_SYNTAX);
    assert_int_equal(http1_output(&h).len, 0);
    http1_fini(&h);
}

static void test_short_body_and_abort(void **state)
{
    (void)state;
    struct http1 h;
    open_with(&h, GET);
    CHECK_OK(http1_send_head(
        &h, &(struct http1_head){.status = 200, .body = HTTP1_BODY_LENGTH, .body_len = 9}));
    CHECK_OK(http1_send_body(&h, VIEW("abc")));
    CHECK_ERR(http1_send_end(&h), ERR_STATE);
    http1_sent(&h, http1_output(&h).len);
    assert_true(http1_should_close(&h));
    http1_fini(&h);

    open_with(&h, GET);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .body = HTTP1_BODY_CHUNKED}));
    CHECK_OK(http1_send_body(&h, VIEW("abc")));
    http1_abort(&h);
    assert_false(http1_should_close(&h));
    check_output(&h, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    assert_true(http1_should_close(&h));
    http1_fini(&h);
}

static void test_back_pressure(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    static uint8_t block[65536];
    open_with(&h, GET);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .body = HTTP1_BODY_CHUNKED}));
    size_t sent = 0;
    while (http1_writable(&h) >= sizeof block) {
        CHECK_OK(http1_send_body(&h, view_of(block, sizeof block)));
        sent += sizeof block;
    }
    assert_true(sent >= sizeof block && sent <= HTTP1_OUTPUT_MAX);
    CHECK_ERR(http1_send_body(&h, view_of(block, sizeof block)), ERR_LIMIT);
    http1_sent(&h, http1_output(&h).len);
    assert_true(http1_writable(&h) >= sizeof block);
    http1_fini(&h);

    /* Pipelined bytes wait, and reading stops. */
    open_with(&h, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    size_t fed = 0;
    while (http1_room(&h)) {
        fed += http1_feed(&h, view_of(block, sizeof block));
        assert_false(http1_next(&h, &e));
    }
    assert_int_equal(fed, HTTP1_INPUT_MAX);
    assert_int_equal(http1_feed(&h, VIEW("x")), 0);
    http1_fini(&h);
}

/* Pipelined requests do not pile up responses that the peer does not read. */
static void test_unread_output(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    static uint8_t block[65536];
    open_with(&h, GET GET);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .body = HTTP1_BODY_CHUNKED}));
    for (size_t n = http1_writable(&h); n; n = http1_writable(&h))
        CHECK_OK(http1_send_body(&h, view_of(block, n < sizeof block ? n : sizeof block)));
    CHECK_OK(http1_send_end(&h));
    assert_true(http1_output(&h).len > HTTP1_OUTPUT_MAX / 2);
    assert_false(http1_next(&h, &e));
    http1_sent(&h, http1_output(&h).len);
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_HEAD);
    http1_fini(&h);
}

/* What a request was says nothing about the answer to the next one. */
static void test_body_after_head_request(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    open_with(&h, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET /\r\n");
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 204}));
    CHECK_OK(http1_send_end(&h));
    http1_sent(&h, http1_output(&h).len);
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.status, 400);
    CHECK_OK(http1_send_head(
        &h, &(struct http1_head){.status = 400, .body = HTTP1_BODY_LENGTH, .body_len = 3}));
    CHECK_OK(http1_send_body(&h, VIEW("no\n")));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"
                     "Content-Length: 3\r\n\r\nno\n");
    http1_fini(&h);
}

static void test_phases(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    http1_init(&h, HTTP1_SERVER);
    assert_true(http1_is_idle(&h));
    assert_false(http1_in_head(&h));
    (void)http1_feed(&h, VIEW("G"));
    assert_false(http1_is_idle(&h));
    assert_true(http1_in_head(&h));
    assert_false(http1_next(&h, &e));
    (void)http1_feed(&h, VIEW("ET / HTTP/1.1\r\nHost: a\r\n"));
    assert_false(http1_next(&h, &e));
    assert_true(http1_in_head(&h));
    (void)http1_feed(&h, VIEW("\r\n"));
    assert_true(http1_next(&h, &e));
    assert_false(http1_in_head(&h));
    assert_false(http1_is_idle(&h));
    http1_fini(&h);
}

/* The head belongs to the owner until the response is over, whatever it does to the fields. */
static void test_head_outlives_fields(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    http1_init(&h, HTTP1_SERVER);
    (void)http1_feed(&h, VIEW("POST /p HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1\r\n\r\nx"));
    assert_true(http1_next(&h, &e));
    struct http1_head *head = e.head;
    fields_clear(head->fields);
    while (http1_next(&h, &e))
        ;
    CHECK_VIEW_STR(head->authority, "a.test");
    CHECK_VIEW_STR(head->path, "/p");
    CHECK_VIEW_STR(head->method, "POST");
    http1_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcripts),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_response_length),
        cmocka_unit_test(test_response_chunked),
        cmocka_unit_test(test_response_to_old_client),
        cmocka_unit_test(test_response_without_body),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_response_before_the_body),
        cmocka_unit_test(test_connect_refused_closes),
        cmocka_unit_test(test_tunnel),
        cmocka_unit_test(test_upgrade_not_asked_for),
        cmocka_unit_test(test_short_body_and_abort),
        cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_unread_output),
        cmocka_unit_test(test_body_after_head_request),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_head_outlives_fields),
    };
    return RUN(tests);
}
