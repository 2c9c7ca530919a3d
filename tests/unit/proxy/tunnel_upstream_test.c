/* The ways to a target: PROXY header, TLS, an HTTP proxy in between; and UDP. */
#include "tests/unit/proxy/tunnel_fixture.h"

#include <netinet/tcp.h>
#include <unistd.h>

#include "common/http/capsule.h"

static void expect_text(struct view got, const char *text)
{
    if (view_search(got, view_str(text)) < 0)
        fail_msg("no \"%s\" in: %.*s", text, VIEW_FMT(got));
}

/* --- the socket --- */

static void serve_read(struct target *t, int fd)
{
    target_read(t, fd);
}

/* What the target gets of a client that says "hello". */
static void say_hello(struct bench *b, Postern__Cluster__ProxyHeader header, struct target *t)
{
    struct client c;
    target_start(t, serve_read, 1);
    b->cluster.proxy_header = header;
    bench_endpoints(b, &t->port, 1);
    bench_open(b);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    tunnel_read(c.tunnel, VIEW("hello"));
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    target_join(b, t);
    client_fini(&c);
}

static void test_proxy_header_v1(void **state)
{
    struct target t;
    char line[128];
    say_hello(*state, POSTERN__CLUSTER__PROXY_HEADER__V1, &t);
    (void)snprintf(line, sizeof line, "PROXY TCP4 203.0.113.7 127.0.0.1 4711 %u\r\nhello", t.port);
    CHECK_VIEW_STR(buf_view(&t.got), line);
    buf_fini(&t.got);
}

static void test_proxy_header_v2(void **state)
{
    struct target t;
    struct view start = test_hex("0d0a0d0a 000d0a51 5549540a 21 11 000c cb007107 7f000001 1267");
    say_hello(*state, POSTERN__CLUSTER__PROXY_HEADER__V2, &t);
    const uint8_t port[] = {(uint8_t)(t.port >> 8), (uint8_t)t.port};
    struct view got = buf_view(&t.got);
    CHECK_VIEW(view_take(got, start.len), start);
    CHECK_VIEW(view_take(view_skip(got, start.len), 2), view_of(port, 2));
    CHECK_VIEW_STR(view_skip(got, start.len + 2), "hello");
    buf_fini(&t.got);
}

/* Until a silent connection to that port of 127.0.0.1 is tried; 0: it never is. By proc(5). */
static unsigned long keepalive_seconds(uint16_t port)
{
    char line[512];
    unsigned long found = 0;
    FILE *table = fopen("/proc/net/tcp", "re");
    assert_non_null(table);
    while (fgets(line, sizeof line, table)) {
        unsigned to = 0, state = 0, timer = 0;
        unsigned long when = 0;
        int n = sscanf(line, " %*[^:]: %*[^ ] 0100007F:%X %X %*[^ ] %X:%lX", &to, &state, &timer,
                       &when);
        if (n == 4 && to == port && state == TCP_ESTABLISHED && timer == 2)
            found = when / (unsigned long)sysconf(_SC_CLK_TCK);
    }
    (void)fclose(table);
    return found;
}

static void test_keepalive(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    target_start(&t, serve_read, 1);
    b->cluster.keepalive_ms = 45000;
    bench_endpoints(b, &t.port, 1);
    bench_open(b);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    assert_in_range(keepalive_seconds(t.port), 40, 45);
    tunnel_gone(c.tunnel, "done");
    target_stop(b, &t);
    client_fini(&c);
}

/* --- TLS: the target is openssl's server --- */

struct tls_target {
    struct process p;
    uint16_t port;
    struct x509_pair pair;
};

static void write_pair(struct bench *b, const char *name, const struct x509_pair *pair)
{
    char file[64];
    (void)snprintf(file, sizeof file, "%s.crt", name);
    fixture_write(&b->f, file, view_str(pair->cert_pem));
    (void)snprintf(file, sizeof file, "%s.key", name);
    fixture_write(&b->f, file, view_str(pair->key_pem));
}

static void remove_pair(struct bench *b, const char *name)
{
    char file[64];
    (void)snprintf(file, sizeof file, "%s.crt", name);
    (void)unlink(fixture_path(&b->f, file));
    (void)snprintf(file, sizeof file, "%s.key", name);
    (void)unlink(fixture_path(&b->f, file));
}

static void make_leaf(struct bench *b, const char *dns, bool client, struct x509_pair *out)
{
    const char *names[] = {dns, NULL};
    const struct x509_leaf leaf = {.common_name = dns,
                                   .dns = names,
                                   .not_after_at = UINT64_C(4102444800000),
                                   .server_auth = !client,
                                   .client_auth = client};
    CHECK_OK(x509_make_leaf(&b->f.ca, &leaf, out));
}

/* Echoes lines, turned round. */
static void tls_start(struct bench *b, struct tls_target *t, bool wants_certificate)
{
    char port[32];
    *t = (struct tls_target){.port = fixture_free_port()};
    make_leaf(b, "db.internal", false, &t->pair);
    write_pair(b, "server", &t->pair);
    fixture_write(&b->f, "ca.crt", view_str(b->f.ca.cert_pem));
    (void)snprintf(port, sizeof port, "127.0.0.1:%u", t->port);
    const char *argv[] = {"/usr/bin/openssl",
                          "s_server",
                          "-quiet",
                          "-rev",
                          "-accept",
                          port,
                          "-cert",
                          fixture_path(&b->f, "server.crt"),
                          "-key",
                          fixture_path(&b->f, "server.key"),
                          wants_certificate ? "-Verify" : NULL,
                          "1",
                          "-verify_return_error",
                          "-CAfile",
                          fixture_path(&b->f, "ca.crt"),
                          NULL};
    /* Without a certificate the list ends before -Verify. */
    process_start(&b->f, &t->p, (char **)(uintptr_t)argv);
    /* Nothing on the loop would wake it when the server is there. */
    while (!fixture_can_connect(t->port))
        (void)usleep(10000);
    b->cluster.scheme = POSTERN__CLUSTER__SCHEME__TLS;
    b->cluster.tls = &b->tls;
    b->tls.ca = b->f.ca.cert_pem;
    b->tls.server_name = (char *)(uintptr_t) "db.internal";
}

static void tls_stop(struct bench *b, struct tls_target *t)
{
    (void)uv_process_kill(&t->p.uv, SIGTERM);
    process_wait(&b->f, &t->p);
    process_fini(&t->p);
    x509_pair_fini(&t->pair);
    remove_pair(b, "server");
    (void)unlink(fixture_path(&b->f, "ca.crt"));
}

static void expect_line(struct bench *b)
{
    struct client c;
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_accepted);
    tunnel_read(c.tunnel, VIEW("hello\n"));
    UNTIL(&b->f, c.got.len == 6);
    CHECK_VIEW_STR(buf_view(&c.got), "olleh\n");
    tunnel_gone(c.tunnel, "done");
    client_fini(&c);
}

static void expect_unreachable(struct bench *b)
{
    struct client c;
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.is_refused);
    assert_int_equal(c.cause, TUNNEL_UPSTREAM);
    client_fini(&c);
}

/* The configuration as it is now is in force. */
static void reload(struct bench *b)
{
    bench_routes(b);
    bench_settle(b);
}

static void test_tls(void **state)
{
    struct bench *b = *state;
    struct tls_target t;
    tls_start(b, &t, false);
    bench_endpoints(b, &t.port, 1);
    bench_open(b);
    expect_line(b);
    b->tls.server_name = (char *)(uintptr_t) "other.internal";
    reload(b);
    expect_unreachable(b);
    b->tls.skip_verify = true;
    reload(b);
    expect_line(b);
    b->tls.skip_verify = false;
    b->tls.server_name = (char *)(uintptr_t) "db.internal";
    b->tls.ca = (char *)(uintptr_t) ""; /* the system's store does not know ours */
    reload(b);
    expect_unreachable(b);
    b->tls.ca = (char *)(uintptr_t) "nonsense";
    reload(b);
    expect_unreachable(b);
    b->tls.ca = b->f.ca.cert_pem;
    reload(b);
    expect_line(b);
    tls_stop(b, &t);
}

static void test_tls_with_our_certificate(void **state)
{
    struct bench *b = *state;
    struct tls_target t;
    struct x509_pair ours;
    tls_start(b, &t, true);
    bench_endpoints(b, &t.port, 1);
    bench_open(b);
    make_leaf(b, "gateway.internal", true, &ours);
    b->tls.certificate = ours.cert_pem;
    b->tls.key = ours.key_pem;
    reload(b);
    expect_line(b);
    tls_stop(b, &t);
    x509_pair_fini(&ours);
}

/* A handshake that fails is no tunnel: the next endpoint is tried. */
static void test_next_endpoint_after_a_handshake(void **state)
{
    struct bench *b = *state;
    struct tls_target t;
    struct target plain;
    tls_start(b, &t, false);
    target_start(&plain, serve_read, 8);
    b->cluster.connect_timeout_ms = 1000;
    uint16_t ports[] = {plain.port, t.port};
    bench_endpoints(b, ports, 2);
    bench_open(b);
    expect_line(b);
    expect_line(b);
    tls_stop(b, &t);
    target_stop(b, &plain);
}

/* --- an HTTP proxy --- */

static const char *proxy_answer;

/* Reads a head, answers, and says what the target would say first. */
static void answer_head(struct target *t, int fd)
{
    uint8_t byte;
    while (view_search(buf_view(&t->got), VIEW("\r\n\r\n")) < 0 && recv(fd, &byte, 1, 0) == 1)
        CHECK_OK(buf_append_u8(&t->got, byte));
    target_send(fd, proxy_answer, strlen(proxy_answer));
}

static void serve_proxy(struct target *t, int fd)
{
    answer_head(t, fd);
    target_read(t, fd);
}

static void open_chain(struct bench *b, struct target *t, int connections)
{
    target_start(t, serve_proxy, connections);
    b->cluster.scheme = POSTERN__CLUSTER__SCHEME__HTTP_PROXY;
    bench_endpoints(b, &t->port, 1);
    bench_open(b);
}

static void test_chain(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    proxy_answer = "HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\nbanner";
    open_chain(b, &t, 1);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.got.len == 6);
    CHECK_VIEW_STR(buf_view(&c.got), "banner");
    tunnel_read(c.tunnel, VIEW("hello"));
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    target_join(b, &t);
    struct view got = buf_view(&t.got);
    assert_true(view_starts_with(got, VIEW("CONNECT db.example.com:5432 HTTP/1.1\r\n")));
    expect_text(got, "\r\nHost: db.example.com:5432\r\n");
    assert_true(view_ends_with(got, VIEW("\r\n\r\nhello")));
    assert_int_equal(t.end, 0);
    buf_fini(&t.got);
    client_fini(&c);
}

/* More than the engine holds, right behind the answer. */
static void test_chain_pours(void **state)
{
    enum { MUCH = 1 << 20 };
    struct bench *b = *state;
    struct target t;
    struct client c;
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    AUTO_FREE char *answer = mem_zalloc(sizeof head + MUCH);
    memcpy(answer, head, sizeof head);
    memset(answer + sizeof head - 1, 'x', MUCH);
    proxy_answer = answer;
    open_chain(b, &t, 1);
    client_open(b, &c, TUNNEL_TCP);
    UNTIL(&b->f, c.got.len == MUCH);
    assert_int_equal(view_find(buf_view(&c.got), '\n'), -1);
    tunnel_gone(c.tunnel, "done");
    target_stop(b, &t);
    client_fini(&c);
}

static void test_chain_says_no(void **state)
{
    static const char *const answers[] = {
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
    };
    struct bench *b = *state;
    struct target t;
    open_chain(b, &t, ARRAY_LEN(answers));
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        proxy_answer = answers[i];
        expect_unreachable(b);
    }
    target_stop(b, &t);
}

/* --- UDP --- */

struct udp_target {
    int fd;
    uint16_t port;
    pthread_t thread;
    unsigned burst; /* answers for each datagram */
    size_t largest;
    struct address from;
};

/* Answers each datagram with itself; "stop" ends it. */
static void *udp_run(void *arg)
{
    struct udp_target *t = arg;
    static uint8_t packet[65536];
    struct sockaddr_storage from;
    for (;;) {
        socklen_t len = sizeof from;
        ssize_t n = recvfrom(t->fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &len);
        if (n < 0 || (n == 4 && memcmp(packet, "stop", 4) == 0))
            return NULL;
        if ((size_t)n > t->largest)
            t->largest = (size_t)n;
        for (unsigned i = 0; i < t->burst; i++)
            (void)sendto(t->fd, packet, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
}

static void udp_start(struct udp_target *t, unsigned burst)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof a;
    *t = (struct udp_target){.burst = burst};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    t->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(t->fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(t->fd, (struct sockaddr *)&a, &len), 0);
    t->port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&t->thread, NULL, udp_run, t), 0);
}

static void udp_stop(struct udp_target *t)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(t->port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)sendto(t->fd, "stop", 4, 0, (struct sockaddr *)&a, sizeof a);
    (void)pthread_join(t->thread, NULL);
    (void)close(t->fd);
}

static void open_udp(struct bench *b, struct udp_target *t, unsigned burst, struct client *c)
{
    udp_start(t, burst);
    b->cluster.kind = POSTERN__CLUSTER__KIND__UDP;
    bench_endpoints(b, &t->port, 1);
    bench_open(b);
    client_open(b, c, TUNNEL_UDP);
    UNTIL(&b->f, c->is_accepted);
    assert_string_equal(b->protocol, "udp");
}

/* How many payloads the client has got; they are all `payload`. */
static size_t payloads(const struct client *c, struct view payload)
{
    struct capsule_decoder d = {0};
    struct view in = buf_view(&c->got);
    struct view got;
    size_t n = 0;
    while (capsule_next(&d, &in, &got) == OK) {
        CHECK_VIEW(got, payload);
        n++;
    }
    assert_true(capsule_at_boundary(&d));
    capsule_fini(&d);
    return n;
}

static void test_udp(void **state)
{
    static uint8_t large[60000];
    static const size_t sizes[] = {0, 1, 1200, 1472, sizeof large};
    struct bench *b = *state;
    struct udp_target t;
    struct client c;
    struct buf capsules;
    size_t bytes = 0;
    open_udp(b, &t, 1, &c);
    buf_init(&capsules, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct view payload = view_of(large, sizes[i]);
        buf_clear(&capsules);
        buf_clear(&c.got);
        for (int k = 0; k < 3; k++)
            CHECK_OK(capsule_write(payload, &capsules));
        /* In two pieces, within a capsule. */
        struct view all = buf_view(&capsules);
        tunnel_read(c.tunnel, view_take(all, all.len / 2));
        tunnel_read(c.tunnel, view_skip(all, all.len / 2));
        UNTIL(&b->f, payloads(&c, payload) == 3);
        bytes += 3 * sizes[i];
    }
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed && b->f.closeds == 1);
    assert_string_equal(c.sentence, "Both sides have finished.");
    assert_int_equal(b->f.bytes_in, bytes);
    assert_int_equal(b->f.bytes_out, bytes);
    assert_int_equal(t.largest, sizeof large);
    buf_fini(&capsules);
    client_fini(&c);
    udp_stop(&t);
}

/* What the client has no room for is dropped, whole; nothing waits. */
static void test_udp_without_room(void **state)
{
    struct bench *b = *state;
    struct udp_target t;
    struct client c;
    struct buf capsule;
    uint8_t bytes[1000] = {7};
    struct view payload = view_of(bytes, sizeof bytes);
    open_udp(b, &t, 50, &c);
    buf_init(&capsule, 4096);
    CHECK_OK(capsule_write(payload, &capsule));
    c.room = 5 * (sizeof bytes + CAPSULE_DATAGRAM_OVERHEAD);
    for (int i = 0; i < 20; i++)
        tunnel_read(c.tunnel, buf_view(&capsule));
    UNTIL(&b->f, payloads(&c, payload) == 5);
    fixture_cut(&b->f, "enough");
    UNTIL(&b->f, c.is_closed);
    assert_int_equal(payloads(&c, payload), 5);
    assert_string_equal(c.sentence, "enough");
    buf_fini(&capsule);
    client_fini(&c);
    udp_stop(&t);
}

static void test_udp_malformed(void **state)
{
    struct bench *b = *state;
    struct udp_target t;
    struct client c;
    open_udp(b, &t, 1, &c);
    tunnel_read(c.tunnel, test_hex("00 00")); /* too short for a context */
    UNTIL(&b->f, c.is_closed);
    expect_text(view_str(c.sentence), "malformed");
    client_fini(&c);
    client_open(b, &c, TUNNEL_UDP);
    UNTIL(&b->f, c.is_accepted);
    tunnel_read(c.tunnel, test_hex("00 05 00 61")); /* and then no more */
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    expect_text(view_str(c.sentence), "malformed");
    client_fini(&c);
    udp_stop(&t);
}

/* Nothing listens: the tunnel stays, and works once something does. */
static void test_udp_unreachable(void **state)
{
    struct bench *b = *state;
    struct udp_target t;
    struct client c;
    struct view hello = VIEW("hello");
    struct buf capsule;
    buf_init(&capsule, 64);
    CHECK_OK(capsule_write(hello, &capsule));
    open_udp(b, &t, 1, &c);
    udp_stop(&t);
    for (int i = 0; i < 5; i++) {
        tunnel_read(c.tunnel, buf_view(&capsule));
        bench_settle(b);
    }
    assert_false(c.is_closed);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(t.port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    t.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(t.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(pthread_create(&t.thread, NULL, udp_run, &t), 0);
    tunnel_read(c.tunnel, buf_view(&capsule));
    UNTIL(&b->f, payloads(&c, hello) >= 1);
    tunnel_gone(c.tunnel, "done");
    buf_fini(&capsule);
    client_fini(&c);
    udp_stop(&t);
}

static void test_udp_idle(void **state)
{
    struct bench *b = *state;
    struct udp_target t;
    struct client c;
    b->cluster.idle_timeout_ms = 200;
    open_udp(b, &t, 1, &c);
    UNTIL(&b->f, c.is_closed);
    expect_text(view_str(c.sentence), "nothing came through it");
    client_fini(&c);
    udp_stop(&t);
}

/* connect-udp goes on to the next proxy, capsules as they are. */
static void test_udp_chain(void **state)
{
    struct bench *b = *state;
    struct target t;
    struct client c;
    struct buf capsule;
    char host[64];
    proxy_answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                   "Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n";
    b->cluster.kind = POSTERN__CLUSTER__KIND__UDP;
    open_chain(b, &t, 1);
    buf_init(&capsule, 64);
    CHECK_OK(capsule_write(VIEW("hello"), &capsule));
    client_open(b, &c, TUNNEL_UDP);
    UNTIL(&b->f, c.is_accepted);
    tunnel_read(c.tunnel, buf_view(&capsule));
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    target_join(b, &t);
    struct view got = buf_view(&t.got);
    assert_true(view_starts_with(
        got, VIEW("GET /.well-known/masque/udp/db.example.com/5432/ HTTP/1.1\r\n")));
    (void)snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", t.port);
    expect_text(got, host);
    expect_text(got, "\r\nUpgrade: connect-udp\r\n");
    expect_text(got, "\r\nCapsule-Protocol: ?1\r\n");
    assert_true(view_ends_with(got, buf_view(&capsule)));
    buf_fini(&capsule);
    buf_fini(&t.got);
    client_fini(&c);
}

/* Answers, and reads nothing more before it is told to. */
static void serve_slow_proxy(struct target *t, int fd)
{
    answer_head(t, fd);
    buf_clear(&t->got);
    while (!t->is_released)
        (void)usleep(10000);
    target_read(t, fd);
}

/* A proxy that does not read loses whole datagrams and holds nobody up. */
static void test_udp_chain_without_room(void **state)
{
    enum { SENT = 20000, SIZE = 1200 };
    struct bench *b = *state;
    struct target t;
    struct client c;
    struct buf capsule;
    uint8_t bytes[SIZE] = {7};
    struct view payload = view_of(bytes, sizeof bytes);
    struct capsule_decoder decoder = {0};
    size_t arrived = 0;
    proxy_answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                   "Upgrade: connect-udp\r\nCapsule-Protocol: ?1\r\n\r\n";
    b->cluster.kind = POSTERN__CLUSTER__KIND__UDP;
    target_start(&t, serve_slow_proxy, 1);
    b->cluster.scheme = POSTERN__CLUSTER__SCHEME__HTTP_PROXY;
    bench_endpoints(b, &t.port, 1);
    bench_open(b);
    client_open(b, &c, TUNNEL_UDP);
    UNTIL(&b->f, c.is_accepted);
    buf_init(&capsule, 4096);
    CHECK_OK(capsule_write(payload, &capsule));
    for (int i = 0; i < SENT; i++)
        tunnel_read(c.tunnel, buf_view(&capsule));
    assert_false(c.is_paused);
    assert_false(c.is_closed);
    t.is_released = true;
    tunnel_finish(c.tunnel);
    UNTIL(&b->f, c.is_closed);
    target_join(b, &t);
    struct view got = buf_view(&t.got);
    while (capsule_next(&decoder, &got, &payload) == OK) {
        CHECK_VIEW(payload, view_of(bytes, sizeof bytes));
        arrived++;
    }
    assert_true(capsule_at_boundary(&decoder));
    assert_true(arrived > 0 && arrived < SENT);
    assert_int_equal(arrived * (SIZE + 4), t.got.len); /* nothing but whole ones */
    capsule_fini(&decoder);
    buf_fini(&capsule);
    buf_fini(&t.got);
    client_fini(&c);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_proxy_header_v1),
        TEST(test_proxy_header_v2),
        TEST(test_keepalive),
        TEST(test_tls),
        TEST(test_tls_with_our_certificate),
        TEST(test_next_endpoint_after_a_handshake),
        TEST(test_chain),
        TEST(test_chain_pours),
        TEST(test_chain_says_no),
        TEST(test_udp),
        TEST(test_udp_without_room),
        TEST(test_udp_malformed),
        TEST(test_udp_unreachable),
        TEST(test_udp_idle),
        TEST(test_udp_chain),
        TEST(test_udp_chain_without_room),
    };
    return RUN(tests);
}
