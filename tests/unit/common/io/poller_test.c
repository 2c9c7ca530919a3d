#include "common/io/poller.h"

#include <fcntl.h>
#include <sys/resource.h>

#include "tests/unit/common/io/io_fixture.h"

struct seen {
    int count;
    int status;
    int events;
    struct poller *stop; /* wants nothing after the first */
};

static void on_event(void *ctx, int status, int events)
{
    struct seen *s = ctx;
    s->count++;
    s->status = status;
    s->events = events;
    if (s->stop)
        poller_set(s->stop, 0);
}

static void turns(struct loop *l)
{
    for (int i = 0; i < 5; i++)
        (void)uv_run(&l->uv, UV_RUN_NOWAIT);
}

static void make_pair(int fds[2])
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static void close_pair(const int fds[2])
{
    (void)close(fds[0]);
    (void)close(fds[1]);
}

static void test_events(void **state)
{
    (void)state;
    struct loop l;
    int fds[2];
    loop_init(&l);
    make_pair(fds);
    struct seen s = {0};
    struct poller *p = poller_open(&l, fds[0], on_event, &s);
    turns(&l);
    assert_int_equal(s.count, 0);
    poller_set(p, UV_WRITABLE);
    WAIT(&l, s.count > 0);
    assert_true(s.status == 0 && s.events == UV_WRITABLE);
    poller_set(p, UV_READABLE);
    int before = s.count;
    turns(&l);
    assert_int_equal(s.count, before);
    assert_int_equal(send(fds[1], "x", 1, 0), 1);
    WAIT(&l, s.count > before);
    assert_int_equal(s.events, UV_READABLE);
    /* It goes on until it is not wanted any more, and comes back. */
    before = s.count;
    turns(&l);
    assert_true(s.count > before);
    poller_set(p, 0);
    before = s.count;
    turns(&l);
    assert_int_equal(s.count, before);
    poller_set(p, UV_READABLE);
    WAIT(&l, s.count > before);
    poller_close(p);
    before = s.count;
    turns(&l);
    assert_int_equal(s.count, before);
    close_pair(fds);
    loop_fini(&l);
}

/* The next socket of the same number has its own events, and none of the one before. */
static void test_same_number(void **state)
{
    (void)state;
    struct loop l;
    int first[2];
    int second[2];
    loop_init(&l);
    make_pair(first);
    struct seen old = {0};
    struct poller *p = poller_open(&l, first[0], on_event, &old);
    poller_set(p, UV_READABLE);
    turns(&l);
    assert_int_equal(send(first[1], "x", 1, 0), 1);
    poller_close(p);
    close_pair(first);
    make_pair(second);
    assert_int_equal(first[0], second[0]);
    struct seen s = {0};
    struct poller *again = poller_open(&l, second[0], on_event, &s);
    assert_ptr_equal(again, p);
    poller_set(again, UV_READABLE);
    turns(&l);
    assert_true(s.count == 0 && old.count == 0);
    assert_int_equal(send(second[1], "y", 1, 0), 1);
    WAIT(&l, s.count > 0);
    assert_int_equal(old.count, 0);
    /* Two at a time: only one is kept. */
    poller_set(again, 0);
    struct poller *other = poller_open(&l, second[0], on_event, &old);
    poller_close(other);
    poller_close(again);
    turns(&l);
    close_pair(second);
    loop_fini(&l);
}

/* One that hands its socket on inside its own callback. */
struct relay {
    struct loop *loop;
    struct poller *first;
    struct poller *second;
    struct seen seen;
    int fd;
};

static void on_first(void *ctx, int status, int events)
{
    struct relay *r = ctx;
    assert_int_equal(status, 0);
    assert_int_equal(events, UV_WRITABLE);
    poller_close(r->first);
    r->first = NULL;
    r->second = poller_open(r->loop, r->fd, on_event, &r->seen);
    poller_set(r->second, UV_READABLE);
}

static void test_hand_over(void **state)
{
    (void)state;
    struct loop l;
    int fds[2];
    loop_init(&l);
    make_pair(fds);
    struct relay r = {.loop = &l, .fd = fds[0]};
    r.first = poller_open(&l, fds[0], on_first, &r);
    poller_set(r.first, UV_WRITABLE);
    WAIT(&l, r.second != NULL);
    turns(&l);
    assert_int_equal(r.seen.count, 0);
    assert_int_equal(send(fds[1], "x", 1, 0), 1);
    WAIT(&l, r.seen.count > 0);
    assert_int_equal(r.seen.events, UV_READABLE);
    poller_close(r.second);
    close_pair(fds);
    loop_fini(&l);
}

/* libuv stops at an error; wanting the same again starts anew. */
static void test_error(void **state)
{
    (void)state;
    struct loop l;
    int fd;
    char *why = NULL;
    struct sockaddr_storage sa;
    loop_init(&l);
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    struct address a = listen_address(fd);
    socklen_t len = address_to_sockaddr(&a, &sa);
    (void)close(fd);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), -1);
    struct seen s = {0};
    struct poller *p = poller_open(&l, fd, on_event, &s);
    poller_set(p, UV_WRITABLE);
    WAIT(&l, s.count == 1);
    assert_true(s.status < 0);
    turns(&l);
    assert_int_equal(s.count, 1);
    poller_set(p, UV_WRITABLE);
    WAIT(&l, s.count == 2);
    poller_close(p);
    (void)close(fd);
    loop_fini(&l);
}

/* More than are kept, and numbers beyond them. */
static void test_high_numbers(void **state)
{
    enum { HIGH = 1500 };
    (void)state;
    struct loop l;
    struct rlimit limit;
    int fds[2];
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max <= HIGH)
        skip();
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    loop_init(&l);
    make_pair(fds);
    int high = fcntl(fds[0], F_DUPFD_CLOEXEC, HIGH);
    assert_true(high >= HIGH);
    for (int i = 0; i < 3; i++) {
        struct seen s = {0};
        struct poller *p = poller_open(&l, high, on_event, &s);
        s.stop = p;
        poller_set(p, UV_WRITABLE);
        WAIT(&l, s.count == 1);
        turns(&l);
        assert_int_equal(s.count, 1);
        poller_close(p);
    }
    (void)close(high);
    close_pair(fds);
    loop_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),       cmocka_unit_test(test_same_number),
        cmocka_unit_test(test_hand_over),    cmocka_unit_test(test_error),
        cmocka_unit_test(test_high_numbers),
    };
    return RUN(tests);
}
