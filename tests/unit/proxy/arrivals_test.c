#include "proxy/arrivals.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>

#include "tests/unit/common/io/io_fixture.h"

#define V1 "PROXY TCP4 192.0.2.7 198.51.100.2 54321 2222\r\n"
#define V2_HEAD "\r\n\r\n\0\r\nQUIT\n"
#define V2_LOCAL V2_HEAD "\x20\0\0\0"
#define V2_V6                                                                                      \
    V2_HEAD "\x21\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"                             \
            "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\x0f\xa0\x08\xae"

struct fixture {
    struct loop loop;
    struct arrivals *arrivals;
    struct address at;
    unsigned arrived;
    int fd;
    char client[ADDRESS_TEXT_MAX];
};

static void on_arrival(void *ctx, int fd, const struct address *client)
{
    struct fixture *f = ctx;
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = fd;
    f->arrived++;
    address_text(client, f->client);
}

static void open_on(struct fixture *f, const char *address, const struct arrivals_settings *s)
{
    int fd;
    char *why = NULL;
    CHECK_OK(listen_bind(address, &fd, &why));
    f->at = listen_address(fd);
    f->arrivals = arrivals_open(&f->loop, fd, "test", s, on_arrival, f);
}

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->fd = -1;
    loop_init(&f->loop);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->fd >= 0)
        (void)close(f->fd);
    arrivals_close(f->arrivals);
    loop_fini(&f->loop);
    mem_free(f);
    return 0;
}

static const struct arrivals_settings off = {0};

static void settings(struct arrivals_settings *s, char *trusted)
{
    static char *list[1];
    list[0] = trusted;
    *s = (struct arrivals_settings){true, list, 1};
}

static void open_trusting(struct fixture *f, const char *address, char *trusted)
{
    struct arrivals_settings s;
    settings(&s, trusted);
    open_on(f, address, &s);
}

static char loopback4[] = "127.0.0.0/8";
static char loopback6[] = "::1";
static char elsewhere[] = "192.0.2.0/24";

static int dial(const struct fixture *f)
{
    struct sockaddr_storage sa;
    struct address to = f->at;
    socklen_t len = address_to_sockaddr(&to, &sa);
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, len), 0);
    return fd;
}

static void send_all(int fd, struct view bytes)
{
    assert_int_equal(send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL), (ssize_t)bytes.len);
}

/* The other side has closed: by FIN or by RST. */
static bool is_closed(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void expect_arrival(struct fixture *f, struct view header, const char *client)
{
    char text[8] = "";
    unsigned before = f->arrived;
    int fd = dial(f);
    send_all(fd, header);
    send_all(fd, VIEW("SSH-2.0"));
    WAIT(&f->loop, f->arrived == before + 1);
    assert_int_equal(recv(f->fd, text, sizeof text, 0), 7);
    assert_memory_equal(text, "SSH-2.0", 7);
    if (client)
        assert_string_equal(f->client, client);
    else
        assert_memory_equal(f->client, "127.0.0.1:", 10);
    assert_int_equal(arrivals_count(f->arrivals), 0);
    (void)close(fd);
}

static void expect_closed(struct fixture *f, struct view bytes)
{
    unsigned before = f->arrived;
    int fd = dial(f);
    (void)send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    WAIT(&f->loop, is_closed(fd));
    assert_int_equal(f->arrived, before);
    assert_int_equal(arrivals_count(f->arrivals), 0);
    (void)close(fd);
}

static void test_off(void **state)
{
    struct fixture *f = *state;
    open_on(f, "127.0.0.1:0", &off);
    int fd = dial(f);
    WAIT(&f->loop, f->arrived == 1);
    assert_memory_equal(f->client, "127.0.0.1:", 10);
    (void)close(fd);
}

static void test_headers(void **state)
{
    struct fixture *f = *state;
    open_trusting(f, "127.0.0.1:0", loopback4);
    expect_arrival(f, VIEW(V1), "192.0.2.7:54321");
    expect_arrival(f, VIEW(V2_V6), "[2001:db8::7]:4000");
    expect_arrival(f, VIEW("PROXY TCP6 ::ffff:192.0.2.9 ::1 1 2\r\n"), "192.0.2.9:1");
    expect_arrival(f, VIEW(V2_LOCAL), NULL);
    expect_arrival(f, VIEW("PROXY UNKNOWN\r\n"), NULL);
}

static void test_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    static const struct view headers[] = {
        {(const uint8_t *)V1, sizeof V1 - 1},
        {(const uint8_t *)V2_V6, sizeof V2_V6 - 1},
    };
    open_trusting(f, "127.0.0.1:0", loopback4);
    for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
        unsigned before = f->arrived;
        int fd = dial(f);
        for (size_t k = 0; k < headers[i].len; k++) {
            assert_int_equal(f->arrived, before);
            send_all(fd, view_of(headers[i].ptr + k, 1));
            (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
        }
        WAIT(&f->loop, f->arrived == before + 1);
        (void)close(fd);
    }
}

static void test_closed(void **state)
{
    struct fixture *f = *state;
    open_trusting(f, "127.0.0.1:0", loopback4);
    expect_closed(f, VIEW("SSH-2.0-OpenSSH_9.2\r\n"));
    expect_closed(f, VIEW("PROXY TCP4 192.0.2.7\r\n"));
    expect_closed(f, VIEW("\x16\x03\x01\x02"));
    expect_closed(f, VIEW(V2_HEAD "\x21\x12\0\x0c"
                                  "aaaabbbbccdd"));
    /* A check that connects and leaves, before and within the header. */
    int fd = dial(f);
    WAIT(&f->loop, arrivals_count(f->arrivals) == 1);
    (void)close(fd);
    WAIT(&f->loop, arrivals_count(f->arrivals) == 0);
    fd = dial(f);
    send_all(fd, VIEW("PROXY"));
    WAIT(&f->loop, arrivals_count(f->arrivals) == 1);
    (void)close(fd);
    WAIT(&f->loop, arrivals_count(f->arrivals) == 0);
    assert_int_equal(f->arrived, 0);
}

static void test_untrusted(void **state)
{
    struct fixture *f = *state;
    open_trusting(f, "127.0.0.1:0", elsewhere);
    expect_closed(f, VIEW(V1));
    expect_closed(f, VIEW(""));
    expect_closed(f, VIEW("SSH-2.0-OpenSSH_9.2\r\n"));
}

static void test_reload(void **state)
{
    struct fixture *f = *state;
    struct arrivals_settings s;
    open_trusting(f, "127.0.0.1:0", elsewhere);
    expect_closed(f, VIEW(V1));
    settings(&s, loopback4);
    arrivals_set(f->arrivals, &s);
    expect_arrival(f, VIEW(V1), "192.0.2.7:54321");
    /* What waits when it is switched off still owes its header. */
    int fd = dial(f);
    WAIT(&f->loop, arrivals_count(f->arrivals) == 1);
    arrivals_set(f->arrivals, &off);
    int direct = dial(f);
    WAIT(&f->loop, f->arrived == 2);
    send_all(fd, VIEW(V1));
    WAIT(&f->loop, f->arrived == 3);
    assert_string_equal(f->client, "192.0.2.7:54321");
    (void)close(direct);
    (void)close(fd);
}

static void test_addresses(void **state)
{
    struct fixture *f = *state;
    open_trusting(f, "[::1]:0", loopback6);
    expect_arrival(f, VIEW(V1), "192.0.2.7:54321");
    arrivals_close(f->arrivals);
    /* On a socket of both families an IPv4 balancer is trusted by its IPv4 address. */
    open_trusting(f, ":0", loopback4);
    uint16_t port = f->at.port;
    CHECK_OK(address_parse_ip(VIEW("127.0.0.1"), &f->at));
    f->at.port = port;
    expect_arrival(f, VIEW(V1), "192.0.2.7:54321");
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    open_trusting(f, "127.0.0.1:0", loopback4);
    uint64_t begun = loop_clock_ms();
    int silent = dial(f);
    int slow = dial(f);
    /* A byte now and then buys no time. */
    static const char line[] = V1;
    for (size_t i = 0; i < sizeof line && !is_closed(slow); i++) {
        (void)send(slow, line + i, 1, MSG_NOSIGNAL);
        uint64_t next = loop_clock_ms() + 200;
        WAIT(&f->loop, loop_clock_ms() >= next);
    }
    WAIT(&f->loop, is_closed(slow));
    WAIT(&f->loop, is_closed(silent));
    uint64_t took = loop_clock_ms() - begun;
    assert_true(took >= ARRIVALS_HEADER_MS - 50 && took < 2 * ARRIVALS_HEADER_MS);
    assert_int_equal(f->arrived, 0);
    (void)close(silent);
    (void)close(slow);
}

static void test_cap(void **state)
{
    struct fixture *f = *state;
    struct rlimit limit;
    static int fds[ARRIVALS_MAX + 2];
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    open_trusting(f, "127.0.0.1:0", loopback4);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        fds[i] = dial(f);
        (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
    WAIT(&f->loop, arrivals_count(f->arrivals) == ARRIVALS_MAX && is_closed(fds[1]));
    assert_true(is_closed(fds[0]));
    assert_false(is_closed(fds[2]));
    send_all(fds[ARRAY_LEN(fds) - 1], VIEW(V1));
    WAIT(&f->loop, f->arrived == 1);
    assert_int_equal(arrivals_count(f->arrivals), ARRIVALS_MAX - 1);
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        (void)close(fds[i]);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_off),       TEST(test_headers),   TEST(test_byte_by_byte),
        TEST(test_closed),    TEST(test_untrusted), TEST(test_reload),
        TEST(test_addresses), TEST(test_deadline),  TEST(test_cap),
    };
    return RUN(tests);
}
