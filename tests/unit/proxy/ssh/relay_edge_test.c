/* What happens at the edges of the connection protocol: crossings, limits, cuts of bad moments. */
#include "tests/support/relay.h"

/* Both sides open at the same time: one table, and nobody's number is taken for the other's. */
static void test_opens_cross(void **state)
{
    struct fixture *f = *state;
    open_channel(f, C, "x", 0, 1000);
    open_channel(f, T, "x", 0, 2000);
    sink_list_clear(&f->out[C]);
    sink_list_clear(&f->out[T]);
    /* Only who was asked may answer: 0 is the client's, 1 the target's. */
    confirm(f, C, 1, 7, 100);
    (void)expect(f, T, MSG_CHANNEL_OPEN_CONFIRMATION, 0);
    confirm(f, T, 0, 7, 100);
    (void)expect(f, C, MSG_CHANNEL_OPEN_CONFIRMATION, 0);
    data(f, C, 0, 1);
    (void)expect(f, T, MSG_CHANNEL_DATA, 7);
    data(f, C, 1, 1);
    (void)expect(f, T, MSG_CHANNEL_DATA, 0);
    data(f, T, 1, 1);
    (void)expect(f, C, MSG_CHANNEL_DATA, 7);
    expect_nothing(f);
    open_channel(f, C, "x", 9, 1);
    sink_list_clear(&f->out[T]);
    confirm(f, C, 2, 7, 100); /* its own */
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

/* CLOSE crosses CLOSE: both are passed on, and the number is free only then. */
static void test_closes_cross(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 3; i++) {
        open_session(f, 1 << 21, 1000);
        enum relay_side first = i % 2 ? T : C;
        enum relay_side second = first == C ? T : C;
        shortly(f, first, MSG_CHANNEL_CLOSE, 0);
        shortly(f, second, MSG_CHANNEL_EOF, 0); /* was on its way */
        channel_request(f, second, 0, "exit-status", false);
        shortly(f, second, MSG_CHANNEL_CLOSE, 0);
        (void)expect(f, second, MSG_CHANNEL_CLOSE, second == C ? 100 : 200);
        (void)expect(f, first, MSG_CHANNEL_EOF, first == C ? 100 : 200);
        (void)expect(f, first, MSG_CHANNEL_REQUEST, first == C ? 100 : 200);
        (void)expect(f, first, MSG_CHANNEL_CLOSE, first == C ? 100 : 200);
        assert_int_equal(relay_channels(&f->r), 0);
        expect_nothing(f);
    }
    adjust(f, C, 0, 1);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

/* What slips out behind one's own CLOSE has no effect; data there is a fault. */
static void test_behind_close(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 1000);
    channel_request(f, T, 0, "x", true);
    (void)expect(f, C, MSG_CHANNEL_REQUEST, 100);
    shortly(f, C, MSG_CHANNEL_CLOSE, 0);
    (void)expect(f, T, MSG_CHANNEL_CLOSE, 200);
    adjust(f, C, 0, 1000);
    channel_request(f, C, 0, "signal", true);
    shortly(f, C, MSG_CHANNEL_FAILURE, 0);
    expect_nothing(f);
    assert_int_equal(f->r.channels[0].credit[T], (1 << 21) - RELAY_RESERVE);
    shortly(f, C, MSG_CHANNEL_EOF, 0);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
}

/* Nobody may be promised larger packets than we carry. */
static void test_packet_sizes_are_lowered(void **state)
{
    struct fixture *f = *state;
    struct writer w = begin(f, MSG_CHANNEL_OPEN);
    write_cstring(&w, "x");
    write_u32(&w, 100);
    write_u32(&w, UINT32_MAX);
    write_u32(&w, UINT32_MAX);
    feed(f, C);
    struct reader r = reader_of(view_skip(sink_list_next(&f->out[T]), 1 + 5 + 4 + 4));
    assert_int_equal(read_u32(&r), RELAY_PACKET_MAX);
    w = begin(f, MSG_CHANNEL_OPEN_CONFIRMATION);
    write_u32(&w, 0);
    write_u32(&w, 200);
    write_u32(&w, UINT32_MAX);
    write_u32(&w, 1 << 30);
    feed(f, T);
    r = expect(f, C, MSG_CHANNEL_OPEN_CONFIRMATION, 100);
    (void)read_u64(&r);
    assert_int_equal(read_u32(&r), RELAY_PACKET_MAX);
    data(f, T, 0, RELAY_PACKET_MAX);
    (void)expect(f, C, MSG_CHANNEL_DATA, 100);
    data(f, T, 0, RELAY_PACKET_MAX + 1);
    expect_disconnect(f, T, REASON_PROTOCOL_ERROR);
}

/* ssh2#1505: a window of zero means zero, in the first packet too. */
static void test_ssh2_1505_zero_window(void **state)
{
    struct fixture *f = *state;
    open_session(f, 0, 0);
    data(f, C, 0, 0);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    data(f, T, 0, 1);
    expect_disconnect(f, T, REASON_PROTOCOL_ERROR);
    assert_int_equal(f->r.bytes[T], 0);
}

static void test_ssh2_1505_window_plus_one(void **state)
{
    struct fixture *f = *state;
    open_session(f, 1 << 21, 1000);
    adjust(f, T, 0, 24);
    expect_adjust(f, C, 100, 24);
    data(f, C, 0, 1000);
    (void)expect(f, T, MSG_CHANNEL_DATA, 200);
    data(f, C, 0, 25);
    expect_disconnect(f, C, REASON_PROTOCOL_ERROR);
    assert_int_equal(f->r.bytes[C], 1000);
}

/* What was withheld for a long line goes to the target when a short one is shown instead. */
static void test_withheld_bytes_come_back(void **state)
{
    struct fixture *f = *state;
    char line[201];
    memset(line, 'x', 200);
    line[200] = 0;
    open_session(f, 4000, 100); /* no reserve */
    relay_warn(&f->r, view_str(line));
    expect_debug(f, line);
    adjust(f, C, 0, 150);
    expect_nothing(f);
    relay_warn(&f->r, VIEW("short"));
    expect_line(f, 100, "short\n");
    expect_adjust(f, T, 200, 150 - 6);
    expect_debug(f, "short");
    assert_int_equal(f->r.channels[0].credit[T], 4000 + 150 - 6);
    assert_int_equal(f->r.channels[0].reserve, 0);
    adjust(f, C, 0, 6);
    expect_adjust(f, T, 200, 6);
    expect_nothing(f);
}

/* A line may not eat up a window from which nothing would ever be granted again. */
static void test_a_line_leaves_small_windows_alone(void **state)
{
    struct fixture *f = *state;
    open_session(f, 64, 100);
    relay_warn(&f->r, VIEW("longer than a quarter"));
    expect_debug(f, "longer than a quarter");
    adjust(f, C, 0, 32);
    expect_adjust(f, T, 200, 32);
    relay_warn(&f->r, VIEW("short"));
    expect_debug(f, "short");
    adjust(f, C, 0, 7);
    expect_adjust(f, T, 200, 1);
    expect_line(f, 100, "short\n");
    expect_nothing(f);
}

/* The line that is due grows by its line ends when a terminal is asked for meanwhile. */
static void test_a_line_is_due_when_a_pty_comes(void **state)
{
    struct fixture *f = *state;
    open_session(f, 4000, 100);
    relay_warn(&f->r, VIEW("soon"));
    expect_debug(f, "soon");
    adjust(f, C, 0, 4);
    expect_nothing(f);
    channel_request(f, C, 0, "pty-req", true);
    (void)expect(f, T, MSG_CHANNEL_REQUEST, 200);
    adjust(f, C, 0, 10);
    expect_adjust(f, T, 200, 6);
    expect_line(f, 100, "\r\nsoon\r\n");
    expect_nothing(f);
}

/* A cut while the client does not read: its DISCONNECT says why it was cut, not that it is slow. */
static void test_cut_while_the_client_does_not_read(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    open_session(f, 1 << 21, 100);
    f->out[C].full = true;
    relay_cut(&f->r, VIEW("Your session was revoked."), REASON_BY_APPLICATION, 1000);
    assert_true(relay_next(&f->r, &e));
    assert_int_equal(e.type, RELAY_DISCONNECT);
    assert_true(e.cut);
    assert_int_equal(e.side, C);
    assert_int_equal(e.reason, REASON_BY_APPLICATION);
    CHECK_VIEW_STR(e.text, "Your session was revoked.");
    assert_false(relay_next(&f->r, &e));
    assert_int_equal(relay_deadline(&f->r), UINT64_MAX);
}

/* Channels that are being opened or closed at the moment of a cut. */
static void test_cut_of_unfinished_channels(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    open_session(f, 1 << 21, 100);
    open_channel(f, C, "session", 101, 1 << 21);
    open_channel(f, T, "x11", 300, 10);
    open_channel(f, C, "x", 102, 10);
    sink_list_clear(&f->out[C]);
    sink_list_clear(&f->out[T]);
    confirm(f, T, 3, 203, 10);
    (void)expect(f, C, MSG_CHANNEL_OPEN_CONFIRMATION, 102);
    shortly(f, T, MSG_CHANNEL_CLOSE, 3);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 102);
    relay_cut(&f->r, VIEW("Gone."), REASON_BY_APPLICATION, 1000);
    expect_line(f, 100, "Gone.\n");
    (void)expect(f, C, MSG_CHANNEL_EOF, 100);
    (void)expect(f, C, MSG_CHANNEL_CLOSE, 100);
    expect_debug(f, "Gone.");
    assert_int_equal(relay_channels(&f->r), 2);
    confirm(f, C, 2, 400, 10); /* the client did not know yet */
    confirm(f, T, 1, 201, 10);
    expect_nothing(f);
    shortly(f, C, MSG_CHANNEL_CLOSE, 3);
    expect_nothing(f);
    shortly(f, C, MSG_CHANNEL_CLOSE, 0);
    assert_true(relay_next(&f->r, &e));
    assert_true(e.cut);
    expect_nothing(f);
}

/* A client in a cut that breaks the protocol still gets the reason of the cut. */
static void test_fault_during_a_cut(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    open_session(f, 1 << 21, 100);
    relay_cut(&f->r, VIEW("Gone."), REASON_BY_APPLICATION, 1000);
    shortly(f, C, MSG_CHANNEL_CLOSE, 77);
    assert_true(relay_next(&f->r, &e));
    assert_true(e.cut);
    assert_int_equal(e.reason, REASON_BY_APPLICATION);
    CHECK_VIEW_STR(e.text, "Gone.");
}

/* Proofs cost signatures: a client gets some, not any number. */
static void test_proofs_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    struct view signature = VIEW("sig");
    for (int i = 0; i < RELAY_PROVES_MAX; i++) {
        prove(f, VIEW("key one"));
        assert_true(relay_next(&f->r, &e));
        relay_proved(&f->r, &signature, 1);
        expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("\0\0\0\3sig"));
    }
    prove(f, VIEW("key one"));
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    expect_nothing(f);
}

/* Many requests behind a proof that takes its time: bounded, and all answered in order. */
static void test_requests_behind_a_proof(void **state)
{
    struct fixture *f = *state;
    struct relay_event e;
    prove(f, VIEW("key one"));
    assert_true(relay_next(&f->r, &e));
    for (int i = 0; i < 50; i++) {
        global(f, C, "x", true);
        prove(f, VIEW("key one")); /* refused, one is under way */
        reply(f, T, i % 2 ? MSG_REQUEST_SUCCESS : MSG_REQUEST_FAILURE, i % 2 ? "ok" : "");
    }
    sink_list_clear(&f->out[T]);
    expect_nothing(f);
    relay_not_proved(&f->r);
    expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    for (int i = 0; i < 50; i++) {
        if (i % 2)
            expect_plain(f, C, MSG_REQUEST_SUCCESS, VIEW("ok"));
        else
            expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
        expect_plain(f, C, MSG_REQUEST_FAILURE, VIEW(""));
    }
    expect_nothing(f);
    assert_int_equal(f->r.owed_bytes, 0);
    for (int i = 0; i < RELAY_REQUESTS_MAX + 1; i++)
        global(f, T, "x", true);
    sink_list_clear(&f->out[C]);
    expect_disconnect(f, T, msg_reason_of(ERR_LIMIT));
}

/* OpenSSH CVE-2026-73281…: agent, X11 and forwarded channels are as opaque and as bounded as all.
 */
static void test_channels_of_the_target_are_bounded(void **state)
{
    struct fixture *f = *state;
    static const char *const types[] = {"auth-agent@openssh.com", "x11", "forwarded-tcpip",
                                        "forwarded-streamlocal@openssh.com"};
    for (uint32_t i = 0; i < RELAY_CHANNELS_MAX; i++)
        open_channel(f, T, types[i % ARRAY_LEN(types)], i, 1 << 21);
    assert_int_equal(f->out[C].count, RELAY_CHANNELS_MAX);
    sink_list_clear(&f->out[C]);
    for (uint32_t i = 0; i < 100; i++) {
        open_channel(f, T, types[i % ARRAY_LEN(types)], 5000 + i, 1 << 21);
        struct reader r = expect(f, T, MSG_CHANNEL_OPEN_FAILURE, 5000 + i);
        assert_int_equal(read_u32(&r), OPEN_RESOURCE_SHORTAGE);
    }
    expect_nothing(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_opens_cross),
        TEST(test_closes_cross),
        TEST(test_behind_close),
        TEST(test_packet_sizes_are_lowered),
        TEST(test_ssh2_1505_zero_window),
        TEST(test_ssh2_1505_window_plus_one),
        TEST(test_withheld_bytes_come_back),
        TEST(test_a_line_leaves_small_windows_alone),
        TEST(test_a_line_is_due_when_a_pty_comes),
        TEST(test_cut_while_the_client_does_not_read),
        TEST(test_cut_of_unfinished_channels),
        TEST(test_fault_during_a_cut),
        TEST(test_proofs_are_bounded),
        TEST(test_requests_behind_a_proof),
        TEST(test_channels_of_the_target_are_bounded),
    };
    return RUN(tests);
}
