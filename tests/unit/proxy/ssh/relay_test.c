#include "proxy/ssh/relay.h"

#include "tests/support/relay.h"

/* --- channels --- */

static void test_open(void **state)
{
    struct fixture *f = *state;
    open_channel(f, T, "x11", 41, 1000);
    struct reader r = reader_of(sink_list_next(&f->out[C]));
    assert_int_equal(read_u8(&r), MSG_CHANNEL_OPEN);
    CHECK_VIEW_STR(read_string(&r), "x11");
    assert_int_equal(read_u32(&r), 0);
    assert_int_equal(read_u32(&r), 1000); /* windows that are no session's are not touched */
    assert_int_equal(read_u32(&r), 32768);
    CHECK_VIEW_STR(read_rest(&r), "more");

    open_channel(f, C, "direct-tcpip", 9, 2000);
    r = reader_of(sink_list_next(&f->out[T]));
    assert_int_equal(read_u8(&r), MSG_CHANNEL_OPEN);
    CHECK_VIEW_STR(read_string(&r), "direct-tcpip");
    assert_int_equal(read_u32(&r), 1);

    confirm(f, C, 0, 77, 500);
    r = expect(f, T, MSG_CHANNEL_OPEN_CONFIRMATION, 41);
    assert_int_equal(read_u32(&r), 0);
    assert_int_equal(read_u32(&r), 500);
    assert_int_equal(read_u32(&r), 16384);
    data(f, T, 0, 3);
    r = expect(f, C, MSG_CHANNEL_DATA, 77);
    CHECK_VIEW(read_string(&r), view_of("\0\1\2", 3));
    data(f, C, 0, 1);
    (void)expect(f, T, MSG_CHANNEL_DATA, 41);

    struct writer w = begin(f, MSG_CHANNEL_OPEN_FAILURE);
    write_u32(&w, 1);
    write_u32(&w, OPEN_CONNECT_FAILED);
    write_cstring(&w, "refused");
    write_cstring(&w, "");
    feed(f, T);
    r = expect(f, C, MSG_CHANNEL_OPEN_FAILURE, 9);
    assert_int_equal(read_u32(&r), OPEN_CONNECT_FAILED);
    CHECK_VIEW_STR(read_string(&r), "refused");
    assert_int_equal(relay_channels(&f->r), 1);
    expect_nothing(f);
    assert_int_equal(f->r.bytes[C], 1);
    assert_int_equal(f->r.bytes[T], 3);
}

static void test_close(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 1000);
    shortly(f, C, MSG_CHANNEL_EOF, 0);
    (void)expect(f, T, MSG_CHANNEL_EOF, 200);
    shortly(f, C, MSG_CHANNEL_CLOSE, 0);
    (void)expect(f, T, MSG_CHANNEL_CLOSE, 200);
    data(f, T, 0, 10); /* was on its way */
    (void)expect(f, C, MSG_CHANNEL_DATA, 100);
    open_channel(f, C, "session", 101, 1 << 21); /* the number is not free yet */
    assert_int_equal(relay_channels(&f->r), 2);
    assert_int_equal(f->r.channels[1].peer[C], 101);
    sink_list_clear(&f->out[T]);
    shortly(f, T, MSG_CHANNEL_CLOSE, 0);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 100);
    assert_int_equal(relay_channels(&f->r), 1);
    open_channel(f, T, "x11", 5, 1);
    assert_int_equal(f->r.channels[0].peer[T], 5);
    sink_list_clear(&f->out[C]);
    expect_nothing(f);
}

static void test_after_close(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 1000);
    shortly(f, T, MSG_CHANNEL_CLOSE, 0);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 100);
    data(f, T, 0, 1);
    expect_disconnect(f, T, REASON_PROTOCOL_ERROR);
    data(f, C, 0, 1);
    expect_nothing(f);
}

static void test_unknown_channel(void **state)
{
    (void)state;
    for (uint8_t type = MSG_CHANNEL_OPEN_CONFIRMATION; type <= MSG_CHANNEL_FAILURE; type++) {
        for (int side = 0; side < 2; side++) {
            for (int opening = 0; opening < 2; opening++) {
                void *s;
                (void)setup(&s);
                struct fixture *f = s;
                /* The opener may not speak on a channel that is being opened. */
                if (opening)
                    open_channel(f, (enum relay_side)side, "x", 1, 1);
                sink_list_clear(&f->out[1 - side]);
                struct writer w = begin(f, type);
                write_u32(&w, 0);
                write_u64(&w, 0);
                write_u64(&w, 0);
                feed(f, (enum relay_side)side);
                expect_disconnect(f, (enum relay_side)side, REASON_PROTOCOL_ERROR);
                (void)teardown(&s);
            }
        }
    }
}

static void test_confirm_twice(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 1000);
    confirm(f, T, 0, 201, 1000);
    expect_disconnect(f, T, REASON_PROTOCOL_ERROR);
}

static void test_channel_limit(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        open_channel(f, i % 2 ? C : T, "x", 5000 + i, 1);
    assert_int_equal(relay_channels(&f->r), RELAY_CHANNELS_MAX);
    sink_list_clear(&f->out[C]);
    sink_list_clear(&f->out[T]);
    open_channel(f, C, "x", 9, 1);
    struct reader r = expect(f, C, MSG_CHANNEL_OPEN_FAILURE, 9);
    assert_int_equal(read_u32(&r), OPEN_RESOURCE_SHORTAGE);
    expect_nothing(f);
    struct writer w = begin(f, MSG_CHANNEL_OPEN_FAILURE);
    write_u32(&w, 501);
    write_u32(&w, 1);
    write_cstring(&w, "");
    write_cstring(&w, "");
    feed(f, T);
    (void)expect(f, C, MSG_CHANNEL_OPEN_FAILURE, 5501);
    open_channel(f, C, "x", 10, 1);
    struct view p = sink_list_next(&f->out[T]);
    assert_int_equal(load_u32(p.ptr + 6), 501);
    expect_nothing(f);
}

/* --- windows --- */

static void test_window_is_enforced(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 100);
    data(f, C, 0, 60);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    data(f, C, 0, 40);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    adjust(f, T, 0, 10);
    expect_adjust(f, C, 100, 10);
    data(f, C, 0, 10);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    data(f, C, 0, 0);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    data(f, C, 0, 1);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

static void test_extended_data_counts(void **state)
{
    struct fixture *f = *state;
    open_session(f, 8191, 100); /* below RELAY_RESERVE_WINDOW: all of it is the target's */
    for (int i = 0; i < 2; i++) {
        struct writer w = begin(f, MSG_CHANNEL_EXTENDED_DATA);
        write_u32(&w, 0);
        write_u32(&w, 1);
        write_u32(&w, 4096);
        for (int n = 0; n < 4096; n++)
            write_u8(&w, 'e');
        feed(f, T);
        if (i == 0)
            (void)expect(f, C, MSG_CHANNEL_EXTENDED_DATA, 100);
    }
    expect_disconnect(f, T, REASON_PROTOCOL_ERROR);
}

static void test_packet_size_is_enforced(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 1 << 21);
    data(f, C, 0, 16384);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    data(f, T, 0, 32768);
    (void)expect(f, C, MSG_CHANNEL_DATA, 100);
    data(f, C, 0, 16385);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

static void test_window_overflow(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 100);
    adjust(f, C, 0, UINT32_MAX - (1 << 21));
    expect_adjust(f, T, 200, UINT32_MAX - (1 << 21));
    adjust(f, C, 0, 1);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

static void test_length_lies(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 100);
    struct writer w = begin(f, MSG_CHANNEL_DATA);
    write_u32(&w, 0);
    write_u32(&w, 2);
    write_bytes(&w, VIEW("abc"));
    feed(f, C);
    expect_disconnect(f, C, msg_reason_of(ERR_SYNTAX));
}

/* --- requests --- */

static void test_channel_requests(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 100);
    channel_request(f, C, 0, "env", false);
    channel_request(f, C, 0, "pty-req", true);
    channel_request(f, C, 0, "shell", true);
    for (int i = 0; i < 3; i++)
        (void)expect(f, T, MSG_CHANNEL_REQUEST, 200);
    shortly(f, T, MSG_CHANNEL_SUCCESS, 0);
    shortly(f, T, MSG_CHANNEL_FAILURE, 0);
    shortly(f, T, MSG_CHANNEL_SUCCESS, 0); /* nobody asked */
    (void)expect(f, C, MSG_CHANNEL_SUCCESS, 100);
    (void)expect(f, C, MSG_CHANNEL_FAILURE, 100);
    shortly(f, C, MSG_CHANNEL_SUCCESS, 0);
    channel_request(f, T, 0, "keepalive@openssh.com", true);
    (void)expect(f, C, MSG_CHANNEL_REQUEST, 100);
    shortly(f, C, MSG_CHANNEL_FAILURE, 0);
    (void)expect(f, T, MSG_CHANNEL_FAILURE, 200);
    expect_nothing(f);
}

static void test_global_requests(void **state)
{
    struct fixture *f = *state;
    global(f, C, "tcpip-forward", true);
    global(f, C, "no-more-sessions@openssh.com", false);
    global(f, C, "keepalive@openssh.com", true);
    expect_plain(f, T, MSG_GLOBAL_REQUEST, VIEW("\0\0\0\15tcpip-forward\1"));
    expect_plain(f, T, MSG_GLOBAL_REQUEST, VIEW("\0\0\0\34no-more-sessions@openssh.com\0"));
    expect_plain(f, T, MSG_GLOBAL_REQUEST, VIEW("\0\0\0\25keepalive@openssh.com\1"));
    reply(f, T, MSG_REQUEST_SUCCESS, "port");
    reply(f, T, MSG_REQUEST_FAILURE, "");
    reply(f, T, MSG_REQUEST_SUCCESS, "nobody asked");
    expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("port"));
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    global(f, T, "keepalive@openssh.com", true);
    expect_plain(f, C, MSG_GLOBAL_REQUEST, VIEW("\0\0\0\25keepalive@openssh.com\1"));
    reply(f, C, MSG_REQUEST_FAILURE, "");
    expect_plain(f, T, MSG_REQUEST_FAILURE, VIEW(""));
    expect_nothing(f);
}

static void test_global_request_limit(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < RELAY_REQUESTS_MAX; i++)
        global(f, C, "x", true);
    assert_int_equal(f->out[T].count, RELAY_REQUESTS_MAX);
    reply(f, T, MSG_REQUEST_FAILURE, "");
    global(f, C, "x", true);
    sink_list_clear(&f->out[C]);
    sink_list_clear(&f->out[T]);
    expect_nothing(f);
    global(f, C, "x", true);
    expect_disconnect(f, C, msg_reason_of(ERR_LIMIT));
}

static void test_hostkeys(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    relay_advertise(&f->r);
    expect_plain(f, C, MSG_GLOBAL_REQUEST,
                 VIEW("\0\0\0\27hostkeys-00@openssh.com\0\0\0\0\10key zero\0\0\0\7key one"));
    global(f, T, "hostkeys-00@openssh.com", false);
    expect_nothing(f);
    global(f, T, "hostkeys-00@openssh.com", true);
    expect_plain(f, T, MSG_REQUEST_FAILURE, VIEW(""));

    global(f, C, "before", true);
    prove(f, VIEW("key one"));
    assert_true(relay_next(&f->r, &e));
    assert_int_equal(e.type, RELAY_PROVE);
    assert_int_equal(e.key_count, 1);
    assert_int_equal(e.keys[0], 1);
    prove(f, VIEW("key zero")); /* one at a time */
    global(f, C, "after", true);
    assert_int_equal(f->out[T].count, 2);
    sink_list_clear(&f->out[T]);
    reply(f, T, MSG_REQUEST_SUCCESS, "1");
    expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("1"));
    reply(f, T, MSG_REQUEST_SUCCESS, "2"); /* must not overtake the proof */
    expect_nothing(f);
    struct view signature = VIEW("sig");
    relay_proved(&f->r, &signature, 1);
    expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("\0\0\0\3sig"));
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("2"));
    expect_nothing(f);
    relay_not_proved(&f->r); /* nothing is asked */
    expect_nothing(f);
    prove(f, VIEW("key two"));
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    prove(f, VIEW("key zero"));
    assert_true(relay_next(&f->r, &e));
    relay_not_proved(&f->r);
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    expect_nothing(f);
}

static void test_large_answers(void **state)
{
    struct fixture *f = *state;
    char big[30001];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    prove(f, VIEW("key one"));
    struct relay_event e;
    assert_true(relay_next(&f->r, &e));
    for (int i = 0; i < 3; i++)
        global(f, C, "x", true);
    sink_list_clear(&f->out[T]);
    reply(f, T, MSG_REQUEST_SUCCESS, big);
    reply(f, T, MSG_REQUEST_SUCCESS, big);
    expect_nothing(f);
    reply(f, T, MSG_REQUEST_SUCCESS, big);
    expect_disconnect(f, T, msg_reason_of(ERR_LIMIT));
}

/* --- lines and the cut --- */

static void test_reserve(void **state)
{
    struct fixture *f = *state;
    open_channel(f, C, "session", 100, 10000);
    struct view p = sink_list_next(&f->out[T]);
    assert_int_equal(load_u32(p.ptr + 1 + 4 + 7 + 4), 10000 - RELAY_RESERVE);
    confirm(f, T, 0, 200, 100);
    (void)expect(f, C, MSG_CHANNEL_OPEN_CONFIRMATION, 100);
    data(f, T, 0, 10000 - RELAY_RESERVE);
    (void)expect(f, C, MSG_CHANNEL_DATA, 100);

    relay_warn(&f->r, VIEW("soon"));
    expect_line(f, 100, "soon\n");
    expect_debug(f, "soon");
    relay_warn(&f->r, VIEW("sooner")); /* there is still room */
    expect_line(f, 100, "sooner\n");
    expect_debug(f, "sooner");
    adjust(f, C, 0, 5);
    expect_nothing(f); /* 12 bytes are owed to the reserve */
    adjust(f, C, 0, 100);
    expect_adjust(f, T, 200, 93);
    adjust(f, C, 0, 100);
    expect_adjust(f, T, 200, 100);
    data(f, T, 0, 193);
    (void)expect(f, C, MSG_CHANNEL_DATA, 100);
    data(f, T, 0, 1);
    expect_disconnect(f, T, REASON_PROTOCOL_ERROR);
}

static void test_line_is_paid_first(void **state)
{
    struct fixture *f = *state;
    open_session(f, 4000, 100); /* no reserve */
    relay_warn(&f->r, VIEW("soon"));
    expect_debug(f, "soon");
    expect_nothing(f);
    adjust(f, C, 0, 3);
    expect_nothing(f);
    relay_warn(&f->r, VIEW("sooner"));
    expect_debug(f, "sooner");
    adjust(f, C, 0, 10); /* 7 bytes in all */
    expect_adjust(f, T, 200, 6);
    expect_line(f, 100, "sooner\n");
    adjust(f, C, 0, 10);
    expect_adjust(f, T, 200, 10);
    expect_nothing(f);
}

static void test_line_is_clean_and_cut(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 100);
    channel_request(f, C, 0, "pty-req", true);
    (void)expect(f, T, MSG_CHANNEL_REQUEST, 200);
    char line[1000];
    memset(line, 'x', sizeof line);
    line[1] = '\n';
    relay_warn(&f->r, view_of(line, sizeof line));
    struct reader r = expect(f, C, MSG_CHANNEL_EXTENDED_DATA, 100);
    (void)read_u32(&r);
    struct view shown = read_string(&r);
    assert_int_equal(shown.len, RELAY_LINE_MAX + 4);
    CHECK_VIEW_STR(view_take(shown, 5), "\r\nx?x");
    CHECK_VIEW_STR(view_skip(shown, shown.len - 2), "\r\n");
    assert_true(shown.len <= RELAY_RESERVE);
}

static void test_cut(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    open_session(f, 1 << 21, 100);
    open_channel(f, T, "x11", 300, 10);
    (void)sink_list_next(&f->out[C]);
    confirm(f, C, 1, 400, 10);
    (void)sink_list_next(&f->out[T]);
    assert_int_equal(relay_deadline(&f->r), UINT64_MAX);
    relay_cut(&f->r, VIEW("Your session was revoked."), REASON_BY_APPLICATION, 1000);
    expect_line(f, 100, "Your session was revoked.\n");
    (void)expect(f, C, MSG_CHANNEL_EOF, 100);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 100);
    (void)expect(f, C, MSG_CHANNEL_EOF, 400);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 400);
    expect_debug(f, "Your session was revoked.");
    expect_nothing(f);
    assert_int_equal(relay_deadline(&f->r), 1000 + RELAY_CUT_GRACE_MS);
    data(f, T, 0, 1);
    data(f, C, 0, 1);
    global(f, C, "x", true);
    expect_nothing(f);
    shortly(f, C, MSG_CHANNEL_CLOSE, 1);
    expect_nothing(f);
    shortly(f, C, MSG_CHANNEL_CLOSE, 0);
    assert_true(relay_next(&f->r, &e));
    assert_int_equal(e.type, RELAY_DISCONNECT);
    assert_true(e.cut);
    assert_int_equal(e.side, C);
    assert_int_equal(e.reason, REASON_BY_APPLICATION);
    CHECK_VIEW_STR(e.text, "Your session was revoked.");
    relay_cut(&f->r, VIEW("again"), 1, 2000);
    expect_nothing(f);
    assert_int_equal(relay_deadline(&f->r), UINT64_MAX);
}

static void test_cut_deadline(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    open_session(f, 1 << 21, 100);
    relay_cut(&f->r, VIEW("Gone."), REASON_BY_APPLICATION, 1000);
    relay_tick(&f->r, 1000 + RELAY_CUT_GRACE_MS - 1);
    assert_false(relay_next(&f->r, &e));
    relay_tick(&f->r, 1000 + RELAY_CUT_GRACE_MS);
    assert_true(relay_next(&f->r, &e));
    assert_true(e.cut);
    assert_false(relay_next(&f->r, &e));
}

/* Where nothing could be shown, the text of DISCONNECT is all that the user gets: at once. */
static void test_cut_without_a_line(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        void *s;
        (void)setup(&s);
        struct fixture *f = s;
        struct relay_event e;
        if (i == 1) {
            open_session(f, 3, 100);
        } else if (i == 2) {
            open_session(f, 1 << 21, 100);
            shortly(f, T, MSG_CHANNEL_EOF, 0);
            (void)expect(f, C, MSG_CHANNEL_EOF, 100);
        }
        relay_cut(&f->r, VIEW("Gone."), REASON_BY_APPLICATION, 1000);
        if (i == 1)
            (void)expect(f, C, MSG_CHANNEL_EOF, 100);
        if (i != 0)
            (void)expect(f, C, MSG_CHANNEL_CLOSE, 100);
        expect_debug(f, "Gone.");
        assert_true(relay_next(&f->r, &e));
        assert_true(e.cut);
        CHECK_VIEW_STR(e.text, "Gone.");
        (void)teardown(&s);
    }
}

static void test_peer_does_not_read(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 100);
    f->out[T].full = true;
    data(f, C, 0, 1);
    expect_disconnect(f, T, msg_reason_of(ERR_LIMIT));
}

/* --- messages by state --- */

static void test_message_by_state(void **state)
{
    (void)state;
    for (int side = 0; side < 2; side++) {
        for (int type = 0; type < 256; type++) {
            void *s;
            (void)setup(&s);
            struct fixture *f = s;
            open_session(f, 1 << 21, 100);
            (void)begin(f, (uint8_t)type);
            bool auth = type == MSG_SERVICE_REQUEST || type == MSG_SERVICE_ACCEPT ||
                        (type >= 50 && type < 80);
            bool reply = type == MSG_REQUEST_SUCCESS || type == MSG_REQUEST_FAILURE;
            bool ours = type == MSG_GLOBAL_REQUEST || reply || (type >= 90 && type <= 100);
            feed_err(f, (enum relay_side)side, auth || ours ? OK : ERR_UNSUPPORTED);
            struct relay_event e;
            bool ignored = reply || (type == MSG_USERAUTH_REQUEST && side == C);
            assert_int_equal(relay_next(&f->r, &e), (auth || ours) && !ignored);
            assert_int_equal(f->out[C].count + f->out[T].count, 0);
            (void)teardown(&s);
        }
    }
}

/* --- export --- */

/* The same relay, but gone through its encoding. */
static void move(struct fixture *f)
{
    AUTO(buf_fini) struct buf state;
    AUTO(buf_fini) struct buf again;
    buf_init(&state, 1 << 20);
    buf_init(&again, 1 << 20);
    CHECK_OK(relay_export(&f->r, &state));
    struct relay_config c = config_of(f);
    for (size_t cut = 0; cut < state.len; cut++) {
        struct relay r;
        relay_init(&r, &c);
        CHECK_ERR(relay_import(&r, view_take(buf_view(&state), cut)), ERR_DAMAGED);
        assert_int_equal(relay_channels(&r), 0);
        relay_fini(&r);
    }
    relay_fini(&f->r);
    relay_init(&f->r, &c);
    CHECK_OK(relay_import(&f->r, buf_view(&state)));
    CHECK_OK(relay_export(&f->r, &again));
    CHECK_VIEW(buf_view(&again), buf_view(&state));
    buf_ptr(&state)[3] ^= 2;
    struct relay r;
    relay_init(&r, &c);
    CHECK_ERR(relay_import(&r, buf_view(&state)), ERR_VERSION);
    relay_fini(&r);
}

static void test_export(void **state)
{
    struct fixture *f = *state;
    move(f);
    open_channel(f, C, "session", 100, 10000);
    sink_list_clear(&f->out[T]);
    move(f);
    confirm(f, T, 0, 200, 100);
    (void)expect(f, C, MSG_CHANNEL_OPEN_CONFIRMATION, 100);
    move(f);
    data(f, C, 0, 99);
    channel_request(f, C, 0, "pty-req", true);
    global(f, C, "x", true);
    relay_warn(&f->r, VIEW("soon"));
    sink_list_clear(&f->out[C]);
    sink_list_clear(&f->out[T]);
    move(f);
    adjust(f, C, 0, 9); /* 8 of them for "\r\nsoon\r\n" */
    expect_adjust(f, T, 200, 1);
    shortly(f, T, MSG_CHANNEL_SUCCESS, 0);
    (void)expect(f, C, MSG_CHANNEL_SUCCESS, 100);
    reply(f, T, MSG_REQUEST_SUCCESS, "1");
    expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("1"));
    shortly(f, T, MSG_CHANNEL_CLOSE, 0);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 100);
    move(f);
    data(f, C, 0, 1);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    assert_int_equal(f->r.bytes[C], 100);
    data(f, C, 0, 1);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

static void test_export_while_proving(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    prove(f, VIEW("key one"));
    assert_true(relay_next(&f->r, &e));
    global(f, C, "x", true);
    reply(f, T, MSG_REQUEST_SUCCESS, "1");
    sink_list_clear(&f->out[T]);
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1 << 20);
    CHECK_OK(relay_export(&f->r, &out));
    struct relay_config c = config_of(f);
    relay_fini(&f->r);
    relay_init(&f->r, &c);
    CHECK_OK(relay_import(&f->r, buf_view(&out)));
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("1"));
    expect_nothing(f);
    relay_cut(&f->r, VIEW("x"), 1, 1);
    CHECK_ERR(relay_export(&f->r, &out), ERR_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_open),
        TEST(test_close),
        TEST(test_after_close),
        cmocka_unit_test(test_unknown_channel),
        TEST(test_confirm_twice),
        TEST(test_channel_limit),
        TEST(test_window_is_enforced),
        TEST(test_extended_data_counts),
        TEST(test_packet_size_is_enforced),
        TEST(test_window_overflow),
        TEST(test_length_lies),
        TEST(test_channel_requests),
        TEST(test_global_requests),
        TEST(test_global_request_limit),
        TEST(test_hostkeys),
        TEST(test_large_answers),
        TEST(test_reserve),
        TEST(test_line_is_paid_first),
        TEST(test_line_is_clean_and_cut),
        TEST(test_cut),
        TEST(test_cut_deadline),
        cmocka_unit_test(test_cut_without_a_line),
        TEST(test_peer_does_not_read),
        cmocka_unit_test(test_message_by_state),
        TEST(test_export),
        TEST(test_export_while_proving),
    };
    return RUN(tests);
}
