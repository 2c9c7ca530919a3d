// links: common/crypto
#include "proxy/front/local_reply.h"

#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/json/json.h"
#include "proxy/front/status.h"
#include "tests/support/test.h"

static void test_status(void **state)
{
    (void)state;
    static const struct {
        enum tunnel_cause cause;
        enum tunnel_token_place place;
        enum accept_kind accept;
        unsigned status;
    } rows[] = {
        {TUNNEL_UNAUTHENTICATED, TUNNEL_TOKEN_NONE, ACCEPT_NONE, 302},
        {TUNNEL_UNAUTHENTICATED, TUNNEL_TOKEN_NONE, ACCEPT_HTML, 302},
        {TUNNEL_UNAUTHENTICATED, TUNNEL_TOKEN_NONE, ACCEPT_JSON, 401},
        {TUNNEL_UNAUTHENTICATED, TUNNEL_TOKEN_NONE, ACCEPT_PLAIN, 401},
        {TUNNEL_UNAUTHENTICATED, TUNNEL_TOKEN_NONE, ACCEPT_GRPC, 401},
        {TUNNEL_TOKEN_INVALID, TUNNEL_TOKEN_COOKIE, ACCEPT_NONE, 302},
        {TUNNEL_TOKEN_INVALID, TUNNEL_TOKEN_COOKIE, ACCEPT_JSON, 401},
        {TUNNEL_TOKEN_INVALID, TUNNEL_TOKEN_HEADER, ACCEPT_NONE, 401},
        {TUNNEL_TOKEN_INVALID, TUNNEL_TOKEN_QUERY, ACCEPT_HTML, 401},
        {TUNNEL_DENIED, TUNNEL_TOKEN_HEADER, ACCEPT_NONE, 403},
        {TUNNEL_ROUTE_NOT_FOUND, TUNNEL_TOKEN_NONE, ACCEPT_JSON, 404},
        {TUNNEL_CLIENT_CERTIFICATE, TUNNEL_TOKEN_NONE, ACCEPT_NONE, 495},
        {TUNNEL_UPSTREAM, TUNNEL_TOKEN_HEADER, ACCEPT_NONE, 503},
        {TUNNEL_UNDECIDED, TUNNEL_TOKEN_HEADER, ACCEPT_NONE, 503},
        {TUNNEL_BUSY, TUNNEL_TOKEN_HEADER, ACCEPT_NONE, 503},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(status_of(rows[i].cause, rows[i].place, rows[i].accept), rows[i].status);
}

static const char hostile[] = "<b>\"no\" & 'yes'\x01\xff</b>";

static void make(const struct local_reply *r, struct fields *f, struct buf *body)
{
    buf_init(body, LOCAL_REPLY_MAX);
    CHECK_OK(local_reply_fields(r, f));
    CHECK_OK(local_reply_body(r, body));
}

static bool has(const struct buf *b, const char *text)
{
    return view_search(buf_view(b), view_str(text)) >= 0;
}

static void test_html(void **state)
{
    (void)state;
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf body;
    const struct local_reply r = {
        .status = 403, .reason = "Forbidden", .sentence = hostile, .request_id = "id<1>"};
    make(&r, &f, &body);
    assert_true(has(&body, "&lt;b&gt;&quot;no&quot; &amp; &#39;yes&#39;??&lt;/b&gt;"));
    assert_true(has(&body, "403 Forbidden"));
    assert_true(has(&body, "id&lt;1&gt;"));
    CHECK_VIEW_STR(fields_get(&f, "Content-Type"), "text/html; charset=utf-8");
    CHECK_VIEW_STR(fields_get(&f, "x-pomerium-intercepted-response"), "true");
    assert_false(fields_count(&f, "Location"));
    /* The policy names the style by its hash. */
    struct view page = buf_view(&body);
    page = view_skip(page, (size_t)view_search(page, VIEW("<style>")) + 7);
    page = view_take(page, (size_t)view_search(page, VIEW("</style>")));
    uint8_t hash[32];
    digest(DIGEST_SHA256, page, hash);
    AUTO(buf_fini) struct buf text;
    buf_init(&text, 100);
    CHECK_OK(text_base64(view_of(hash, sizeof hash), &text));
    assert_true(view_search(fields_get(&f, "Content-Security-Policy"), buf_view(&text)) >= 0);
}

static void test_json(void **state)
{
    (void)state;
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf body;
    AUTO(json_free_ptr) struct json *v = NULL;
    const struct local_reply r = {.status = 401,
                                  .reason = "Unauthorized",
                                  .sentence = hostile,
                                  .request_id = "abc",
                                  .accept = ACCEPT_JSON};
    int64_t status = 0;
    make(&r, &f, &body);
    CHECK_OK(json_parse(buf_view(&body), &v));
    CHECK_OK(json_get_i64(v, "status", &status));
    assert_int_equal(status, 401);
    CHECK_VIEW_STR(json_get_str(v, "requestId"), "abc");
    CHECK_VIEW_STR(json_get_str(v, "statusText"), "Unauthorized");
    CHECK_VIEW_STR(json_get_str(v, "message"), "<b>\"no\" & 'yes'?\?</b>");
    CHECK_VIEW_STR(fields_get(&f, "Content-Type"), "application/json");
    CHECK_VIEW_STR(fields_get(&f, "WWW-Authenticate"), "Pomerium");
}

static void test_others(void **state)
{
    (void)state;
    static const enum accept_kind kinds[] = {ACCEPT_PLAIN, ACCEPT_GRPC};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        AUTO(fields_fini) struct fields f = {0};
        AUTO(buf_fini) struct buf body;
        const struct local_reply r = {
            .status = 404, .reason = "x", .sentence = "No.", .request_id = "a", .accept = kinds[i]};
        make(&r, &f, &body);
        CHECK_VIEW_STR(buf_view(&body), "No.\n");
        CHECK_VIEW_STR(fields_get(&f, "Content-Type"), "text/plain; charset=utf-8");
    }
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf body;
    struct local_reply r = {.status = 302,
                            .reason = "Found",
                            .sentence = "Sign in.",
                            .request_id = "a",
                            .location = "https://auth.test/x?y"};
    make(&r, &f, &body);
    CHECK_VIEW_STR(fields_get(&f, "Location"), "https://auth.test/x?y");
    /* What could split a head is refused. */
    r.location = "https://x\r\nSet-Cookie: a=b";
    assert_int_equal(local_reply_fields(&r, &f), ERR_SYNTAX);
    /* Success is plain, whatever is accepted. */
    AUTO(fields_fini) struct fields g = {0};
    AUTO(buf_fini) struct buf ok;
    const struct local_reply fine = {
        .status = 200, .sentence = "OK", .request_id = "a", .accept = ACCEPT_JSON};
    make(&fine, &g, &ok);
    CHECK_VIEW_STR(buf_view(&ok), "OK\n");
    assert_false(fields_count(&g, "X-Pomerium-Intercepted-Response"));
}

static void test_common(void **state)
{
    (void)state;
    AUTO(fields_fini) struct fields f = {0};
    CHECK_OK(local_reply_common("abc", false, &f));
    CHECK_VIEW_STR(fields_get(&f, "X-Request-Id"), "abc");
    CHECK_VIEW_STR(fields_get(&f, "Cache-Control"), "no-store");
    CHECK_VIEW_STR(fields_get(&f, "X-Frame-Options"), "SAMEORIGIN");
    assert_false(fields_count(&f, "Strict-Transport-Security"));
    CHECK_OK(local_reply_common("abc", true, &f));
    assert_true(fields_count(&f, "Strict-Transport-Security"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status), cmocka_unit_test(test_html),   cmocka_unit_test(test_json),
        cmocka_unit_test(test_others), cmocka_unit_test(test_common),
    };
    return RUN(tests);
}
