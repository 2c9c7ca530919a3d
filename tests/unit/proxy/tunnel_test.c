#include "tests/unit/proxy/tunnel_fixture.h"

#include <malloc.h>

#include "common/crypto/digest.h"

/* One target, and the cluster in force. */
static void open_with(struct bench *b, struct target *t, void (*serve)(struct target *, int))
{
    target_start(t, serve, 1);
    bench_endpoints(b, &t->port, 1);
    bench_open(b);
}

static void feed(struct client *c, const char *text)
{
    tunnel_read(c->tunnel, view_str(text));
}

/* `reason` NULL: it is open. */
static void assert_known(const struct bench *b, const struct client *c, const char *reason)
{
    const char *said = "";
    assert_true(tunnels_know(b->tunnels, view_str(c->id), &said));
    if (reason)
        assert_string_equal(said, reason);
    else
        assert_null(said);
    assert_false(tunnels_know(b->tunnels, VIEW("another"), &said));
    assert_null(said);
}

/* --- bytes and ends --- */

/* Answers "hello" with "world" after the client's end. */
static void serve_greeting(struct target *t, int fd)
{
    target_read(t, fd);
    target_send(fd, "world", 5);
}

static void test_half_close_by_the_client(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    open_with(b, &t, serve_greeting);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    assert_known(b, &c, NULL);
    assert_int_equal(tunnels_live(b->tunnels), 1);
    assert_string_equal(b->authority, "db.example.com:5432");
    assert_string_equal(b->token, "a.b.c");
    assert_string_equal(b->source, "203.0.113.7");
    assert_string_equal(b->protocol, "tcp");
    feed(&c, "hello");
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    CHECK_VIEW_STR(buf_view(&c.got), "world");
    assert_string_equal(c.sentence, "Both sides have finished.");
    assert_known(b, &c, c.sentence);
    UNTIL(&b->f, b->f.closeds == 1);
    assert_int_equal(b->f.bytes_in, 5);
    assert_int_equal(b->f.bytes_out, 5);
    assert_int_equal(tunnels_live(b->tunnels), 0);
    UNTIL(&b->f, tunnels_count(b->tunnels) == 0);
    client_fini(&c);
    target_stop(b, &t);
}

/* Sends, ends, and goes on reading. */
static void serve_first(struct target *t, int fd)
{
    target_send(fd, "banner", 6);
    (void)shutdown(fd, SHUT_WR);
    target_read(t, fd);
}

static void test_half_close_by_the_target(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    open_with(b, &t, serve_first);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_finished);
    CHECK_VIEW_STR(buf_view(&c.got), "banner");
    assert_false(c.is_closed);
    feed(&c, "still");
    feed(&c, " here");
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    target_join(b, &t);
    CHECK_VIEW_STR(buf_view(&t.got), "still here");
    assert_int_equal(t.end, 0);
    buf_fini(&t.got);
    client_fini(&c);
}

/* --- no tunnel --- */

static void expect_refusal(struct bench *b, enum tunnel_cause cause, const char *text)
{
    struct client c;
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_refused);
    assert_int_equal(c.cause, cause);
    if (!strstr(c.sentence, text))
        fail_msg("no \"%s\" in: %s", text, c.sentence);
    UNTIL(&b->f, tunnels_count(b->tunnels) == 0);
    client_fini(&c);
}

static void test_refusals(void **state)
{
    static const struct {
        Postern__Decision__Verdict verdict;
        Postern__Decision__Cause cause;
        enum tunnel_cause expected;
    } rows[] = {
        {POSTERN__DECISION__VERDICT__LOGIN, POSTERN__DECISION__CAUSE__UNAUTHENTICATED,
         TUNNEL_UNAUTHENTICATED},
        {POSTERN__DECISION__VERDICT__LOGIN, POSTERN__DECISION__CAUSE__TOKEN_INVALID,
         TUNNEL_TOKEN_INVALID},
        {POSTERN__DECISION__VERDICT__DENY, POSTERN__DECISION__CAUSE__POLICY, TUNNEL_DENIED},
        {POSTERN__DECISION__VERDICT__DENY, POSTERN__DECISION__CAUSE__ROUTE_NOT_FOUND,
         TUNNEL_ROUTE_NOT_FOUND},
        {POSTERN__DECISION__VERDICT__DENY, POSTERN__DECISION__CAUSE__CLIENT_CERTIFICATE,
         TUNNEL_CLIENT_CERTIFICATE},
        {POSTERN__DECISION__VERDICT__DENY, POSTERN__DECISION__CAUSE__UNAVAILABLE, TUNNEL_UNDECIDED},
        {POSTERN__DECISION__VERDICT__DENY, POSTERN__DECISION__CAUSE__CAUSE_NONE, TUNNEL_UNDECIDED},
    };
    struct bench *b = *state;
    uint16_t port = fixture_free_port();
    bench_endpoints(b, &port, 1);
    bench_open(b);
    (void)snprintf(b->sentence, sizeof b->sentence, "because");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        b->verdict = rows[i].verdict;
        b->cause = rows[i].cause;
        expect_refusal(b, rows[i].expected, "because");
    }
    assert_int_equal(b->f.closeds, 0);
}

static void test_no_target_can_be_reached(void **state)
{
    struct bench *b = *state;
    uint16_t ports[] = {fixture_free_port(), fixture_free_port()};
    bench_endpoints(b, ports, 2);
    bench_open(b);
    expect_refusal(b, TUNNEL_UPSTREAM, "Route \"tcp+https://db.example.com:5432\"");
    UNTIL(&b->f, b->f.closeds == 1);
    assert_null(strstr(b->f.reason, "127.0.0.1"));
}

static void test_route_without_a_cluster(void **state)
{
    struct bench *b = *state;
    uint16_t port = fixture_free_port();
    bench_endpoints(b, &port, 1);
    b->cluster.route_id = (char *)(uintptr_t) "r2";
    bench_open(b);
    expect_refusal(b, TUNNEL_UNDECIDED, "try again");
}

static void test_authorize_is_mute(void **state)
{
    struct bench *b = *state;
    uint16_t port = fixture_free_port();
    bench_endpoints(b, &port, 1);
    bench_open(b);
    b->f.is_mute = true;
    expect_refusal(b, TUNNEL_UNDECIDED, "try again");
}

static void test_next_endpoint(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    target_start(&t, serve_greeting, 3);
    uint16_t ports[] = {fixture_free_port(), t.port, fixture_free_port()};
    bench_endpoints(b, ports, 3);
    bench_open(b);
    for (int i = 0; i < 3; i++) {
        client_open(b, &c, TUNNEL_TCP);
        UNTIL(&b->f, c.is_accepted);
        tunnel_finish(c.tunnel);
        UNTIL(&b->f, c.is_closed);
        CHECK_VIEW_STR(buf_view(&c.got), "world");
        client_fini(&c);
    }
    target_stop(b, &t);
}

/* A listener whose queue is full: what connects to it waits. */
struct black_hole {
    int listener;
    int waiting[4];
    uint16_t port;
};

static void black_hole_open(struct black_hole *h)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    h->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(h->listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(h->listener, 0), 0);
    assert_int_equal(getsockname(h->listener, (struct sockaddr *)&a, &len), 0);
    h->port = ntohs(a.sin_port);
    for (size_t i = 0; i < ARRAY_LEN(h->waiting); i++) {
        h->waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(h->waiting[i], (struct sockaddr *)&a, sizeof a);
    }
}

static void black_hole_close(struct black_hole *h)
{
    for (size_t i = 0; i < ARRAY_LEN(h->waiting); i++)
        (void)close(h->waiting[i]);
    (void)close(h->listener);
}

static void test_endpoints_that_do_not_answer(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    struct black_hole holes[3];
    uint16_t ports[4];
    for (size_t i = 0; i < ARRAY_LEN(holes); i++) {
        black_hole_open(&holes[i]);
        ports[i] = holes[i].port;
    }
    target_start(&t, serve_greeting, 1);
    ports[3] = t.port;
    bench_endpoints(b, ports, 4);
    b->cluster.connect_timeout_ms = 200;
    bench_open(b);
    uint64_t begun = loop_clock_ms();
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    assert_true(loop_clock_ms() - begun >= 600);
    tunnel_gone(c.tunnel, "done");
    client_fini(&c);
    target_stop(b, &t);
    for (size_t i = 0; i < ARRAY_LEN(holes); i++)
        black_hole_close(&holes[i]);
}

/* --- bulk --- */

enum { BULK = 64 << 20 };

static uint8_t *bulk_bytes(void)
{
    static uint8_t *bytes;
    uint64_t x = 88172645463325252u;
    if (bytes)
        return bytes;
    bytes = mem_zalloc(BULK);
    for (size_t i = 0; i < BULK; i += 8) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(bytes + i, &x, 8);
    }
    return bytes;
}

static void serve_bulk(struct target *t, int fd)
{
    target_send(fd, bulk_bytes(), t->amount);
    (void)shutdown(fd, SHUT_WR);
    target_read(t, fd);
}

/* Sends as the tunnel wants it; true when all is sent. */
static bool send_some(struct client *c, size_t *at, size_t len)
{
    while (*at < len && !c->is_paused && !c->is_closed) {
        size_t n = len - *at < 65536 ? len - *at : 65536;
        tunnel_read(c->tunnel, view_of(bulk_bytes() + *at, n));
        *at += n;
    }
    return *at == len;
}

static void check_same(struct view got)
{
    uint8_t a[DIGEST_MAX];
    uint8_t e[DIGEST_MAX];
    assert_int_equal(got.len, BULK);
    digest(DIGEST_SHA256, got, a);
    digest(DIGEST_SHA256, view_of(bulk_bytes(), BULK), e);
    assert_memory_equal(a, e, 32);
}

static void test_bulk_both_ways(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    size_t at = 0;
    (void)bulk_bytes();
    open_with(b, &t, serve_bulk);
    t.amount = BULK;
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    UNTIL(&b->f, send_some(&c, &at, BULK));
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    check_same(buf_view(&c.got));
    target_join(b, &t);
    check_same(buf_view(&t.got));
    assert_int_equal(t.end, 0);
    buf_fini(&t.got);
    client_fini(&c);
}

/* Of the address sanitizer, where it stands in for the allocator. */
[[gnu::weak]] size_t __sanitizer_get_current_allocated_bytes(void);

static size_t memory(void)
{
    struct mallinfo2 info = mallinfo2();
    if (__sanitizer_get_current_allocated_bytes)
        return __sanitizer_get_current_allocated_bytes();
    return info.uordblks + info.hblkhd;
}

static void turn(struct bench *b, int times)
{
    for (int i = 0; i < times; i++) {
        bool flag = false;
        uv_timer_t timer;
        (void)uv_timer_init(&b->f.loop.uv, &timer);
        timer.data = &flag;
        (void)uv_timer_start(&timer, fixture_alarm, 5, 5); /* as UNTIL has it */
        (void)uv_run(&b->f.loop.uv, UV_RUN_ONCE);
        uv_close((uv_handle_t *)&timer, NULL);
        (void)uv_run(&b->f.loop.uv, UV_RUN_NOWAIT);
    }
}

/* A client that reads 100 bytes now and then, of a target that sends as fast as it can. */
static void test_slow_client(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    (void)bulk_bytes();
    open_with(b, &t, serve_bulk);
    t.amount = BULK;
    client_open(b, &c, TUNNEL_TCP);
    c.room = 0;
    UNTIL(&b->f, c.is_accepted);
    size_t before = memory();
    for (int i = 0; i < 100; i++) {
        c.room = 100;
        tunnel_drain(c.tunnel);
        turn(b, 1);
        assert_true(memory() < before + (1 << 20));
    }
    assert_int_equal(c.got.len, 100 * 100);
    c.room = SIZE_MAX / 2;
    tunnel_drain(c.tunnel);
    UNTIL(&b->f, c.is_finished);
    check_same(buf_view(&c.got));
    tunnel_gone(c.tunnel, "the client has left");
    client_fini(&c);
    target_stop(b, &t);
}

static void serve_slowly(struct target *t, int fd)
{
    while (!t->is_released)
        (void)usleep(1000);
    target_read(t, fd);
}

static void test_slow_target(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    size_t at = 0;
    (void)bulk_bytes();
    open_with(b, &t, serve_slowly);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    size_t before = memory();
    for (int i = 0; i < 100; i++) {
        (void)send_some(&c, &at, BULK);
        turn(b, 1);
        assert_true(memory() < before + (1 << 20));
    }
    assert_true(c.is_paused);
    assert_true(at < BULK / 2);
    t.is_released = true;
    UNTIL(&b->f, send_some(&c, &at, BULK));
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    target_join(b, &t);
    check_same(buf_view(&t.got));
    buf_fini(&t.got);
    client_fini(&c);
}

/* --- ends that somebody else wants --- */

static void serve_forever(struct target *t, int fd)
{
    uint8_t block[4096] = {0};
    while (!t->is_released && send(fd, block, sizeof block, MSG_NOSIGNAL) > 0)
        ;
    (void)shutdown(fd, SHUT_WR);
    target_read(t, fd);
}

static void test_cut_during_a_transfer(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    open_with(b, &t, serve_forever);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.got.len > 1000000);
    fixture_cut(&b->f, "Your session was ended; connect again to sign in.");
    UNTIL(&b->f, c.is_closed);
    assert_string_equal(c.sentence, "Your session was ended; connect again to sign in.");
    assert_known(b, &c, c.sentence);
    UNTIL(&b->f, b->f.cut_dones == 2 && b->f.closeds == 1);
    t.is_released = true;
    target_join(b, &t);
    assert_int_equal(t.end, 0); /* FIN, no RST */
    buf_fini(&t.got);
    client_fini(&c);
}

/* Sends and then resets. */
static void serve_reset(struct target *t, int fd)
{
    struct linger hard = {.l_onoff = 1};
    uint8_t byte;
    target_send(fd, "before", 6);
    (void)recv(fd, &byte, 1, 0);
    (void)t;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
}

static void test_target_resets(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    open_with(b, &t, serve_reset);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.got.len == 6);
    feed(&c, "x");
    UNTIL(&b->f, c.is_closed);
    CHECK_VIEW_STR(buf_view(&c.got), "before");
    if (!strstr(c.sentence, "connection to the target is lost"))
        fail_msg("%s", c.sentence);
    client_fini(&c);
    target_stop(b, &t);
}

static void serve_silence(struct target *t, int fd)
{
    target_read(t, fd);
}

static void expect_end(struct bench *b, const char *text)
{
    struct target t;
    struct client c;
    open_with(b, &t, serve_silence);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_closed);
    if (!strstr(c.sentence, text))
        fail_msg("%s", c.sentence);
    client_fini(&c);
    target_stop(b, &t);
    assert_int_equal(t.end, 0);
}

static void test_idle(void **state)
{
    struct bench *b = *state;
    b->cluster.idle_timeout_ms = 200;
    expect_end(b, "nothing came through it");
}

static void test_timeout(void **state)
{
    struct bench *b = *state;
    b->cluster.timeout_ms = 200;
    expect_end(b, "as long as its route allows");
}

static void test_client_leaves(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    open_with(b, &t, serve_silence);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    tunnel_gone(c.tunnel, "the client has left");
    UNTIL(&b->f, b->f.closeds == 1);
    assert_string_equal(b->f.reason, "the client has left");
    assert_false(c.is_closed);
    b->f.is_mute = true;
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, b->f.checks == 2);
    tunnel_gone(c.tunnel, "the client has left");
    UNTIL(&b->f, b->f.cancels == 1);
    UNTIL(&b->f, tunnels_count(b->tunnels) == 0);
    client_fini(&c);
    target_stop(b, &t);
}

static void test_drain_and_stop(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    struct client late;
    bool drained = false;
    open_with(b, &t, serve_silence);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    tunnels_drain(b->tunnels, fixture_flag, &drained);
    client_open(b, &late, TUNNEL_TCP);
    UNTIL(&b->f, late.is_refused);
    assert_int_equal(late.cause, TUNNEL_BUSY);
    client_fini(&late);
    assert_false(drained);
    bench_stop(b);
    assert_true(drained);
    assert_true(c.is_closed);
    if (!strstr(c.sentence, "restarting"))
        fail_msg("%s", c.sentence);
    client_fini(&c);
    target_stop(b, &t);
    assert_int_equal(t.end, 0);
}

static void test_authorize_is_restarted(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    open_with(b, &t, serve_greeting);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    fixture_stop_authorize(&b->f);
    UNTIL(&b->f, !b->f.connected);
    bench_start_authorize(b);
    UNTIL(&b->f, b->f.connected && b->f.registers == 1);
    assert_int_equal(b->f.live_registered, 1);
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    CHECK_VIEW_STR(buf_view(&c.got), "world");
    client_fini(&c);
    target_stop(b, &t);
}

static void test_revocation_grace(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    b->f.config->revocation_grace = 500;
    open_with(b, &t, serve_silence);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    fixture_stop_authorize(&b->f);
    UNTIL(&b->f, c.is_closed);
    if (!strstr(c.sentence, "could not check for too long"))
        fail_msg("%s", c.sentence);
    client_fini(&c);
    target_stop(b, &t);
}

/* Whoever is told of an end lets the others go: the tunnels of one HTTP/2 connection do. */
static struct client *siblings;

static void close_all(void *ctx, const char *reason)
{
    client_close(ctx, reason);
    for (size_t i = 0; i < 3; i++) {
        if (!siblings[i].is_closed)
            tunnel_gone(siblings[i].tunnel, "the connection is gone");
        siblings[i].is_closed = true;
    }
}

static void test_ends_that_bring_others(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c[3];
    struct tunnel_client functions = client_functions;
    functions.close = close_all;
    siblings = c;
    b->f.config->revocation_grace = 500;
    target_start(&t, serve_silence, 3);
    bench_endpoints(b, &t.port, 1);
    bench_open(b);
    for (size_t i = 0; i < 3; i++) {
        client_open_with(b, &c[i], TUNNEL_TCP, &functions);
        UNTIL(&b->f, c[i].is_accepted);
    }
    fixture_stop_authorize(&b->f);
    UNTIL(&b->f, tunnels_count(b->tunnels) == 0);
    for (size_t i = 0; i < 3; i++) {
        assert_true(c[i].is_closed);
        client_fini(&c[i]);
    }
    bench_stop(b);
    target_stop(b, &t);
}

/* --- questions --- */

struct question {
    bool is_answered;
    bool allowed;
    enum tunnel_cause cause;
    char body[64];
};

static void on_answer(void *ctx, const struct access_answer *a)
{
    struct question *q = ctx;
    assert_false(q->is_answered);
    q->is_answered = true;
    q->allowed = a->allowed;
    q->cause = a->refusal.cause;
    (void)snprintf(q->body, sizeof q->body, "%.*s", VIEW_FMT(a->body));
}

static struct access *ask(struct bench *b, struct question *q)
{
    static const struct address peer = {.family = ADDRESS_V4, .ip = {203, 0, 113, 7}};
    const struct tunnel_ask a = {.authority = VIEW("gw.example.com"),
                                 .method = VIEW("GET"),
                                 .path = VIEW("/healthz"),
                                 .request_id = "req",
                                 .peer = &peer,
                                 .http = "HTTP/2"};
    *q = (struct question){0};
    return access_open(b->tunnels, &a, on_answer, q);
}

static void test_access(void **state)
{
    struct bench *b = *state;
    struct question q;
    struct question canceled;
    uint16_t port = fixture_free_port();
    bench_endpoints(b, &port, 1);
    bench_open(b);
    (void)snprintf(b->body, sizeof b->body, "{}");
    (void)ask(b, &q);
    UNTIL(&b->f, q.is_answered);
    assert_true(q.allowed);
    assert_string_equal(q.body, "{}");
    assert_string_equal(b->protocol, "http");
    b->verdict = POSTERN__DECISION__VERDICT__LOGIN;
    b->cause = POSTERN__DECISION__CAUSE__TOKEN_INVALID;
    (void)ask(b, &q);
    UNTIL(&b->f, q.is_answered);
    assert_false(q.allowed);
    assert_int_equal(q.cause, TUNNEL_TOKEN_INVALID);
    access_cancel(ask(b, &canceled));
    b->f.is_mute = true;
    (void)ask(b, &q);
    bench_stop(b);
    assert_true(q.is_answered);
    assert_int_equal(q.cause, TUNNEL_BUSY);
    assert_false(canceled.is_answered);
    assert_int_equal(b->f.closeds, 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_half_close_by_the_client),
        TEST(test_half_close_by_the_target),
        TEST(test_refusals),
        TEST(test_no_target_can_be_reached),
        TEST(test_route_without_a_cluster),
        TEST(test_authorize_is_mute),
        TEST(test_next_endpoint),
        TEST(test_endpoints_that_do_not_answer),
        TEST(test_bulk_both_ways),
        TEST(test_slow_client),
        TEST(test_slow_target),
        TEST(test_cut_during_a_transfer),
        TEST(test_target_resets),
        TEST(test_idle),
        TEST(test_timeout),
        TEST(test_client_leaves),
        TEST(test_drain_and_stop),
        TEST(test_authorize_is_restarted),
        TEST(test_revocation_grace),
        TEST(test_ends_that_bring_others),
        TEST(test_access),
    };
    return RUN(tests);
}
