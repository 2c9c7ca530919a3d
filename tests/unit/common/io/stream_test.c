#include "common/io/stream.h"

#include <sys/socket.h>
#include <unistd.h>

#include "common/io/pace.h"
#include "tests/unit/common/io/io_fixture.h"

/* Each test runs plain and over TLS. */
struct fixture {
    struct loop loop;
    struct tls_context *server_tls;
    struct tls_context *client_tls;
    struct side client;
    struct side server;
};

static struct certs certs;

static void begin(struct fixture *f, bool tls)
{
    *f = (struct fixture){0};
    loop_init(&f->loop);
    if (!tls)
        return;
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    f->server_tls = make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
    f->client_tls = make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem});
}

static void connect_sides(struct fixture *f, struct stream_spec client, struct stream_spec server)
{
    struct socket_pair p = socket_pair(&f->loop);
    client.loop = server.loop = &f->loop;
    client.tls = f->client_tls;
    client.server_name = "localhost";
    server.tls = f->server_tls;
    side_start(&f->client, &client, p.client);
    side_start(&f->server, &server, p.server);
}

static void end(struct fixture *f)
{
    side_end(&f->loop, &f->client);
    side_end(&f->loop, &f->server);
    tls_unref(f->client_tls);
    tls_unref(f->server_tls);
    loop_fini(&f->loop);
}

static void test_echo(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){.keepalive = true});
    assert_false(f.client.opened);
    /* Before the handshake is done, writes are queued. */
    CHECK_OK(stream_write(f.client.s, VIEW("hello")));
    WAIT(&f.loop, f.server.in.len == 5);
    CHECK_VIEW_STR(buf_view(&f.server.in), "hello");
    assert_true(f.client.opened && f.server.opened);
    CHECK_OK(stream_write(f.server.s, VIEW("welcome")));
    WAIT(&f.loop, f.client.in.len == 7);
    assert_true(stream_bytes_out(f.client.s) == 5 && stream_bytes_in(f.client.s) == 7);
    assert_string_equal(stream_why(f.client.s), "");
    if (tls)
        assert_string_equal(stream_server_name(f.server.s), "localhost");
    assert_null(stream_peer_uri(f.client.s));
    side_close(&f.client);
    WAIT(&f.loop, f.server.ended);
    side_close(&f.server);
    WAIT(&f.loop, f.client.closed && f.server.closed);
    end(&f);
}

static void test_half_close(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){0});
    CHECK_OK(stream_write(f.client.s, VIEW("question")));
    stream_shutdown(f.client.s);
    CHECK_ERR(stream_write(f.client.s, VIEW("more")), ERR_CLOSED);
    assert_int_equal(stream_room(f.client.s), 0);
    WAIT(&f.loop, f.server.ended);
    CHECK_VIEW_STR(buf_view(&f.server.in), "question");
    assert_false(f.client.ended);
    CHECK_OK(stream_write(f.server.s, VIEW("answer")));
    stream_shutdown(f.server.s);
    WAIT(&f.loop, f.client.ended);
    CHECK_VIEW_STR(buf_view(&f.client.in), "answer");
    end(&f);
}

/* Everything queued arrives although the writer closes at once and the reader is slow. */
static void test_close_flushes(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){.queue_max = 8 << 20},
                  (struct stream_spec){.paused = true});
    WAIT(&f.loop, f.client.opened && f.server.opened);
    struct buf big;
    buf_init(&big, 8 << 20);
    for (uint32_t i = 0; i < (1 << 20); i++)
        CHECK_OK(buf_append(&big, view_of(&i, sizeof i)));
    CHECK_OK(stream_write(f.client.s, buf_view(&big)));
    CHECK_OK(stream_write(f.server.s, VIEW("never read")));
    stream_close(f.client.s, 20000, side_closed, &f.client);
    f.client.s = NULL;
    for (int i = 0; i < 20; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.server.in.len, 0);
    assert_false(f.client.closed);
    stream_resume(f.server.s);
    WAIT(&f.loop, f.server.ended);
    assert_false(f.server.failed);
    CHECK_VIEW(buf_view(&f.server.in), buf_view(&big));
    /* The closer waits for our end. */
    assert_false(f.client.closed);
    side_close(&f.server);
    WAIT(&f.loop, f.client.closed && f.server.closed);
    buf_fini(&big);
    end(&f);
}

static void test_linger_ends(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){0});
    WAIT(&f.loop, f.client.opened && f.server.opened);
    stream_close(f.client.s, 50, side_closed, &f.client);
    f.client.s = NULL;
    WAIT(&f.loop, f.client.closed);
    end(&f);
}

static void test_queue(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    enum { MAX = 100000, LOW = 1000 };
    connect_sides(&f, (struct stream_spec){.queue_max = MAX, .queue_low = LOW},
                  (struct stream_spec){.paused = true});
    WAIT(&f.loop, f.client.opened && f.server.opened);
    static uint8_t block[4000];
    size_t sent = 0;
    for (;;) {
        memset(block, (int)(sent / sizeof block), sizeof block);
        if (stream_write(f.client.s, view_of(block, sizeof block)) != OK)
            break;
        sent += sizeof block;
        if (stream_pending(f.client.s) == 0)
            (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    }
    /* Full: nothing more is taken, nothing of a refused write is kept. */
    assert_true(stream_room(f.client.s) < sizeof block);
    assert_true(stream_pending(f.client.s) > MAX - (size_t)sizeof block);
    CHECK_ERR(stream_write(f.client.s, view_of(block, sizeof block)), ERR_LIMIT);
    assert_int_equal(f.client.drains, 0);
    stream_resume(f.server.s);
    WAIT(&f.loop, f.client.drains == 1);
    assert_true(stream_pending(f.client.s) <= LOW);
    WAIT(&f.loop, f.server.in.len == sent);
    for (size_t i = 0; i < sent; i++)
        assert_int_equal(buf_ptr(&f.server.in)[i], (uint8_t)(i / sizeof block));
    assert_int_equal(f.client.drains, 1);
    end(&f);
}

/* A write that fills the room is followed by on_drain, also when the kernel takes it at once. */
static void test_full_write(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){.queue_max = 1000}, (struct stream_spec){0});
    WAIT(&f.loop, f.client.opened && f.server.opened);
    static uint8_t block[1000];
    for (int i = 0; i < 5; i++) {
        CHECK_OK(stream_write(f.client.s, view_of(block, stream_room(f.client.s))));
        WAIT(&f.loop, f.client.drains == i + 1 && stream_room(f.client.s) == sizeof block);
    }
    WAIT(&f.loop, f.server.in.len == 5 * sizeof block);
    end(&f);
}

/* Writes again when it is told that there is room; its peer reads everything at that moment. */
struct rewriter {
    struct stream *s;
    int peer;
    int drains;
};

/* More than the socket takes at once, less than it takes twice. */
enum { REWRITE = 250000 };

static void drink(int fd)
{
    static uint8_t bytes[1 << 18];
    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        continue;
}

static void on_rewriter_drain(void *ctx)
{
    static const uint8_t block[REWRITE];
    struct rewriter *w = ctx;
    if (++w->drains == 1)
        CHECK_OK(stream_write(w->s, view_of(block, sizeof block)));
    drink(w->peer);
}

/* What a callback has written may go out before anything is waited for: on_drain follows all the
 * same. */
static void test_write_in_drain(void **state)
{
    (void)state;
    static const struct stream_handler handler = {.on_drain = on_rewriter_drain};
    static const uint8_t block[REWRITE + 1];
    const int size = 100000;
    struct loop loop;
    int fds[2];
    loop_init(&loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    struct rewriter w = {.peer = fds[1]};
    const struct stream_spec spec = {.loop = &loop, .queue_max = sizeof block, .queue_low = 1};
    w.s = stream_new(&spec, fds[0], &handler, &w);
    CHECK_OK(stream_write(w.s, view_of(block, sizeof block)));
    while (w.drains < 1) {
        drink(w.peer);
        (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    for (int i = 0; i < 200 && stream_pending(w.s) > 0; i++) {
        drink(w.peer);
        (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    WAIT(&loop, w.drains == 2);
    stream_abort(w.s, NULL, NULL);
    loop_fini(&loop);
    (void)close(fds[1]);
}

static void test_pause(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){.queue_max = 1 << 20}, (struct stream_spec){0});
    f.server.pause_on_read = true;
    static uint8_t block[200000];
    CHECK_OK(stream_write(f.client.s, view_of(block, sizeof block)));
    stream_shutdown(f.client.s);
    WAIT(&f.loop, f.server.in.len > 0);
    size_t got = f.server.in.len;
    for (int i = 0; i < 50; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.server.in.len, got);
    assert_true(got < sizeof block);
    assert_false(f.server.ended);
    while (!f.server.ended) {
        stream_resume(f.server.s);
        got = f.server.in.len;
        WAIT(&f.loop, f.server.in.len > got || f.server.ended);
    }
    assert_int_equal(f.server.in.len, sizeof block);
    end(&f);
}

/* --- a fast stream is read at ticks --- */

static uint8_t piece[PACE_TICK_MIN];

/* As often as it takes for some wake-ups to come close together. Of what was sent, the last piece
 * has come in part or whole, and none before it counts. */
static void make_fast(struct fixture *f)
{
    uint64_t end = loop_clock_ms() + GUARD_MS;
    do {
        buf_clear(&f->server.in);
        CHECK_OK(stream_write(f->client.s, view_of(piece, sizeof piece)));
        while (f->server.in.len < sizeof piece && !stream_is_paced(f->server.s)) {
            assert_true(loop_clock_ms() < end);
            (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
        }
    } while (!stream_is_paced(f->server.s));
}

static void begin_paced(struct fixture *f, bool tls)
{
    begin(f, tls);
    connect_sides(f, (struct stream_spec){.queue_max = 1 << 20},
                  (struct stream_spec){.read_max = LOOP_READ_MAX});
    WAIT(&f->loop, f->client.opened && f->server.opened);
}

static void test_paced(bool tls)
{
    struct fixture f;
    begin_paced(&f, tls);
    make_fast(&f);
    CHECK_OK(stream_write(f.client.s, view_of(piece, 1)));
    WAIT(&f.loop, f.server.in.len == sizeof piece + 1 && !stream_is_paced(f.server.s));
    /* Polled again. */
    CHECK_OK(stream_write(f.client.s, view_of(piece, 1)));
    WAIT(&f.loop, f.server.in.len == sizeof piece + 2);
    /* The end while it waits is told after all that came before. */
    make_fast(&f);
    CHECK_OK(stream_write(f.client.s, view_of(piece, 1)));
    stream_shutdown(f.client.s);
    WAIT(&f.loop, f.server.ended);
    assert_int_equal(f.server.in.len, sizeof piece + 1);
    end(&f);
}

static void test_paced_pause(bool tls)
{
    struct fixture f;
    begin_paced(&f, tls);
    make_fast(&f);
    stream_pause(f.server.s);
    CHECK_OK(stream_write(f.client.s, view_of(piece, sizeof piece)));
    WAIT(&f.loop, !stream_is_paced(f.server.s));
    size_t got = f.server.in.len;
    for (int i = 0; i < 50; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.server.in.len, got);
    stream_resume(f.server.s);
    WAIT(&f.loop, f.server.in.len == 2 * sizeof piece);
    end(&f);
}

/* Our end and the peer's reset, while it waits. */
static void test_paced_close(bool tls)
{
    struct fixture f;
    begin_paced(&f, tls);
    make_fast(&f);
    side_close(&f.server);
    WAIT(&f.loop, f.client.ended);
    stream_shutdown(f.client.s);
    WAIT(&f.loop, f.server.closed);
    end(&f);
    begin_paced(&f, tls);
    make_fast(&f);
    stream_abort(f.server.s, side_closed, &f.server);
    f.server.s = NULL;
    end(&f);
    begin_paced(&f, tls);
    make_fast(&f);
    stream_abort(f.client.s, side_closed, &f.client);
    f.client.s = NULL;
    WAIT(&f.loop, tls ? f.server.failed : f.server.ended);
    end(&f);
}

static void test_never_paced(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){.queue_max = 1 << 20}, (struct stream_spec){0});
    for (size_t sent = 0; sent < 100 * sizeof piece; sent += sizeof piece) {
        CHECK_OK(stream_write(f.client.s, view_of(piece, sizeof piece)));
        while (f.server.in.len < sent + sizeof piece) {
            (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
            assert_false(stream_is_paced(f.server.s));
        }
    }
    end(&f);
}

static void test_close_inside(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){0});
    f.server.close_on_read = true;
    CHECK_OK(stream_write(f.client.s, VIEW("x")));
    WAIT(&f.loop, f.client.ended);
    side_close(&f.client);
    WAIT(&f.loop, f.client.closed && f.server.closed);
    end(&f);

    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){0});
    f.server.abort_on_read = true;
    CHECK_OK(stream_write(f.client.s, VIEW("x")));
    WAIT(&f.loop, f.server.closed);
    end(&f);

    begin(&f, tls);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){0});
    f.client.close_on_open = true;
    WAIT(&f.loop, f.client.closed || f.server.ended || f.server.failed);
    end(&f);
}

/* A reset is a failure and is told once; afterwards writes are refused. */
static void test_reset(bool tls)
{
    struct fixture f;
    begin(&f, tls);
    struct socket_pair p = socket_pair(&f.loop);
    const struct stream_spec spec = {.loop = &f.loop};
    side_start(&f.server, &spec, p.server);
    WAIT(&f.loop, f.server.opened);
    struct linger l = {.l_onoff = 1};
    assert_int_equal(setsockopt(p.client, SOL_SOCKET, SO_LINGER, &l, sizeof l), 0);
    (void)close(p.client);
    WAIT(&f.loop, f.server.failed);
    CHECK_ERR(f.server.why, ERR_CLOSED);
    assert_true(strlen(stream_why(f.server.s)) > 0);
    CHECK_ERR(stream_write(f.server.s, VIEW("x")), ERR_CLOSED);
    f.client.closed = true;
    end(&f);
}

static void test_handshake_deadline(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    struct socket_pair p = socket_pair(&f.loop);
    const struct stream_spec spec = {.loop = &f.loop, .tls = f.server_tls, .handshake_ms = 30};
    side_start(&f.server, &spec, p.server);
    WAIT(&f.loop, f.server.failed);
    CHECK_ERR(f.server.why, ERR_TIMEOUT);
    assert_false(f.server.opened);
    (void)close(p.client);
    f.client.closed = true;
    end(&f);
}

/* FIN without close_notify could be an attacker's: it is no clean end. */
static void test_tls_truncation(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    connect_sides(&f, (struct stream_spec){0}, (struct stream_spec){0});
    WAIT(&f.loop, f.client.opened && f.server.opened);
    stream_abort(f.client.s, side_closed, &f.client);
    f.client.s = NULL;
    WAIT(&f.loop, f.server.failed);
    CHECK_ERR(f.server.why, ERR_CLOSED);
    end(&f);
}

static void test_garbage_instead_of_tls(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f, true);
    struct socket_pair p = socket_pair(&f.loop);
    side_start(&f.server, &(struct stream_spec){.loop = &f.loop, .tls = f.server_tls}, p.server);
    side_start(&f.client, &(struct stream_spec){.loop = &f.loop}, p.client);
    CHECK_OK(stream_write(f.client.s, VIEW("GET / HTTP/1.1\r\n\r\n")));
    WAIT(&f.loop, f.server.failed);
    CHECK_ERR(f.server.why, ERR_PROTOCOL);
    end(&f);
}

static void both(void (*test)(bool))
{
    test(false);
    test(true);
}

#define BOTH(name)                                                                                 \
    static void name##_both(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        both(name);                                                                                \
    }
BOTH(test_echo)
BOTH(test_half_close)
BOTH(test_close_flushes)
BOTH(test_linger_ends)
BOTH(test_queue)
BOTH(test_full_write)
BOTH(test_pause)
BOTH(test_paced)
BOTH(test_paced_pause)
BOTH(test_paced_close)
BOTH(test_never_paced)
BOTH(test_close_inside)
BOTH(test_reset)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_both),
        cmocka_unit_test(test_half_close_both),
        cmocka_unit_test(test_close_flushes_both),
        cmocka_unit_test(test_linger_ends_both),
        cmocka_unit_test(test_queue_both),
        cmocka_unit_test(test_full_write_both),
        cmocka_unit_test(test_pause_both),
        cmocka_unit_test(test_paced_both),
        cmocka_unit_test(test_paced_pause_both),
        cmocka_unit_test(test_paced_close_both),
        cmocka_unit_test(test_never_paced_both),
        cmocka_unit_test(test_close_inside_both),
        cmocka_unit_test(test_write_in_drain),
        cmocka_unit_test(test_reset_both),
        cmocka_unit_test(test_handshake_deadline),
        cmocka_unit_test(test_tls_truncation),
        cmocka_unit_test(test_garbage_instead_of_tls),
    };
    certs_init(&certs);
    int failed = RUN(tests);
    certs_fini(&certs);
    return failed;
}
