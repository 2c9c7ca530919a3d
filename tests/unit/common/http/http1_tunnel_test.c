/* How tunnels begin and how their owner takes them out of the engine. */
#include "tests/unit/common/http/transcript.h"

#define CONNECT "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"
#define UPGRADE                                                                                    \
    "GET /.well-known/masque/udp/a/1/ HTTP/1.1\r\nHost: a:1\r\nConnection: Upgrade\r\n"            \
    "Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n"

/* Feeds `input` cut at `at`, up to and with the END of the request. */
static void open_with(struct http1 *h, const char *input, size_t at)
{
    struct http1_event e = {0};
    struct view parts[] = {view_take(view_str(input), at), view_skip(view_str(input), at)};
    http1_init(h, HTTP1_SERVER);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        assert_int_equal(http1_feed(h, parts[i]), parts[i].len);
        while (http1_next(h, &e))
            assert_int_not_equal(e.type, HTTP1_FAILED);
    }
}

static void check_output(struct http1 *h, const char *expected)
{
    CHECK_VIEW_STR(http1_output(h), expected);
    http1_sent(h, http1_output(h).len);
}

/* A client that takes no 101 gets 200 and raw bytes until close. */
static void test_upgrade_answered_with_200(void **state)
{
    (void)state;
    struct http1 h;
    struct http1_event e;
    struct fields fields = {0};
    open_with(&h, UPGRADE "early", SIZE_MAX);
    assert_true(h.head.upgrade);
    assert_true(fields_has_token(h.head.fields, "Upgrade", "connect-udp"));
    CHECK_OK(fields_add_str(&fields, "Capsule-Protocol", "?1"));
    CHECK_OK(http1_send_head(
        &h, &(struct http1_head){.status = 200, .fields = &fields, .tunnel = true}));
    check_output(&h, "HTTP/1.1 200 OK\r\nCapsule-Protocol: ?1\r\nConnection: close\r\n\r\n");
    assert_true(http1_is_tunnel(&h));
    CHECK_OK(http1_send_body(&h, VIEW("raw")));
    check_output(&h, "raw");
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_TUNNEL);
    assert_true(http1_next(&h, &e));
    CHECK_VIEW_STR(e.bytes, "early");
    assert_int_equal(http1_feed(&h, VIEW(CONNECT)), strlen(CONNECT));
    assert_true(http1_next(&h, &e));
    CHECK_VIEW_STR(e.bytes, CONNECT);
    http1_feed_end(&h);
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_CLOSED);
    CHECK_OK(http1_send_end(&h));
    assert_true(http1_should_close(&h));
    fields_fini(&fields);
    http1_fini(&h);
}

static void test_upgrade_answered_with_101(void **state)
{
    (void)state;
    struct http1 h;
    struct fields fields = {0};
    open_with(&h, UPGRADE, SIZE_MAX);
    CHECK_OK(fields_add_str(&fields, "Upgrade", "connect-udp"));
    CHECK_OK(fields_add_str(&fields, "Capsule-Protocol", "?1"));
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 101, .fields = &fields}));
    check_output(&h, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: connect-udp\r\n"
                     "Capsule-Protocol: ?1\r\nConnection: upgrade\r\n\r\n");
    assert_true(http1_is_tunnel(&h));
    fields_fini(&fields);
    http1_fini(&h);
}

static void test_no_tunnel_where_none_was_asked_for(void **state)
{
    (void)state;
    struct http1 h;
    open_with(&h, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", SIZE_MAX);
    CHECK_ERR(http1_send_head(&h, &(struct http1_head){.status = 200, .tunnel = true}), ERR_STATE);
    http1_fini(&h);
    open_with(&h, UPGRADE, SIZE_MAX);
    CHECK_ERR(http1_send_head(&h, &(struct http1_head){.status = 404, .tunnel = true}), ERR_SYNTAX);
    /* An ordinary answer leaves the connection as it is. */
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 404}));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    assert_true(http1_is_idle(&h));
    http1_fini(&h);
}

/* Wherever the bytes were cut, what was not shown is handed out once. */
static void test_detach(void **state)
{
    (void)state;
    static const char *const requests[] = {CONNECT "early bytes", UPGRADE "early bytes"};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        for (size_t at = 0; at <= strlen(requests[i]); at++) {
            struct http1 h;
            struct buf rest;
            struct http1_event e;
            open_with(&h, requests[i], at);
            CHECK_ERR(http1_detach(&h, &rest), ERR_STATE);
            CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .tunnel = i == 1}));
            CHECK_OK(http1_detach(&h, &rest));
            CHECK_VIEW_STR(buf_view(&rest), "early bytes");
            buf_fini(&rest);
            assert_false(http1_next(&h, &e));
            assert_int_equal(http1_room(&h), 0);
            CHECK_ERR(http1_detach(&h, &rest), ERR_STATE);
            CHECK_ERR(http1_send_body(&h, VIEW("x")), ERR_STATE);
            /* The head is still to be sent. */
            assert_true(http1_output(&h).len > 0);
            assert_false(http1_should_close(&h));
            http1_sent(&h, http1_output(&h).len);
            assert_true(http1_should_close(&h));
            http1_fini(&h);
        }
    }
}

/* Bytes of a TUNNEL event are not handed out a second time. */
static void test_detach_later(void **state)
{
    (void)state;
    struct http1 h;
    struct buf rest;
    struct http1_event e;
    open_with(&h, CONNECT "one", SIZE_MAX);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200}));
    assert_true(http1_next(&h, &e));
    assert_true(http1_next(&h, &e));
    CHECK_VIEW_STR(e.bytes, "one");
    CHECK_OK(http1_detach(&h, &rest));
    assert_int_equal(rest.len, 0);
    buf_fini(&rest);
    http1_fini(&h);
}

static void test_detach_needs_the_whole_request(void **state)
{
    (void)state;
    struct http1 h;
    struct buf rest;
    struct http1_event e;
    open_with(&h,
              "POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n"
              "Content-Length: 2\r\n\r\n",
              SIZE_MAX);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200, .tunnel = true}));
    CHECK_ERR(http1_detach(&h, &rest), ERR_STATE);
    assert_int_equal(http1_feed(&h, VIEW("okraw")), 5);
    while (http1_next(&h, &e) && e.type != HTTP1_END)
        assert_int_equal(e.type, HTTP1_BODY);
    CHECK_OK(http1_detach(&h, &rest));
    CHECK_VIEW_STR(buf_view(&rest), "raw");
    buf_fini(&rest);
    http1_fini(&h);
}

/* An owner that answers at HEAD need not ask for END. */
static void test_detach_before_the_end_is_told(void **state)
{
    (void)state;
    struct http1 h;
    struct buf rest;
    struct http1_event e;
    http1_init(&h, HTTP1_SERVER);
    assert_int_equal(http1_feed(&h, VIEW(CONNECT "early")), strlen(CONNECT "early"));
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_HEAD);
    CHECK_OK(http1_send_head(&h, &(struct http1_head){.status = 200}));
    CHECK_OK(http1_detach(&h, &rest));
    CHECK_VIEW_STR(buf_view(&rest), "early");
    assert_false(http1_next(&h, &e));
    buf_fini(&rest);
    http1_fini(&h);
}

static void test_client_detach(void **state)
{
    (void)state;
    struct http1 h;
    struct buf rest;
    struct http1_event e;
    struct fields fields = {0};
    http1_init(&h, HTTP1_CLIENT);
    CHECK_OK(fields_add_str(&fields, "Host", "a:1"));
    CHECK_OK(http1_send_head(
        &h,
        &(struct http1_head){.method = VIEW("CONNECT"), .target = VIEW("a:1"), .fields = &fields}));
    CHECK_OK(http1_send_end(&h));
    check_output(&h, "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    CHECK_ERR(http1_detach(&h, &rest), ERR_STATE);
    (void)http1_feed(&h, VIEW("HTTP/1.1 200 OK\r\nServer: s\r\n\r\nSSH-2.0-x\r\n"));
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_HEAD);
    assert_true(http1_next(&h, &e));
    assert_int_equal(e.type, HTTP1_END);
    CHECK_OK(http1_detach(&h, &rest));
    CHECK_VIEW_STR(buf_view(&rest), "SSH-2.0-x\r\n");
    buf_fini(&rest);
    fields_fini(&fields);
    http1_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade_answered_with_200),
        cmocka_unit_test(test_upgrade_answered_with_101),
        cmocka_unit_test(test_no_tunnel_where_none_was_asked_for),
        cmocka_unit_test(test_detach),
        cmocka_unit_test(test_detach_later),
        cmocka_unit_test(test_detach_needs_the_whole_request),
        cmocka_unit_test(test_detach_before_the_end_is_told),
        cmocka_unit_test(test_client_detach),
    };
    return RUN(tests);
}
