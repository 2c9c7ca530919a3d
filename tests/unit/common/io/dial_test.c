#include "common/io/dial.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "tests/unit/common/io/io_fixture.h"

struct outcome {
    bool done;
    enum err err;
    int fd;
    struct address peer;
    char why[300];
};

static void on_done(void *ctx, const struct dial_result *r)
{
    struct outcome *o = ctx;
    assert_false(o->done);
    o->done = true;
    o->err = r->err;
    o->fd = r->fd;
    o->peer = r->peer;
    (void)snprintf(o->why, sizeof o->why, "%s", r->why);
}

static struct outcome dial(struct loop *l, const char *target, uint32_t timeout_ms)
{
    struct outcome o = {0};
    (void)dial_open(l, target, timeout_ms, on_done, &o);
    assert_false(o.done);
    WAIT(l, o.done);
    return o;
}

struct accepted {
    int count;
    int last;
    enum address_family family; /* of the last */
};

static void on_accept(void *ctx, int fd, const struct address *peer)
{
    struct accepted *a = ctx;
    assert_true(peer->family != ADDRESS_NONE);
    a->count++;
    a->family = peer->family;
    if (a->last > 0)
        (void)close(a->last);
    a->last = fd;
}

static int bind_on(const char *address, char target[ADDRESS_TEXT_MAX])
{
    int fd;
    char *why = NULL;
    CHECK_OK(listen_bind(address, &fd, &why));
    struct address a = listen_address(fd);
    assert_true(a.port != 0);
    address_text(&a, target);
    return fd;
}

static void test_numeric_and_named(void **state)
{
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    char named[80];
    loop_init(&l);
    struct accepted a = {0};
    int fd = bind_on("127.0.0.1:0", target);
    struct listener *ls = listener_open(&l, fd, on_accept, &a);
    struct outcome o = dial(&l, target, 0);
    CHECK_OK(o.err);
    assert_string_equal(o.why, "");
    assert_true(o.fd >= 0 && o.peer.port == listen_address(fd).port);
    (void)close(o.fd);
    /* "localhost" is ::1 and 127.0.0.1; only the second listens. */
    (void)snprintf(named, sizeof named, "localhost:%u", o.peer.port);
    o = dial(&l, named, 0);
    CHECK_OK(o.err);
    assert_int_equal(o.peer.family, ADDRESS_V4);
    (void)close(o.fd);
    WAIT(&l, a.count == 2);
    (void)close(a.last);
    listener_close(ls);
    loop_fini(&l);
}

/* To this host a connection is there, or refused, at once: nothing is waited for. */
static void test_local(void **state)
{
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    struct outcome o = {0};
    struct outcome refused = {0};
    loop_init(&l);
    int fd = bind_on("127.0.0.1:0", target);
    (void)dial_open(&l, target, 0, on_done, &o);
    for (int i = 0; i < 3; i++)
        (void)uv_run(&l.uv, UV_RUN_NOWAIT);
    assert_true(o.done);
    CHECK_OK(o.err);
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    assert_int_equal(getpeername(o.fd, (struct sockaddr *)&sa, &len), 0);
    (void)close(o.fd);
    (void)close(fd);
    (void)dial_open(&l, target, 0, on_done, &refused);
    for (int i = 0; i < 5; i++)
        (void)uv_run(&l.uv, UV_RUN_NOWAIT);
    assert_true(refused.done);
    CHECK_ERR(refused.err, ERR_UNAVAILABLE);
    loop_fini(&l);
}

static void test_failures(void **state)
{
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    loop_init(&l);
    /* Bound, so nobody else takes the port, and closed: refused. */
    int fd = bind_on("127.0.0.1:0", target);
    (void)close(fd);
    struct outcome o = dial(&l, target, 0);
    CHECK_ERR(o.err, ERR_UNAVAILABLE);
    assert_int_equal(o.fd, -1);
    assert_non_null(strstr(o.why, "refused"));
    assert_non_null(strstr(o.why, "127.0.0.1"));
    CHECK_ERR(dial(&l, "no-port", 0).err, ERR_SYNTAX);
    CHECK_ERR(dial(&l, ":22", 0).err, ERR_SYNTAX);
    CHECK_ERR(dial(&l, "name.invalid:22", 0).err, ERR_NOT_FOUND);
    loop_fini(&l);
}

/* A listener whose backlog is full does not answer. */
static void test_timeout(void **state)
{
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    loop_init(&l);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(full, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(full, 0), 0);
    struct address a = listen_address(full);
    address_text(&a, target);
    struct outcome first = dial(&l, target, 0);
    CHECK_OK(first.err);
    struct outcome o = {0};
    int fds[8];
    size_t count = 0;
    do {
        o = dial(&l, target, 60);
        if (o.err == OK)
            fds[count++] = o.fd;
    } while (o.err == OK && count < ARRAY_LEN(fds));
    CHECK_ERR(o.err, ERR_TIMEOUT);
    (void)close(first.fd);
    while (count)
        (void)close(fds[--count]);
    (void)close(full);
    loop_fini(&l);
}

static void test_cancel(void **state)
{
    (void)state;
    struct loop l;
    loop_init(&l);
    struct outcome o = {0};
    dial_cancel(dial_open(&l, "localhost:1", 0, on_done, &o));
    dial_cancel(dial_open(&l, "127.0.0.1:1", 0, on_done, &o));
    dial_cancel(NULL);
    struct dial *d = dial_open(&l, "127.0.0.1:1", 0, on_done, &o);
    (void)uv_run(&l.uv, UV_RUN_NOWAIT);
    if (!o.done)
        dial_cancel(d);
    loop_fini(&l);
}

static void test_bind(void **state)
{
    (void)state;
    int fd;
    char *why = NULL;
    char target[ADDRESS_TEXT_MAX];
    static const char *const wrong[] = {
        "", "x", "host:port", "1.2.3.4:99999", "::1:0", "name.invalid:0"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        CHECK_ERR(listen_bind(wrong[i], &fd, &why), ERR_CONFIG);
        assert_non_null(strstr(why, wrong[i]));
        mem_free(why);
    }
    int first = bind_on("127.0.0.1:0", target);
    CHECK_ERR(listen_bind(target, &fd, &why), ERR_IO);
    assert_non_null(strstr(why, target));
    mem_free(why);
    (void)close(first);
}

/* All addresses: IPv4 reaches it whatever family the socket is of. */
static void test_bind_all(void **state)
{
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    loop_init(&l);
    struct accepted a = {0};
    int fd = bind_on(":0", target);
    uint16_t port = listen_address(fd).port;
    struct listener *ls = listener_open(&l, fd, on_accept, &a);
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", port);
    struct outcome o = dial(&l, target, 0);
    CHECK_OK(o.err);
    (void)close(o.fd);
    WAIT(&l, a.count == 1);
    /* While paused, connections wait in the backlog. */
    listener_pause(ls);
    o = dial(&l, target, 0);
    CHECK_OK(o.err);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&l.uv, UV_RUN_NOWAIT);
    assert_int_equal(a.count, 1);
    listener_resume(ls);
    WAIT(&l, a.count == 2);
    (void)close(o.fd);
    (void)close(a.last);
    listener_close(ls);
    listener_close(NULL);
    loop_fini(&l);
}

static void can_dial(struct loop *l, struct accepted *a, const char *host, uint16_t port)
{
    char target[ADDRESS_TEXT_MAX];
    int before = a->count;
    (void)snprintf(target, sizeof target, "%s:%u", host, port);
    struct outcome o = dial(l, target, 0);
    CHECK_OK(o.err);
    (void)close(o.fd);
    WAIT(l, a->count == before + 1);
}

/* All addresses: both families reach it, an IPv4 peer by its IPv4 address. */
static void test_bind_both_families(void **state)
{
    (void)state;
    static const char *const all[] = {":0", "[::]:0", "[0:0::0]:0"};
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    loop_init(&l);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct accepted a = {0};
        int fd = bind_on(all[i], target);
        uint16_t port = listen_address(fd).port;
        struct listener *ls = listener_open(&l, fd, on_accept, &a);
        can_dial(&l, &a, "127.0.0.1", port);
        assert_int_equal(a.family, ADDRESS_V4);
        can_dial(&l, &a, "[::1]", port);
        assert_int_equal(a.family, ADDRESS_V6);
        (void)close(a.last);
        listener_close(ls);
    }
    struct accepted a = {0};
    int fd = bind_on("[::ffff:127.0.0.1]:0", target);
    struct listener *ls = listener_open(&l, fd, on_accept, &a);
    can_dial(&l, &a, "127.0.0.1", listen_address(fd).port);
    (void)close(a.last);
    listener_close(ls);
    loop_fini(&l);
    /* One address is one. */
    int v6only = 0;
    socklen_t len = sizeof v6only;
    fd = bind_on("[::1]:0", target);
    assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len), 0);
    assert_true(v6only);
    (void)close(fd);
}

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
    return value;
}

static int connect_to(int listening)
{
    struct sockaddr_storage sa;
    struct address a = listen_address(listening);
    socklen_t len = address_to_sockaddr(&a, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

/* An accepted socket has what stream_new would set, though nobody set it there. */
static void test_accepted_options(void **state)
{
    static const char *const rows[] = {"127.0.0.1:0", "[::1]:0", ":0"};
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    loop_init(&l);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct accepted a = {0};
        int fd = bind_on(rows[i], target);
        struct listener *ls = listener_open(&l, fd, on_accept, &a);
        int client = connect_to(fd);
        WAIT(&l, a.count == 1);
        assert_int_equal(option(a.last, IPPROTO_TCP, TCP_NODELAY), 1);
        assert_int_equal(option(a.last, SOL_SOCKET, SO_KEEPALIVE), 1);
        assert_int_equal(option(a.last, IPPROTO_TCP, TCP_KEEPIDLE), STREAM_KEEPALIVE_S);
        assert_int_equal(option(a.last, IPPROTO_TCP, TCP_KEEPINTVL), 10);
        assert_int_equal(option(a.last, IPPROTO_TCP, TCP_KEEPCNT), 6);
        (void)close(client);
        (void)close(a.last);
        listener_close(ls);
    }
    loop_fini(&l);
}

/* A burst is taken in few turns, none of it is forgotten. */
static void test_burst(void **state)
{
    enum { BURST = 200, TURNS = 8 };
    (void)state;
    struct loop l;
    char target[ADDRESS_TEXT_MAX];
    int clients[BURST];
    loop_init(&l);
    struct accepted a = {0};
    int fd = bind_on("127.0.0.1:0", target);
    struct listener *ls = listener_open(&l, fd, on_accept, &a);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&l.uv, UV_RUN_NOWAIT);
    for (int i = 0; i < BURST; i++)
        clients[i] = connect_to(fd);
    for (int i = 0; i < TURNS; i++)
        (void)uv_run(&l.uv, UV_RUN_NOWAIT);
    assert_int_equal(a.count, BURST);
    for (int i = 0; i < BURST; i++)
        (void)close(clients[i]);
    (void)close(a.last);
    listener_close(ls);
    loop_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numeric_and_named),
        cmocka_unit_test(test_local),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_timeout),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_bind),
        cmocka_unit_test(test_bind_all),
        cmocka_unit_test(test_bind_both_families),
        cmocka_unit_test(test_accepted_options),
        cmocka_unit_test(test_burst),
    };
    return RUN(tests);
}
