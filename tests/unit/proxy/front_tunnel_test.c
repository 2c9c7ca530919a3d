#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/daemon/metrics.h"
#include "tests/unit/proxy/front_fixture.h"
#include "tests/unit/proxy/front_tunnels.h"

#define CONNECT "CONNECT Redis.test:6379 HTTP/1.1\r\nHost: Redis.test:6379\r\n"
#define UDP_PATH "/.well-known/masque/udp/dns.test/53/"

static void start(struct fixture *f)
{
    f->settings.tunnels = FAKE_TUNNELS_POINTER;
    f->settings.cookie_name = "_pomerium";
    fake_reset();
    begin_with(f, HTTPD);
}

static void finish(struct fixture *f)
{
    end(f);
    for (size_t i = 0; i < fake.count; i++)
        assert_null(fake.tunnels[i].client);
    fake_reset();
}

/* The client has got this and nothing else. */
static void check_got(struct fixture *f, const char *text)
{
    WAIT(&f->loop, f->browser.in.len >= strlen(text));
    CHECK_VIEW_STR(buf_view(&f->browser.in), text);
}

static struct tunnel *accepted(struct fixture *f, const char *request)
{
    say(f, request);
    WAIT(&f->loop, fake.count == 1);
    fake_accept(&fake.tunnels[0]);
    WAIT(&f->loop, has(&f->browser, "\r\n\r\n"));
    return &fake.tunnels[0];
}

static void test_connect(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    say(&f, CONNECT "Authorization: Pomerium tok\r\nUser-Agent: a b\r\n\r\nearly");
    WAIT(&f.loop, fake.count == 1);
    struct tunnel *u = &fake.tunnels[0];
    assert_int_equal(u->kind, TUNNEL_TCP);
    assert_string_equal(u->text, "CONNECT redis.test:6379  token=tok at=2 agent=a b HTTP/1.1");
    say(&f, " too");
    spin(&f, 20);
    assert_int_equal(u->in.len, 0);
    fake_accept(u);
    WAIT(&f.loop, u->in.len == 9);
    CHECK_VIEW_STR(buf_view(&u->in), "early too");
    assert_true(has(&f.browser, "HTTP/1.1 200 OK\r\n"));
    assert_true(has(&f.browser, "X-Postern-Connection: 0123456789abcdef0123456789abcdef\r\n"));
    assert_true(has(&f.browser, "X-Request-Id: "));
    assert_false(has(&f.browser, "Content-Length"));
    assert_false(has(&f.browser, "Transfer-Encoding"));
    assert_false(has(&f.browser, "Capsule-Protocol"));
    assert_true(view_ends_with(buf_view(&f.browser.in), VIEW("\r\n\r\n")));
    buf_clear(&f.browser.in);
    CHECK_OK(fake_write(u, "+PONG\r\n"));
    check_got(&f, "+PONG\r\n");
    say(&f, "GET / HTTP/1.1\r\n");
    WAIT(&f.loop, u->in.len == 25);
    /* Each direction ends by itself. */
    u->client->finish(u->ctx);
    WAIT(&f.loop, f.browser.ended);
    say(&f, "!");
    stream_shutdown(f.browser.s);
    WAIT(&f.loop, u->finished);
    CHECK_VIEW_STR(view_skip(buf_view(&u->in), 25), "!");
    fake_close(u);
    finish(&f);
}

/* The client hears what was written, then a clean end. */
static void test_close(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    struct tunnel *u = accepted(&f, CONNECT "\r\n");
    buf_clear(&f.browser.in);
    CHECK_OK(fake_write(u, "last words"));
    fake_close(u);
    WAIT(&f.loop, f.browser.ended || f.browser.failed);
    assert_true(f.browser.ended);
    CHECK_VIEW_STR(buf_view(&f.browser.in), "last words");
    finish(&f);
    /* Within a callback, too. */
    f = (struct fixture){0};
    start(&f);
    say(&f, CONNECT "\r\n");
    WAIT(&f.loop, fake.count == 1);
    fake.tunnels[0].close_on_read = true;
    fake_accept(&fake.tunnels[0]);
    say(&f, "x");
    WAIT(&f.loop, f.browser.ended);
    finish(&f);
}

static void test_half_closed_early(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    say(&f, CONNECT "\r\nall of it");
    stream_shutdown(f.browser.s);
    WAIT(&f.loop, fake.count == 1);
    spin(&f, 50);
    fake.tunnels[0].pause_on_read = true;
    fake_accept(&fake.tunnels[0]);
    WAIT(&f.loop, fake.tunnels[0].in.len == 9);
    spin(&f, 20);
    assert_false(fake.tunnels[0].finished);
    fake.tunnels[0].client->resume(fake.tunnels[0].ctx);
    WAIT(&f.loop, fake.tunnels[0].finished);
    CHECK_OK(fake_write(&fake.tunnels[0], "answer"));
    WAIT(&f.loop, has(&f.browser, "\r\n\r\nanswer"));
    fake_close(&fake.tunnels[0]);
    finish(&f);
}

static void test_client_leaves(void **state)
{
    (void)state;
    for (int live = 0; live < 2; live++) {
        struct fixture f = {0};
        start(&f);
        if (live)
            (void)accepted(&f, CONNECT "\r\n");
        else
            say(&f, CONNECT "\r\n");
        WAIT(&f.loop, fake.count == 1);
        stream_abort(f.browser.s, side_closed, &f.browser);
        f.browser.s = NULL;
        WAIT(&f.loop, fake.tunnels[0].gone || fake.tunnels[0].finished);
        if (fake.tunnels[0].client)
            fake_close(&fake.tunnels[0]);
        finish(&f);
    }
}

/* Neither side makes the other's bytes pile up here. */
static void test_back_pressure(void **state)
{
    (void)state;
    enum { PIECE = 65536, PIECES = 400 };
    struct fixture f = {0};
    static char piece[PIECE];
    start(&f);
    struct tunnel *u = accepted(&f, CONNECT "\r\n");
    u->pause_on_read = true;
    f.browser.pause_on_read = true;
    for (int i = 0; i < 100; i++)
        CHECK_OK(stream_write(f.browser.s, view_of(piece, PIECE)));
    spin(&f, 300);
    assert_true(u->in.len <= PIECE);
    int written = 0;
    while (written < PIECES && u->client->write(u->ctx, view_of(piece, PIECE)) == OK) {
        written++;
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    }
    assert_true(written < PIECES);
    assert_true(u->client->room(u->ctx) < PIECE);
    assert_int_equal(u->client->write(u->ctx, view_of(piece, PIECE)), ERR_LIMIT);
    int drains = u->drains;
    buf_clear(&f.browser.in);
    f.browser.pause_on_read = false;
    stream_resume(f.browser.s);
    WAIT(&f.loop, u->drains > drains);
    u->pause_on_read = false;
    u->client->resume(u->ctx);
    WAIT(&f.loop, u->in.len == 100 * PIECE);
    fake_close(u);
    finish(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char url[] = "https://auth.test/.pomerium/sign_in?x=y";
    static const struct {
        const char *fields;
        enum tunnel_cause cause;
        const char *url;
        const char *has[3];
    } rows[] = {
        {"",
         TUNNEL_UNAUTHENTICATED,
         url,
         {"HTTP/1.1 302 ", "Location: https://auth.test/.pomerium/sign_in?x=y\r\n", "<!doctype"}},
        {"Accept: application/json\r\n",
         TUNNEL_UNAUTHENTICATED,
         url,
         {"HTTP/1.1 401 ", "\"message\":\"Because &.\"", "application/json\r\n"}},
        {"Accept: text/plain\r\n",
         TUNNEL_UNAUTHENTICATED,
         url,
         {"HTTP/1.1 401 ", "\r\n\r\nBecause &.\n", "text/plain"}},
        {"", TUNNEL_UNAUTHENTICATED, "", {"HTTP/1.1 401 ", "Because &amp;.", "text/html"}},
        {"Authorization: Pomerium x\r\n", TUNNEL_TOKEN_INVALID, url, {"HTTP/1.1 401 ", "", ""}},
        {"Cookie: _pomerium=a.b.c\r\n", TUNNEL_TOKEN_INVALID, url, {"HTTP/1.1 302 ", "", ""}},
        {"", TUNNEL_DENIED, "", {"HTTP/1.1 403 ", "intercepted-Response: true\r\n", ""}},
        {"", TUNNEL_ROUTE_NOT_FOUND, "", {"HTTP/1.1 404 ", "", ""}},
        {"", TUNNEL_CLIENT_CERTIFICATE, "", {"HTTP/1.1 495 ", "", ""}},
        {"", TUNNEL_UPSTREAM, "", {"HTTP/1.1 503 ", "", ""}},
        {"", TUNNEL_BUSY, "", {"HTTP/1.1 503 ", "", ""}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f = {0};
        start(&f);
        say(&f, CONNECT);
        say(&f, rows[i].fields);
        say(&f, "\r\n");
        WAIT(&f.loop, fake.count == 1);
        fake_refuse(&fake.tunnels[0], rows[i].cause, "Because &.", rows[i].url);
        WAIT(&f.loop, f.browser.ended);
        for (size_t k = 0; k < 3; k++) {
            if (!has(&f.browser, rows[i].has[k]) && k != 1)
                fail_msg("row %zu: no %s", i, rows[i].has[k]);
        }
        assert_true(has(&f.browser, "X-Request-Id: "));
        assert_true(has(&f.browser, "X-Pomerium-Intercepted-Response: true\r\n"));
        finish(&f);
    }
}

static void test_udp(void **state)
{
    (void)state;
    static const struct {
        const char *host;
        const char *status;
        bool upgrade;
    } rows[] = {
        {"gw.test", "HTTP/1.1 101 Switching Protocols\r\n", true},
        {"dns.test:53", "HTTP/1.1 200 OK\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f = {0};
        AUTO_FREE char *request = mem_printf(
            "GET " UDP_PATH "?pomerium_session=tok HTTP/1.1\r\nHost: %s\r\n"
            "Connection: Upgrade\r\nUpgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n",
            rows[i].host);
        start(&f);
        struct tunnel *u = accepted(&f, request);
        assert_int_equal(u->kind, TUNNEL_UDP);
        assert_string_equal(u->text, "GET dns.test:53 " UDP_PATH " token=tok at=3 agent= HTTP/1.1");
        assert_true(has(&f.browser, rows[i].status));
        assert_true(has(&f.browser, "Capsule-Protocol: ?1\r\n"));
        assert_int_equal(has(&f.browser, "Upgrade: connect-udp\r\n"), rows[i].upgrade);
        assert_false(has(&f.browser, "Content-Length"));
        assert_false(has(&f.browser, "Transfer-Encoding"));
        buf_clear(&f.browser.in);
        CHECK_OK(fake_write(u, "capsule"));
        check_got(&f, "capsule");
        say(&f, "other");
        WAIT(&f.loop, u->in.len == 5);
        fake_close(u);
        WAIT(&f.loop, f.browser.ended);
        finish(&f);
    }
}

static void test_questions(void **state)
{
    (void)state;
    enum { BODY = 1 << 20 };
    struct fixture f = {0};
    start(&f);
    say(&f, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "\r\n\r\nOK\n"));
    assert_int_equal(fake.asked, 0);
    say(&f, "GET /healthz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer Pomerium-tok\r\n"
            "Accept: application/json\r\n\r\n");
    WAIT(&f.loop, fake.asked == 1);
    assert_string_equal(fake.text, "GET x /healthz token=tok at=2 agent= HTTP/1.1");
    buf_clear(&f.browser.in);
    fake_answer(&(struct access_answer){.allowed = true});
    WAIT(&f.loop, has(&f.browser, "\r\n\r\nOK\n"));
    say(&f, "GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: _pomerium=a.b.c\r\n\r\n");
    WAIT(&f.loop, fake.asked == 2);
    buf_clear(&f.browser.in);
    fake_answer(&(struct access_answer){.refusal = {TUNNEL_TOKEN_INVALID, "No.", "https://y"}});
    WAIT(&f.loop, has(&f.browser, "HTTP/1.1 401 "));
    say(&f, "GET /.pomerium/api/v1/routes HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, fake.asked == 3);
    buf_clear(&f.browser.in);
    static char body[BODY];
    memset(body, 'r', sizeof body);
    fake_answer(&(struct access_answer){.allowed = true, .body = view_of(body, BODY)});
    WAIT(&f.loop, f.browser.in.len > BODY);
    assert_true(has(&f.browser, "Content-Length: 1048576\r\n"));
    WAIT(&f.loop, view_ends_with(buf_view(&f.browser.in), view_of(body, BODY)));
    buf_clear(&f.browser.in);
    say(&f, "GET /.pomerium/api/v1/tunnels/ended HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "{\"reason\":\"The session \\\"x\\\" has ended.\"}"));
    buf_clear(&f.browser.in);
    say(&f, "GET /.pomerium/api/v1/tunnels/open HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "HTTP/1.1 200 ") && has(&f.browser, "\r\n\r\n{}"));
    say(&f, "GET /.pomerium/api/v1/tunnels/other HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "HTTP/1.1 404 "));
    /* Whoever leaves wants no answer. */
    say(&f, "GET /.pomerium/api/v1/routes HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, fake.asked == 4);
    finish(&f);
}

static void test_cancelled(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    say(&f, "GET /.pomerium/api/v1/routes HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, fake.asked == 1);
    stream_abort(f.browser.s, side_closed, &f.browser);
    f.browser.s = NULL;
    front_close(f.front, set_true, &f.front_closed);
    f.front = NULL;
    WAIT(&f.loop, f.front_closed);
    assert_int_equal(fake.cancelled, 1);
    finish(&f);
}

/* Tunnels outlive a drain, and are ended by a close. */
static void test_drain(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    struct tunnel *u = accepted(&f, CONNECT "\r\n");
    front_drain(f.front, set_true, &f.drained);
    CHECK_OK(fake_write(u, "still"));
    WAIT(&f.loop, has(&f.browser, "still"));
    assert_false(f.drained);
    fake_close(u);
    WAIT(&f.loop, f.browser.ended);
    side_close(&f.browser);
    WAIT(&f.loop, f.drained);
    finish(&f);
    f = (struct fixture){0};
    start(&f);
    u = accepted(&f, CONNECT "\r\n");
    front_close(f.front, set_true, &f.front_closed);
    f.front = NULL;
    assert_true(u->gone);
    WAIT(&f.loop, f.browser.ended);
    finish(&f);
}

static void test_limits(void **state)
{
    (void)state;
    struct fixture f = {.settings.tunnels_max = 1, .settings.head_ms = 200};
    struct side second;
    int64_t busy = metrics_get(METRIC_TUNNELS, "tcp", "busy");
    start(&f);
    (void)accepted(&f, CONNECT "\r\n");
    connect_side(&f, &second);
    CHECK_OK(stream_write(second.s, VIEW(CONNECT "\r\n")));
    WAIT(&f.loop, has(&second, "HTTP/1.1 503 "));
    assert_int_equal(fake.count, 1);
    assert_int_equal(metrics_get(METRIC_TUNNELS, "tcp", "busy"), busy + 1);
    side_end(&f.loop, &second);
    /* A head has its time, and so has the wait for one. */
    connect_side(&f, &second);
    CHECK_OK(stream_write(second.s, VIEW("GET / HTTP/1.1\r\nHost:")));
    WAIT(&f.loop, second.ended);
    assert_true(has(&second, "HTTP/1.1 408 Request Timeout\r\n"));
    assert_true(has(&second, "\r\n\r\nThe request did not come in time.\n"));
    side_end(&f.loop, &second);
    connect_side(&f, &second);
    WAIT(&f.loop, second.ended);
    assert_int_equal(second.in.len, 0);
    side_end(&f.loop, &second);
    /* The tunnel has none of them. */
    CHECK_OK(fake_write(&fake.tunnels[0], "alive"));
    WAIT(&f.loop, has(&f.browser, "alive"));
    finish(&f);
}

/* A connected socket from one of the addresses of loopback; -1 where there is none. */
static int knock(const struct fixture *f, const char *from)
{
    struct address own;
    struct address to;
    struct sockaddr_storage sa;
    CHECK_OK(address_parse_ip(view_str(from), &own));
    CHECK_OK(address_parse(view_str(f->target), &to));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    socklen_t len = address_to_sockaddr(&own, &sa);
    assert_int_equal(bind(fd, (struct sockaddr *)&sa, len), 0);
    len = address_to_sockaddr(&to, &sa);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static bool is_closed(int fd)
{
    uint8_t byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0 || errno == ECONNRESET;
}

/* Whoever opens most loses first; a tunnel and a lone visitor stay. */
static void test_flood(void **state)
{
    (void)state;
    enum { FLOOD = FRONT_CONNECTIONS_MAX };
    struct fixture f = {.is_plain = true};
    static int flood[FLOOD];
    const struct rlimit limit = {4 * FLOOD, 4 * FLOOD};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    start(&f);
    struct tunnel *u = accepted(&f, CONNECT "\r\n");
    int visitor = knock(&f, "127.0.0.3");
    spin(&f, 5);
    for (size_t i = 0; i < FLOOD; i++) {
        flood[i] = knock(&f, "127.0.0.2");
        spin(&f, 2);
    }
    int late = knock(&f, "127.0.0.4");
    WAIT(&f.loop, is_closed(flood[0]) && is_closed(flood[1]));
    spin(&f, 20);
    assert_false(is_closed(flood[FLOOD - 1]) || is_closed(visitor) || is_closed(late));
    CHECK_OK(fake_write(u, "alive"));
    WAIT(&f.loop, has(&f.browser, "alive"));
    /* Short of memory few are kept, and there is no new tunnel. */
    front_rest(f.front, true);
    WAIT(&f.loop, is_closed(flood[FLOOD - FRONT_CONNECTIONS_REST]));
    assert_false(is_closed(visitor));
    assert_int_equal(send(late, CONNECT "\r\n", sizeof CONNECT + 1, 0), sizeof CONNECT + 1);
    char answer[100] = "";
    WAIT(&f.loop, recv(late, answer, sizeof answer - 1, MSG_DONTWAIT | MSG_PEEK) > 0);
    assert_non_null(strstr(answer, "HTTP/1.1 503 "));
    fake_close(u);
    for (size_t i = 0; i < FLOOD; i++)
        (void)close(flood[i]);
    (void)close(visitor);
    (void)close(late);
    finish(&f);
}

static void test_plain(void **state)
{
    (void)state;
    struct fixture f = {.is_plain = true};
    start(&f);
    say(&f, "P");
    spin(&f, 10);
    say(&f, "OST /ping HTTP/1.1\r\nHost: x\r\n\r\n");
    WAIT(&f.loop, has(&f.browser, "HTTP/1.1 405 "));
    assert_false(has(&f.browser, "Strict-Transport-Security"));
    struct tunnel *u = accepted(&f, CONNECT "\r\n");
    fake_close(u);
    WAIT(&f.loop, f.browser.ended);
    finish(&f);
}

static void test_redirect(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        const char *location; /* NULL: 400 */
    } rows[] = {
        {"GET /a?b=c HTTP/1.1\r\nHost: Web.test\r\n\r\n", "https://web.test:8443/a?b=c"},
        {"HEAD / HTTP/1.1\r\nHost: web.test:80\r\n\r\n", "https://web.test:8443/"},
        {"GET //evil/ HTTP/1.1\r\nHost: [::1]\r\n\r\n", "https://[::1]:8443//evil/"},
        {"GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n", "https://a.test:8443/x"},
        {"POST / HTTP/1.1\r\nHost: web.test\r\nContent-Length: 0\r\n\r\n", NULL},
        {"CONNECT web.test:22 HTTP/1.1\r\nHost: web.test:22\r\n\r\n", NULL},
        {"GET / HTTP/1.1\r\nHost: a@evil\r\n\r\n", NULL},
        {"GET / HTTP/1.0\r\n\r\n", NULL},
        {"OPTIONS * HTTP/1.1\r\nHost: web.test\r\n\r\n", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f = {.is_plain = true, .settings.redirect_port = 8443};
        start(&f);
        say(&f, rows[i].request);
        WAIT(&f.loop, has(&f.browser, "\r\n\r\n"));
        AUTO_FREE char *location = mem_printf("\r\nLocation: %s\r\n", rows[i].location);
        bool ok = rows[i].location ? has(&f.browser, "HTTP/1.1 301 ") && has(&f.browser, location)
                                   : has(&f.browser, "HTTP/1.1 400 ");
        if (!ok)
            fail_msg("row %zu: %.*s", i, VIEW_FMT(buf_view(&f.browser.in)));
        assert_int_equal(fake.count, 0);
        finish(&f);
    }
}

/* What two recipients could read in two ways is refused, and what follows it is not looked at. */
static void test_smuggling(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 4, 4\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\nTransfer_Encoding: chunked\r\n\r\n",
        "POST /ping HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n",
        "POST /ping HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 30\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
        "CONNECT http://a:1/ HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "CONNECT /a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "CONNECT b@a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\nHost: a:1\n\n",
        "CONNECT a:1  HTTP/1.1\r\nHost: a:1\r\n\r\n",
        "CONNECT a:1 HTTP/2.0\r\nHost: a:1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nX: a\rb\r\n\r\n",
        "GET " UDP_PATH " HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: connect-udp\r\n"
        "Content-Length: 3\r\n\r\n",
        "GET " UDP_PATH " HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: connect-udp\r\n"
        "Transfer-Encoding: chunked\r\n\r\n",
        "POST " UDP_PATH " HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: connect-udp\r\n"
        "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fixture f = {0};
        start(&f);
        say(&f, rows[i]);
        say(&f, "CONNECT smuggled:1 HTTP/1.1\r\nHost: smuggled:1\r\n\r\n");
        WAIT(&f.loop, f.browser.ended || f.browser.failed);
        bool refused = has(&f.browser, "HTTP/1.1 400 ") || has(&f.browser, "HTTP/1.1 501 ") ||
                       has(&f.browser, "HTTP/1.1 505 ");
        if (!refused || fake.count)
            fail_msg("row %zu: %zu, %.*s", i, fake.count, VIEW_FMT(buf_view(&f.browser.in)));
        finish(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),       cmocka_unit_test(test_close),
        cmocka_unit_test(test_client_leaves), cmocka_unit_test(test_half_closed_early),
        cmocka_unit_test(test_back_pressure), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_udp),           cmocka_unit_test(test_questions),
        cmocka_unit_test(test_cancelled),     cmocka_unit_test(test_drain),
        cmocka_unit_test(test_limits),        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_redirect),      cmocka_unit_test(test_smuggling),
        cmocka_unit_test(test_flood),
    };
    return FIXTURE_RUN(tests);
}
