#include "proxy/front.h"

#include "common/io/httpd.h"
#include "proxy/front_parts.h"
#include "tests/unit/common/io/io_fixture.h"

static struct certs certs;
static struct x509_pair authenticate_pair;

/* --- routing, without a connection --- */

static void test_route(void **state)
{
    (void)state;
    static const struct {
        const char *authority;
        const char *path;
        enum front_route route;
    } rows[] = {
        {"auth.test", "/", FRONT_FORWARD},
        {"AUTH.test:8443", "/oauth2/callback?code=x", FRONT_FORWARD},
        {"auth.test", "/ping", FRONT_ALIVE},
        {"anything", "/healthz?x", FRONT_ALIVE},
        {"anything", "/.pomerium", FRONT_FORWARD},
        {"anything", "/.pomerium/", FRONT_FORWARD},
        {"anything", "/.pomerium?x=y", FRONT_FORWARD},
        {"anything", "/.pomeriumx", FRONT_NOT_FOUND},
        {"anything", "/", FRONT_NOT_FOUND},
        {"anything", "/x/.pomerium/", FRONT_NOT_FOUND},
        {"auth.test.evil", "/", FRONT_NOT_FOUND},
        {"evil-auth.test", "/", FRONT_NOT_FOUND},
        {"", "/", FRONT_NOT_FOUND},
        {"auth.test", "*", FRONT_NOT_FOUND},
        {"auth.test:443", "", FRONT_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum front_route r =
            front_route(view_str(rows[i].authority), view_str(rows[i].path), "auth.test");
        if (r != rows[i].route)
            fail_msg("%s %s: %d", rows[i].authority, rows[i].path, (int)r);
    }
}

static void test_forward_head(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-FORWARDED-PROTO",
        "X-Forwarded-Client-Cert",
        "Forwarded",
        "X-Real-IP",
        "x-request-id",
        "Connection",
        "Upgrade",
        "Keep-Alive",
        "TE",
        "Proxy-Authorization",
        "Expect",
        "X-Listed",
    };
    AUTO(fields_fini) struct fields f = {0};
    CHECK_OK(fields_add_str(&f, "Host", "other"));
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        CHECK_OK(fields_add_str(&f, gone[i],
                                strcmp(gone[i], "Connection") == 0 ? "x-listed" : "6.6.6.6"));
    CHECK_OK(fields_add_str(&f, "Cookie", "a=b"));
    struct http1_head head = {.authority = VIEW("auth.test"), .path = VIEW("/p?q"), .fields = &f};
    struct address peer;
    CHECK_OK(address_parse(VIEW("[2001:db8::7]:4000"), &peer));
    CHECK_OK(front_forward_head(&head, &peer, "id"));
    CHECK_VIEW_STR(fields_get(&f, "Host"), "auth.test");
    CHECK_VIEW_STR(fields_get(&f, "X-Forwarded-For"), "2001:db8::7");
    CHECK_VIEW_STR(fields_get(&f, "X-Forwarded-Proto"), "https");
    CHECK_VIEW_STR(fields_get(&f, "X-Request-Id"), "id");
    CHECK_VIEW_STR(fields_get(&f, "Cookie"), "a=b");
    CHECK_VIEW_STR(head.target, "/p?q");
    assert_int_equal(f.count, 5);
    assert_true(head.close);
}

/* --- with a browser and an authenticate --- */

struct fixture {
    struct loop loop;
    struct front *front;
    char target[ADDRESS_TEXT_MAX];
    struct httpd *authenticate;
    char authenticate_target[ADDRESS_TEXT_MAX];
    struct tls_context *browser_tls;
    struct side browser;
    char seen[2000];
    int requests;
    struct httpd_reply *late;
    bool front_closed;
    bool httpd_closed;
    bool drained;
    /* An authenticate whose bytes the test writes itself. */
    struct listener *raw_listener;
    struct tls_context *raw_tls;
    struct side raw;
};

static void on_request(void *ctx, const struct httpd_request *r, struct httpd_reply *reply)
{
    struct fixture *f = ctx;
    struct buf text;
    buf_init(&text, sizeof f->seen - 1);
    f->requests++;
    CHECK_OK(buf_printf(&text, "%.*s %.*s uri=%s body=%zu:%.*s\n", VIEW_FMT(r->method),
                        VIEW_FMT(r->target), r->peer_uri, r->body.len,
                        VIEW_FMT(view_take(r->body, 20))));
    CHECK_OK(fields_write(r->fields, &text));
    memset(f->seen, 0, sizeof f->seen);
    memcpy(f->seen, buf_ptr(&text), text.len);
    buf_fini(&text);
    if (view_eq_str(r->target, "/late")) {
        f->late = reply;
        return;
    }
    AUTO(fields_fini) struct fields fields = {0};
    CHECK_OK(fields_add_str(&fields, "Set-Cookie", "session=1"));
    CHECK_OK(fields_add_str(&fields, "Keep-Alive", "timeout=5"));
    if (view_eq_str(r->target, "/big")) {
        char *big = mem_zalloc(HTTPD_RESPONSE_MAX);
        memset(big, 'x', HTTPD_RESPONSE_MAX);
        httpd_reply_send(reply, 200, &fields, view_of(big, HTTPD_RESPONSE_MAX));
        mem_free(big);
        return;
    }
    httpd_reply_send(reply, 200, &fields, VIEW("page"));
}

static struct tls_context *service_tls(const struct x509_pair *pair)
{
    const struct tls_chain chain = {pair->cert_pem, pair->key_pem};
    return make_server(&(struct tls_server_spec){.chains = &chain,
                                                 .chain_count = 1,
                                                 .client_ca_pem = certs.ca.cert_pem,
                                                 .client_uri = "postern://service/proxy",
                                                 .alpn_http1 = true});
}

static int bind_any(char target[ADDRESS_TEXT_MAX])
{
    int fd;
    char *why = NULL;
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    struct address a = listen_address(fd);
    address_text(&a, target);
    return fd;
}

static void open_front(struct fixture *f)
{
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *server = make_server(
        &(struct tls_server_spec){.chains = &chain, .chain_count = 1, .alpn_http1 = true});
    struct tls_context *client =
        make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem,
                                              .server_uri = "postern://service/authenticate",
                                              .chain_pem = certs.proxy.cert_pem,
                                              .key_pem = certs.proxy.key_pem,
                                              .alpn_http1 = true});
    const struct front_settings settings = {.server = server,
                                            .client = client,
                                            .authenticate_host = "auth.test",
                                            .authenticate_target = f->authenticate_target};
    struct rng rng = rng_system();
    f->front = front_open(&f->loop, bind_any(f->target), &rng, &settings);
    tls_unref(server);
    tls_unref(client);
}

static void connect_browser(struct fixture *f)
{
    struct socket_pair p = {-1, -1};
    f->browser = (struct side){0};
    (void)dial_open(&f->loop, f->target, 0, pair_on_dial, &p);
    WAIT(&f->loop, p.client >= 0);
    side_start(&f->browser,
               &(struct stream_spec){.loop = &f->loop,
                                     .tls = f->browser_tls,
                                     .server_name = "localhost",
                                     .queue_max = 8 << 20},
               p.client);
}

static void on_raw(void *ctx, int fd, const struct address *peer)
{
    struct fixture *f = ctx;
    (void)peer;
    assert_null(f->raw.s);
    side_start(&f->raw,
               &(struct stream_spec){.loop = &f->loop, .tls = f->raw_tls, .queue_max = 64 << 20},
               fd);
}

enum authenticate { HTTPD, RAW, NOBODY, IMPOSTOR };

static void begin(struct fixture *f, enum authenticate kind)
{
    *f = (struct fixture){.raw.closed = true, .httpd_closed = true};
    loop_init(&f->loop);
    f->browser_tls = make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem});
    int fd = bind_any(f->authenticate_target);
    if (kind == NOBODY) {
        (void)close(fd);
    } else if (kind == RAW) {
        f->raw = (struct side){0};
        f->raw_tls = service_tls(&authenticate_pair);
        f->raw_listener = listener_open(&f->loop, fd, on_raw, f);
    } else {
        struct tls_context *tls = service_tls(kind == HTTPD ? &authenticate_pair : &certs.proxy);
        f->authenticate = httpd_open(
            &(struct httpd_spec){.loop = &f->loop, .tls = tls, .on_request = on_request, .ctx = f},
            fd);
        tls_unref(tls);
        f->httpd_closed = false;
    }
    open_front(f);
    connect_browser(f);
}

static void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static void end(struct fixture *f)
{
    side_end(&f->loop, &f->browser);
    if (f->front)
        front_close(f->front, set_true, &f->front_closed);
    WAIT(&f->loop, f->front_closed);
    if (f->raw_listener) {
        listener_close(f->raw_listener);
        if (f->raw.in.max)
            side_end(&f->loop, &f->raw);
        tls_unref(f->raw_tls);
    }
    if (f->authenticate)
        httpd_close(f->authenticate, 0, set_true, &f->httpd_closed);
    WAIT(&f->loop, f->httpd_closed);
    tls_unref(f->browser_tls);
    loop_fini(&f->loop);
}

static void say(struct fixture *f, const char *text)
{
    CHECK_OK(stream_write(f->browser.s, view_str(text)));
}

static bool has(const struct side *s, const char *text)
{
    return view_search(buf_view(&s->in), view_str(text)) >= 0;
}

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
        cmocka_unit_test(test_route),          cmocka_unit_test(test_forward_head),
        cmocka_unit_test(test_forward),        cmocka_unit_test(test_unavailable),
        cmocka_unit_test(test_bad_requests),   cmocka_unit_test(test_endless_body),
        cmocka_unit_test(test_early_response), cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_large_page),     cmocka_unit_test(test_cut_page),
        cmocka_unit_test(test_browser_leaves), cmocka_unit_test(test_drain),
        cmocka_unit_test(test_rest),
    };
    static const char *const uris[] = {"postern://service/authenticate", NULL};
    certs_init(&certs);
    certs_leaf(&certs.ca, uris, NULL, NULL, &authenticate_pair);
    int failed = RUN(tests);
    x509_pair_fini(&authenticate_pair);
    certs_fini(&certs);
    return failed;
}
