#include "common/io/datagram.h"

#include <netinet/in.h>

#include "tests/unit/common/io/io_fixture.h"

/* One socket of ours and what it has got. */
struct end {
    struct datagram *d;
    struct buf in; /* each datagram behind its length, 4 bytes */
    size_t count;
    size_t calls;
    size_t largest;
    int errors;
    enum err error;
    bool close_on_read;
    bool pause_on_read;
};

static void on_read(void *ctx, const struct view *packets, size_t count)
{
    struct end *e = ctx;
    assert_non_null(e->d);
    assert_true(count > 0 && count <= DATAGRAM_BATCH_MAX);
    e->calls++;
    e->largest = count > e->largest ? count : e->largest;
    for (size_t i = 0; i < count; i++) {
        uint32_t len = (uint32_t)packets[i].len;
        CHECK_OK(buf_append(&e->in, view_of(&len, sizeof len)));
        CHECK_OK(buf_append(&e->in, packets[i]));
    }
    e->count += count;
    if (e->pause_on_read)
        datagram_pause(e->d);
    if (e->close_on_read) {
        datagram_close(e->d);
        e->d = NULL;
    }
}

static void on_error(void *ctx, enum err error, const char *why)
{
    struct end *e = ctx;
    assert_true(strlen(why) > 0);
    e->errors++;
    e->error = error;
}

static const struct datagram_handler handler = {.on_read = on_read, .on_error = on_error};

struct fixture {
    struct loop loop;
    struct end end;
    int peer;    /* a plain socket, connected to ours */
    size_t sent; /* by send_small */
};

static void begin(struct fixture *f, bool offload)
{
    *f = (struct fixture){0};
    loop_init(&f->loop);
    buf_init(&f->end.in, 64 << 20);
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int size = 4 << 20;
    f->peer = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->peer, (struct sockaddr *)&sa, sizeof sa), 0);
    (void)setsockopt(f->peer, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct address peer = listen_address(f->peer);
    const char *why = "";
    CHECK_OK(datagram_open(&f->loop, &peer, &handler, &f->end, &f->end.d, &why));
    if (!offload)
        datagram_without_offload(f->end.d);
    assert_true(address_eq(datagram_peer(f->end.d), &peer));
    /* Ours speaks first, so that the peer knows where it is. */
    struct view hello = VIEW("hello");
    datagram_send(f->end.d, &hello, 1);
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    char text[8];
    assert_int_equal(recvfrom(f->peer, text, sizeof text, 0, (struct sockaddr *)&from, &len), 5);
    assert_int_equal(connect(f->peer, (struct sockaddr *)&from, len), 0);
}

static void finish(struct fixture *f)
{
    datagram_close(f->end.d);
    if (f->peer >= 0)
        (void)close(f->peer);
    buf_fini(&f->end.in);
    loop_fini(&f->loop);
}

static void fill(uint8_t *p, size_t len, size_t index)
{
    for (size_t i = 0; i < len; i++)
        p[i] = (uint8_t)(index * 31 + i);
}

/* Sizes that make runs, ends of runs, empty and large datagrams. */
static size_t size_of(size_t i)
{
    static const size_t sizes[] = {1200, 1200, 1200, 700, 1200, 0,     0,  1,
                                   1200, 1300, 1300, 9,   9,    65507, 60, 1200};
    return sizes[i % ARRAY_LEN(sizes)];
}

static void test_send(bool offload)
{
    enum { COUNT = 64 };
    struct fixture f;
    begin(&f, offload);
    struct datagram_counts before = *datagram_counts(f.end.d);
    AUTO_FREE uint8_t *bytes = mem_zalloc((size_t)COUNT * 65536);
    AUTO_FREE uint8_t *got = mem_zalloc(65536);
    for (size_t first = 0; first < 320; first += 16) {
        struct view packets[16];
        size_t total = 0;
        for (size_t i = 0; i < 16; i++) {
            packets[i] = view_of(bytes + i * 65536, size_of(first + i));
            fill(bytes + i * 65536, packets[i].len, first + i);
            total += packets[i].len;
        }
        datagram_send(f.end.d, packets, 16);
        for (size_t i = 0; i < 16; i++) {
            ssize_t n = recv(f.peer, got, 65536, 0);
            CHECK_VIEW(view_of(got, (size_t)n), packets[i]);
        }
        const struct datagram_counts *c = datagram_counts(f.end.d);
        assert_int_equal(c->packets_out - before.packets_out, 16);
        assert_int_equal(c->bytes_out - before.bytes_out, total);
        assert_int_equal(c->dropped, 0);
        before = *c;
    }
    finish(&f);
}

static void test_receive(bool offload)
{
    enum { COUNT = 100 };
    struct fixture f;
    begin(&f, offload);
    AUTO_FREE uint8_t *bytes = mem_zalloc(65536);
    AUTO(buf_fini) struct buf want;
    buf_init(&want, 64 << 20);
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t len = (uint32_t)size_of(i);
        fill(bytes, len, i);
        assert_int_equal(send(f.peer, bytes, len, 0), len);
        CHECK_OK(buf_append(&want, view_of(&len, sizeof len)));
        CHECK_OK(buf_append(&want, view_of(bytes, len)));
        if (len > 60000)
            WAIT(&f.loop, f.end.count == i + 1);
    }
    WAIT(&f.loop, f.end.count == COUNT);
    CHECK_VIEW(buf_view(&f.end.in), buf_view(&want));
    assert_int_equal(datagram_counts(f.end.d)->packets_in, COUNT);
    finish(&f);
}

/* What the peer sends in segments is taken apart again, or comes one by one. */
static void test_segments(bool offload)
{
    enum { COUNT = 150, SIZE = 1200 };
    struct fixture f;
    begin(&f, offload);
    uint8_t bytes[SIZE];
    int one = SIZE;
    assert_int_equal(setsockopt(f.peer, IPPROTO_UDP, 103 /* UDP_SEGMENT */, &one, sizeof one), 0);
    AUTO_FREE uint8_t *batch = mem_zalloc((size_t)50 * SIZE);
    for (size_t i = 0; i < 50; i++) {
        fill(bytes, SIZE, i);
        memcpy(batch + i * SIZE, bytes, SIZE);
    }
    for (int i = 0; i < COUNT / 50; i++) {
        assert_int_equal(send(f.peer, batch, 50 * SIZE - 7, 0), 50 * SIZE - 7);
        WAIT(&f.loop, f.end.count == (size_t)(i + 1) * 50);
    }
    struct view in = buf_view(&f.end.in);
    for (size_t i = 0; i < COUNT; i++) {
        uint32_t n;
        memcpy(&n, in.ptr, sizeof n);
        assert_int_equal(n, i % 50 == 49 ? SIZE - 7 : SIZE);
        CHECK_VIEW(view_take(view_skip(in, 4), n), view_of(batch + (i % 50) * SIZE, n));
        in = view_skip(in, 4 + n);
    }
    finish(&f);
}

static void test_drops(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    AUTO_FREE uint8_t *bytes = mem_zalloc(70000);
    /* Too large for UDP, between two that are not. */
    struct view packets[] = {VIEW("one"), view_of(bytes, 70000), VIEW("two")};
    datagram_send(f.end.d, packets, 3);
    char got[8];
    assert_int_equal(recv(f.peer, got, sizeof got, 0), 3);
    assert_int_equal(recv(f.peer, got, sizeof got, 0), 3);
    assert_memory_equal(got, "two", 3);
    assert_int_equal(datagram_counts(f.end.d)->dropped, 1);
    finish(&f);
}

static void test_nobody_listens(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    (void)close(f.peer);
    f.peer = -1;
    struct view packets[] = {VIEW("any"), VIEW("one"), VIEW("there")};
    datagram_send(f.end.d, packets, 3);
    assert_int_equal(f.end.errors, 0);
    WAIT(&f.loop, f.end.errors > 0);
    CHECK_ERR(f.end.error, ERR_UNAVAILABLE);
    /* And again: the socket goes on. */
    int before = f.end.errors;
    datagram_send(f.end.d, packets, 1);
    WAIT(&f.loop, f.end.errors > before);
    finish(&f);
}

static void test_pause(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    datagram_pause(f.end.d);
    for (int i = 0; i < 10; i++)
        assert_int_equal(send(f.peer, "x", 1, 0), 1);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.end.count, 0);
    datagram_resume(f.end.d);
    WAIT(&f.loop, f.end.count == 10);
    f.end.pause_on_read = true;
    assert_int_equal(send(f.peer, "x", 1, 0), 1);
    WAIT(&f.loop, f.end.count == 11);
    assert_int_equal(send(f.peer, "x", 1, 0), 1);
    for (int i = 0; i < 20; i++)
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f.end.count, 11);
    finish(&f);
}

static void test_close_inside(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    f.end.close_on_read = true;
    for (int i = 0; i < 100; i++)
        assert_int_equal(send(f.peer, "x", 1, 0), 1);
    WAIT(&f.loop, !f.end.d);
    assert_int_equal(f.end.calls, 1);
    finish(&f);
}

/* --- moderation --- */

static void send_small(struct fixture *f, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(send(f->peer, "x", 1, 0), 1);
    f->sent += count;
}

/* As often as it takes for some wake-ups to come close together; nothing is left unread. */
static void make_fast(struct fixture *f)
{
    uint64_t end = loop_clock_ms() + GUARD_MS;
    do {
        send_small(f, DATAGRAM_FAST / 2);
        while (f->end.count < f->sent) {
            assert_true(loop_clock_ms() < end);
            (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
        }
    } while (!datagram_is_moderated(f->end.d));
}

static void run_some(struct fixture *f)
{
    for (int i = 0; i < 20; i++) {
        (void)usleep(200);
        (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
}

static void test_slow_is_at_once(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    for (size_t i = 1; i <= 20; i++) {
        (void)usleep(10 * DATAGRAM_FAST_US);
        send_small(&f, 1);
        WAIT(&f.loop, f.end.count == i);
        assert_false(datagram_is_moderated(f.end.d));
        assert_int_equal(datagram_counts(f.end.d)->wakes, i);
    }
    assert_int_equal(datagram_counts(f.end.d)->ticks, 0);
    finish(&f);
}

/* However many come together: they cost one wake-up, and there is nothing to moderate. */
static void test_burst_is_at_once(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    for (size_t i = 1; i <= 20; i++) {
        (void)usleep(10 * DATAGRAM_FAST_US);
        send_small(&f, 20);
        WAIT(&f.loop, f.end.count == 20 * i);
        assert_false(datagram_is_moderated(f.end.d));
    }
    assert_int_equal(datagram_counts(f.end.d)->ticks, 0);
    finish(&f);
}

static void test_fast_comes_and_goes(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    make_fast(&f);
    const struct datagram_counts *c = datagram_counts(f.end.d);
    uint64_t wakes = c->wakes;
    /* While each tick brings some, it stays. */
    for (uint64_t ticks = c->ticks, i = 1; i <= 5; i++) {
        size_t want = (size_t)c->packets_in + 10;
        send_small(&f, 10);
        WAIT(&f.loop, f.end.count >= want);
        assert_int_equal(c->ticks, ticks + i);
        assert_true(datagram_is_moderated(f.end.d));
    }
    assert_int_equal(c->wakes, wakes);
    /* What brings nothing ends it, and the next is told at once. */
    size_t before = f.end.count;
    WAIT(&f.loop, !datagram_is_moderated(f.end.d));
    uint64_t ticks = c->ticks;
    (void)usleep(10 * DATAGRAM_FAST_US);
    send_small(&f, 1);
    WAIT(&f.loop, f.end.count == before + 1);
    assert_int_equal(c->ticks, ticks);
    assert_int_equal(c->wakes, wakes + 1);
    finish(&f);
}

/* It is polled again when polling brings as much, and when there is too little. */
static void test_ticks_that_end_it(bool offload)
{
    static const size_t counts[] = {DATAGRAM_TICK_MAX + 1, DATAGRAM_TICK_MIN - 1};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct fixture f;
        begin(&f, offload);
        make_fast(&f);
        const struct datagram_counts *c = datagram_counts(f.end.d);
        uint64_t ticks = c->ticks;
        size_t want = f.end.count + counts[i];
        send_small(&f, counts[i]);
        WAIT(&f.loop, f.end.count == want);
        assert_int_equal(c->ticks, ticks + 1);
        assert_false(datagram_is_moderated(f.end.d));
        finish(&f);
    }
}

/* Was fast a moment ago: its second wake-up makes it so again, and reads nothing before the tick.
 */
static void test_known_is_fast_sooner(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    const struct datagram_counts *c = datagram_counts(f.end.d);
    uint64_t end = loop_clock_ms() + GUARD_MS;
    bool seen = false;
    while (!seen) {
        assert_true(loop_clock_ms() < end);
        make_fast(&f);
        size_t want = f.end.count + DATAGRAM_TICK_MAX + 1;
        send_small(&f, DATAGRAM_TICK_MAX + 1);
        WAIT(&f.loop, f.end.count >= want && !datagram_is_moderated(f.end.d));
        for (int i = 0; i < 2; i++) {
            send_small(&f, 1);
            (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        }
        seen = datagram_is_moderated(f.end.d) && c->packets_in == want + 1;
        WAIT(&f.loop, f.end.count == want + 2);
    }
    finish(&f);
}

/* For a while nothing waits, however close together it comes. */
static void test_not_worth_it(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    make_fast(&f);
    uint64_t before = uv_hrtime();
    WAIT(&f.loop, !datagram_is_moderated(f.end.d));
    uint64_t ticks = datagram_counts(f.end.d)->ticks;
    for (bool is_known = true; is_known;) {
        size_t want = f.end.count + DATAGRAM_FAST / 2;
        send_small(&f, DATAGRAM_FAST / 2);
        (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        bool is_told = f.end.count == want && !datagram_is_moderated(f.end.d);
        is_known = uv_hrtime() - before < DATAGRAM_KNOWN_US * UINT64_C(1000);
        assert_true(is_told || !is_known);
        assert_true(datagram_counts(f.end.d)->ticks == ticks || !is_known);
    }
    finish(&f);
}

static void test_fast_in_order(bool offload)
{
    enum { COUNT = 20000 };
    struct fixture f;
    begin(&f, offload);
    const struct datagram_counts *c = datagram_counts(f.end.d);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint8_t bytes[600] = {0};
        memcpy(bytes, &i, sizeof i);
        assert_int_equal(send(f.peer, bytes, sizeof bytes - i % 100, 0), sizeof bytes - i % 100);
        if (i % 3 == 0 || i % 1000 > 950)
            (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        if (i % 100 == 99) /* no more than the kernel keeps */
            WAIT(&f.loop, f.end.count == i + 1);
    }
    assert_int_equal(c->packets_in, COUNT);
    assert_true(c->wakes > 0 && c->ticks > 0);
    struct view in = buf_view(&f.end.in);
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t got[2];
        memcpy(got, in.ptr, sizeof got);
        assert_int_equal(got[0], 600 - i % 100);
        assert_int_equal(got[1], i);
        in = view_skip(in, sizeof(uint32_t) + got[0]);
    }
    finish(&f);
}

static void test_fast_pause(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    make_fast(&f);
    size_t before = (size_t)datagram_counts(f.end.d)->packets_in;
    datagram_pause(f.end.d);
    assert_false(datagram_is_moderated(f.end.d));
    send_small(&f, 3);
    run_some(&f);
    assert_int_equal(f.end.count, before);
    datagram_resume(f.end.d);
    datagram_resume(f.end.d);
    WAIT(&f.loop, f.end.count >= before + 3);
    /* By itself, at a tick. */
    (void)usleep(2 * DATAGRAM_KNOWN_US);
    WAIT(&f.loop, !datagram_is_moderated(f.end.d));
    make_fast(&f);
    before = f.end.count;
    uint64_t ticks = datagram_counts(f.end.d)->ticks;
    f.end.pause_on_read = true;
    send_small(&f, 3);
    WAIT(&f.loop, f.end.count == before + 3);
    assert_int_equal(datagram_counts(f.end.d)->ticks, ticks + 1);
    assert_false(datagram_is_moderated(f.end.d));
    send_small(&f, 3);
    run_some(&f);
    assert_int_equal(f.end.count, before + 3);
    finish(&f);
}

static void test_fast_close(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    make_fast(&f);
    send_small(&f, 3);
    size_t before = f.end.count;
    datagram_close(f.end.d);
    f.end.d = NULL;
    run_some(&f);
    assert_int_equal(f.end.count, before);
    finish(&f);

    begin(&f, offload);
    make_fast(&f);
    f.end.close_on_read = true;
    send_small(&f, 3);
    WAIT(&f.loop, !f.end.d);
    run_some(&f);
    finish(&f);

    /* The loop ends while its timer runs. */
    begin(&f, offload);
    make_fast(&f);
    finish(&f);
}

static void test_fast_meets_refusal(bool offload)
{
    struct fixture f;
    begin(&f, offload);
    make_fast(&f);
    (void)close(f.peer);
    f.peer = -1;
    struct view packet = VIEW("any");
    datagram_send(f.end.d, &packet, 1);
    WAIT(&f.loop, f.end.errors > 0 && !datagram_is_moderated(f.end.d));
    CHECK_ERR(f.end.error, ERR_UNAVAILABLE);
    finish(&f);
}

static void test_open_fails(void **state)
{
    (void)state;
    struct loop l;
    struct datagram *d = NULL;
    const char *why = NULL;
    loop_init(&l);
    struct address none = {0};
    CHECK_ERR(datagram_open(&l, &none, &handler, NULL, &d, &why), ERR_IO);
    assert_true(why && strlen(why) > 0);
    datagram_close(NULL);
    loop_fini(&l);
}

#define BOTH(name)                                                                                 \
    static void name##_both(void **state)                                                          \
    {                                                                                              \
        (void)state;                                                                               \
        name(true);                                                                                \
        name(false);                                                                               \
    }
BOTH(test_send)
BOTH(test_receive)
BOTH(test_segments)
BOTH(test_drops)
BOTH(test_nobody_listens)
BOTH(test_pause)
BOTH(test_close_inside)
BOTH(test_slow_is_at_once)
BOTH(test_burst_is_at_once)
BOTH(test_fast_comes_and_goes)
BOTH(test_ticks_that_end_it)
BOTH(test_known_is_fast_sooner)
BOTH(test_not_worth_it)
BOTH(test_fast_in_order)
BOTH(test_fast_pause)
BOTH(test_fast_close)
BOTH(test_fast_meets_refusal)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_send_both),
        cmocka_unit_test(test_receive_both),
        cmocka_unit_test(test_segments_both),
        cmocka_unit_test(test_drops_both),
        cmocka_unit_test(test_nobody_listens_both),
        cmocka_unit_test(test_pause_both),
        cmocka_unit_test(test_close_inside_both),
        cmocka_unit_test(test_slow_is_at_once_both),
        cmocka_unit_test(test_burst_is_at_once_both),
        cmocka_unit_test(test_fast_comes_and_goes_both),
        cmocka_unit_test(test_ticks_that_end_it_both),
        cmocka_unit_test(test_known_is_fast_sooner_both),
        cmocka_unit_test(test_not_worth_it_both),
        cmocka_unit_test(test_fast_in_order_both),
        cmocka_unit_test(test_fast_pause_both),
        cmocka_unit_test(test_fast_close_both),
        cmocka_unit_test(test_fast_meets_refusal_both),
        cmocka_unit_test(test_open_fails),
    };
    return RUN(tests);
}
