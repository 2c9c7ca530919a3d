#include "common/io/httpd.h"

#include <stdlib.h>

#include "common/http/fields.h"
#include "common/io/fetch.h"
#include "tests/unit/common/io/io_fixture.h"

static struct certs certs;

/* A server whose handler answers by path; what it saw last is kept. */
struct fixture {
    struct loop loop;
    struct httpd *httpd;
    char target[ADDRESS_TEXT_MAX];
    struct side client;
    struct httpd_reply *late;
    int requests;
    char seen[300];
    struct address peer;
    bool closed;
};

static void on_request(void *ctx, const struct httpd_request *r, struct httpd_reply *reply)
{
    struct fixture *f = ctx;
    AUTO(fields_fini) struct fields fields = {0};
    struct view host = fields_get(r->fields, "host");
    f->requests++;
    f->peer = r->peer;
    (void)snprintf(f->seen, sizeof f->seen, "%.*s %.*s host=%.*s uri=%s body=%.*s",
                   VIEW_FMT(r->method), VIEW_FMT(r->target), VIEW_FMT(host),
                   r->peer_uri ? r->peer_uri : "none", VIEW_FMT(view_take(r->body, 50)));
    if (view_eq_str(r->target, "/late")) {
        f->late = reply;
        return;
    }
    if (view_eq_str(r->target, "/big")) {
        char *big = mem_zalloc(HTTPD_RESPONSE_MAX);
        memset(big, 'x', HTTPD_RESPONSE_MAX);
        httpd_reply_send(reply, 200, NULL, view_of(big, HTTPD_RESPONSE_MAX));
        mem_free(big);
        return;
    }
    CHECK_OK(fields_add_str(&fields, "Content-Type", "text/plain"));
    CHECK_OK(fields_add_str(&fields, "Content-Length", "999"));
    httpd_reply_send(reply, view_eq_str(r->target, "/missing") ? 404 : 200, &fields, VIEW("hi\n"));
}

static void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    f->closed = true;
}

static void begin(struct fixture *f, struct tls_context *tls, size_t body_max, size_t max)
{
    int fd;
    char *why = NULL;
    *f = (struct fixture){.client.closed = true};
    loop_init(&f->loop);
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    struct address a = listen_address(fd);
    address_text(&a, f->target);
    f->httpd = httpd_open(&(struct httpd_spec){.loop = &f->loop,
                                               .tls = tls,
                                               .on_request = on_request,
                                               .ctx = f,
                                               .body_max = body_max,
                                               .connections_max = max},
                          fd);
}

static void connect_client(struct fixture *f, struct side *side, struct tls_context *tls)
{
    struct socket_pair p = {-1, -1};
    (void)dial_open(&f->loop, f->target, 0, pair_on_dial, &p);
    WAIT(&f->loop, p.client >= 0);
    *side = (struct side){0};
    side_start(side,
               &(struct stream_spec){.loop = &f->loop, .tls = tls, .server_name = "localhost"},
               p.client);
}

static void say(struct fixture *f, const char *text)
{
    CHECK_OK(stream_write(f->client.s, view_str(text)));
}

static bool has(const struct side *s, const char *text)
{
    return view_search(buf_view(&s->in), view_str(text)) >= 0;
}

static void end(struct fixture *f)
{
    side_end(&f->loop, &f->client);
    if (f->httpd)
        httpd_close(f->httpd, 0, on_closed, f);
    WAIT(&f->loop, f->closed);
    loop_fini(&f->loop);
}

static void test_requests_on_one_connection(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL, 0, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "GET /a?b=c HTTP/1.1\r\nHost: one\r\n\r\n");
    WAIT(&f.loop, has(&f.client, "hi\n"));
    assert_string_equal(f.seen, "GET /a?b=c host=one uri=none body=");
    assert_true(address_is_loopback(&f.peer) && f.peer.port != 0);
    assert_true(has(&f.client, "HTTP/1.1 200 OK\r\n"));
    assert_true(has(&f.client, "Content-Type: text/plain\r\n"));
    assert_true(has(&f.client, "Content-Length: 3\r\n"));
    assert_true(has(&f.client, "Date: "));
    assert_false(has(&f.client, "999"));
    assert_false(has(&f.client, "Connection: close"));
    buf_clear(&f.client.in);
    /* Pipelined, the first with a body in chunks and in pieces. */
    static const char two[] = "POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
                              "GET /missing HTTP/1.1\r\nHost: h\r\n\r\n";
    for (size_t i = 0; i < sizeof two - 1; i++) {
        CHECK_OK(stream_write(f.client.s, view_of(two + i, 1)));
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        if (f.requests == 2)
            assert_string_equal(f.seen, "POST /p host=h uri=none body=abcdefg");
    }
    WAIT(&f.loop, has(&f.client, "404 Not Found"));
    assert_int_equal(f.requests, 3);
    buf_clear(&f.client.in);
    say(&f, "HEAD /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    WAIT(&f.loop, f.client.ended);
    assert_true(has(&f.client, "Content-Length: 3\r\n"));
    assert_true(has(&f.client, "Connection: close\r\n"));
    assert_false(has(&f.client, "hi\n"));
    end(&f);
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *status;
    } rows[] = {
        {"nonsense\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/2.7\r\nHost: h\r\n\r\n", "HTTP/1.1 505 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 101\r\n\r\n", "HTTP/1.1 413 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f;
        begin(&f, NULL, 100, 0);
        connect_client(&f, &f.client, NULL);
        say(&f, rows[i].request);
        WAIT(&f.loop, f.client.ended);
        assert_true(has(&f.client, rows[i].status));
        assert_int_equal(f.requests, 0);
        end(&f);
    }
    /* A body in chunks has no length: it is refused when it has grown too large. */
    struct fixture f;
    begin(&f, NULL, 100, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n64\r\n");
    for (int i = 0; i < 10; i++)
        say(&f, "0123456789");
    say(&f, "\r\n1\r\nx");
    WAIT(&f.loop, f.client.ended);
    assert_true(has(&f.client, "HTTP/1.1 413 "));
    assert_int_equal(f.requests, 0);
    end(&f);
}

static void test_continue(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL, 0, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    WAIT(&f.loop, has(&f.client, "HTTP/1.1 100 Continue\r\n\r\n"));
    say(&f, "ok");
    WAIT(&f.loop, has(&f.client, "HTTP/1.1 200 OK"));
    assert_string_equal(f.seen, "POST / host=h uri=none body=ok");
    end(&f);
}

static void test_late_reply(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL, 0, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "GET /late HTTP/1.1\r\nHost: h\r\n\r\nGET /next HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f.loop, f.late);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.requests, 1);
    CHECK_VIEW_STR(httpd_reply_request(f.late)->target, "/late");
    httpd_reply_send(f.late, 200, NULL, VIEW("late"));
    WAIT(&f.loop, f.requests == 2 && has(&f.client, "hi\n"));
    assert_true(has(&f.client, "late"));
    end(&f);
    /* The client has gone meanwhile. */
    begin(&f, NULL, 0, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f.loop, f.late);
    stream_abort(f.client.s, side_closed, &f.client);
    f.client.s = NULL;
    for (int i = 0; i < 50; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    CHECK_VIEW_STR(httpd_reply_request(f.late)->target, "/late");
    httpd_reply_send(f.late, 200, NULL, VIEW("late"));
    end(&f);
}

static void test_large_response(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL, 0, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "GET /big HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    WAIT(&f.loop, f.client.ended);
    assert_true(f.client.in.len > HTTPD_RESPONSE_MAX);
    assert_true(has(&f.client, "Content-Length: 4194304\r\n"));
    end(&f);
}

static void test_connections_max(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL, 0, 1);
    struct side second;
    connect_client(&f, &f.client, NULL);
    say(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f.loop, f.requests == 1);
    connect_client(&f, &second, NULL);
    CHECK_OK(stream_write(second.s, VIEW("GET / HTTP/1.1\r\nHost: h\r\n\r\n")));
    for (int i = 0; i < 50; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.requests, 1);
    side_close(&f.client);
    WAIT(&f.loop, f.requests == 2);
    side_end(&f.loop, &second);
    end(&f);
}

static void test_close(void **state)
{
    (void)state;
    /* An idle connection ends at once, a busy one after its response. */
    struct fixture f;
    begin(&f, NULL, 0, 0);
    struct side idle;
    connect_client(&f, &idle, NULL);
    CHECK_OK(stream_write(idle.s, VIEW("GET / HTTP/1.1\r\nHost: h\r\n\r\n")));
    WAIT(&f.loop, f.requests == 1);
    connect_client(&f, &f.client, NULL);
    say(&f, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f.loop, f.late);
    struct httpd *h = f.httpd;
    f.httpd = NULL;
    httpd_close(h, GUARD_MS, on_closed, &f);
    WAIT(&f.loop, idle.ended);
    assert_false(f.client.ended);
    httpd_reply_send(f.late, 200, NULL, VIEW("bye"));
    WAIT(&f.loop, f.client.ended);
    assert_true(has(&f.client, "Connection: close"));
    side_end(&f.loop, &idle);
    end(&f);
    /* The grace period ends a busy one; its reply may still come. */
    begin(&f, NULL, 0, 0);
    connect_client(&f, &f.client, NULL);
    say(&f, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f.loop, f.late);
    h = f.httpd;
    f.httpd = NULL;
    httpd_close(h, 10, on_closed, &f);
    WAIT(&f.loop, f.client.ended);
    side_close(&f.client);
    WAIT(&f.loop, f.closed);
    httpd_reply_send(f.late, 200, NULL, VIEW("bye"));
    end(&f);
}

static void test_mutual_tls(void **state)
{
    (void)state;
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *server =
        make_server(&(struct tls_server_spec){.chains = &chain,
                                              .chain_count = 1,
                                              .client_ca_pem = certs.ca.cert_pem,
                                              .client_uri = "postern://service/proxy",
                                              .alpn_http1 = true});
    struct tls_context *client =
        make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem,
                                              .chain_pem = certs.proxy.cert_pem,
                                              .key_pem = certs.proxy.key_pem,
                                              .alpn_http1 = true});
    struct fixture f;
    begin(&f, server, 0, 0);
    tls_unref(server);
    connect_client(&f, &f.client, client);
    say(&f, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    WAIT(&f.loop, has(&f.client, "hi\n"));
    assert_string_equal(f.seen, "GET / host=h uri=postern://service/proxy body=");
    end(&f);
    tls_unref(client);
}

/* --- fetch, against this server --- */

struct fetched {
    bool done;
    enum err err;
    unsigned status;
    struct buf body;
    char type[64];
    char why[300];
};

static void on_fetched(void *ctx, const struct fetch_result *r)
{
    struct fetched *o = ctx;
    struct view type;
    assert_false(o->done);
    o->done = true;
    o->err = r->err;
    o->status = r->status;
    (void)snprintf(o->why, sizeof o->why, "%s", r->why);
    CHECK_OK(buf_append(&o->body, r->body));
    if (fetch_header(r, "content-type", &type))
        (void)snprintf(o->type, sizeof o->type, "%.*s", VIEW_FMT(type));
    assert_false(fetch_header(r, "content-typ", &type));
}

static struct fetched fetch(struct fixture *f, struct fetcher *fetcher, struct fetch_request r,
                            const char *url_format)
{
    struct fetched o = {0};
    char url[200];
    struct view host;
    uint16_t port;
    CHECK_OK(address_split(view_str(f->target), 0, &host, &port));
    struct buf text;
    buf_init(&text, sizeof url);
    for (const char *c = url_format; *c; c++)
        CHECK_OK(*c == '#' ? buf_printf(&text, "%u", port) : buf_append_u8(&text, (uint8_t)*c));
    char *copy = buf_to_str(&text);
    buf_fini(&text);
    buf_init(&o.body, 8 << 20);
    if (!r.method)
        r.method = "GET";
    r.url = copy;
    (void)fetch_start(fetcher, &r, on_fetched, &o);
    mem_free(copy);
    assert_false(o.done);
    WAIT(&f->loop, o.done);
    return o;
}

static void test_fetch(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, NULL, 0, 0);
    struct fetcher *fetcher = fetcher_new(&f.loop);
    struct fetched o = fetch(&f, fetcher, (struct fetch_request){0}, "http://127.0.0.1:#/a?q=1");
    CHECK_OK(o.err);
    assert_int_equal(o.status, 200);
    CHECK_VIEW_STR(buf_view(&o.body), "hi\n");
    assert_string_equal(o.type, "text/plain");
    buf_fini(&o.body);
    static const char *const headers[] = {"Accept: application/json"};
    o = fetch(&f, fetcher,
              (struct fetch_request){
                  .method = "POST", .body = VIEW("a=b"), .headers = headers, .header_count = 1},
              "http://127.0.0.1:#/missing");
    CHECK_OK(o.err);
    assert_int_equal(o.status, 404);
    assert_non_null(strstr(f.seen, "POST /missing"));
    assert_non_null(strstr(f.seen, "body=a=b"));
    buf_fini(&o.body);
    o = fetch(&f, fetcher, (struct fetch_request){.body_max = 1000}, "http://127.0.0.1:#/big");
    CHECK_ERR(o.err, ERR_LIMIT);
    buf_fini(&o.body);
    o = fetch(&f, fetcher, (struct fetch_request){.timeout_ms = 50}, "http://127.0.0.1:#/late");
    CHECK_ERR(o.err, ERR_TIMEOUT);
    buf_fini(&o.body);
    httpd_reply_send(f.late, 200, NULL, VIEW("nobody reads this"));
    fetcher_free(fetcher);
    end(&f);
}

static void test_fetch_failures(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        enum err err;
    } rows[] = {
        {"http://127.0.0.1:1/", ERR_UNAVAILABLE},
        {"http://name.invalid/", ERR_NOT_FOUND},
        {"ftp://127.0.0.1/x", ERR_SYNTAX},
        {"file:///etc/passwd", ERR_SYNTAX},
        {"nonsense://", ERR_SYNTAX},
    };
    struct fixture f;
    begin(&f, NULL, 0, 0);
    struct fetcher *fetcher = fetcher_new(&f.loop);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fetched o = fetch(&f, fetcher, (struct fetch_request){0}, rows[i].url);
        CHECK_ERR(o.err, rows[i].err);
        assert_true(strlen(o.why) > 0);
        buf_fini(&o.body);
    }
    /* Cancelled, singly and by the end of the fetcher. */
    struct fetched never = {0};
    char url[100];
    (void)snprintf(url, sizeof url, "http://%s/late", f.target);
    const struct fetch_request r = {.method = "GET", .url = url};
    fetch_cancel(fetch_start(fetcher, &r, on_fetched, &never));
    fetch_cancel(NULL);
    (void)fetch_start(fetcher, &r, on_fetched, &never);
    WAIT(&f.loop, f.late);
    fetcher_free(fetcher);
    fetcher_free(NULL);
    assert_false(never.done);
    httpd_reply_send(f.late, 200, NULL, VIEW(""));
    end(&f);
}

static void test_fetch_tls(void **state)
{
    (void)state;
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *server =
        make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
    const struct tls_chain other = {certs.second.cert_pem, certs.second.key_pem};
    struct tls_context *second =
        make_server(&(struct tls_server_spec){.chains = &other, .chain_count = 1});
    struct fixture f;
    begin(&f, server, 0, 0);
    tls_unref(server);
    char path[] = "/tmp/postern-test-ca-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    size_t len = strlen(certs.ca.cert_pem);
    assert_int_equal(write(fd, certs.ca.cert_pem, len), len);
    (void)close(fd);
    struct fetcher *fetcher = fetcher_new(&f.loop);
    struct fetched o =
        fetch(&f, fetcher, (struct fetch_request){.ca_file = path}, "https://127.0.0.1:#/");
    if (o.err != OK)
        fail_msg("%s", o.why);
    assert_int_equal(o.status, 200);
    buf_fini(&o.body);
    /* A name that the certificate has, one that it has not, a CA that the system does not know. */
    o = fetch(&f, fetcher, (struct fetch_request){.ca_file = path}, "https://localhost:#/");
    CHECK_OK(o.err);
    buf_fini(&o.body);
    httpd_set_tls(f.httpd, second);
    fetcher_free(fetcher); /* and the connections that it keeps */
    fetcher = fetcher_new(&f.loop);
    o = fetch(&f, fetcher, (struct fetch_request){.ca_file = path}, "https://127.0.0.1:#/");
    CHECK_ERR(o.err, ERR_VERIFY);
    buf_fini(&o.body);
    o = fetch(&f, fetcher, (struct fetch_request){0}, "https://127.0.0.1:#/");
    CHECK_ERR(o.err, ERR_VERIFY);
    buf_fini(&o.body);
    fetcher_free(fetcher);
    (void)unlink(path);
    end(&f);
    tls_unref(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_on_one_connection),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_late_reply),
        cmocka_unit_test(test_large_response),
        cmocka_unit_test(test_connections_max),
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_mutual_tls),
        cmocka_unit_test(test_fetch),
        cmocka_unit_test(test_fetch_failures),
        cmocka_unit_test(test_fetch_tls),
    };
    certs_init(&certs);
    assert_int_equal(setenv("no_proxy", "*", 1), 0);
    int failed = RUN(tests);
    certs_fini(&certs);
    return failed;
}
