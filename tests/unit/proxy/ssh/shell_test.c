#include "proxy/ssh/shell.h"

#include "common/base/wire.h"
#include "proxy/ssh/msg.h"
#include "tests/support/test.h"

#define HELP                                                                                       \
    "Usage:\n  postern [command]\n\nAvailable Commands:\n"                                         \
    "  help        Help about any command\n"                                                       \
    "  logout      Log out\n"                                                                      \
    "  whoami      Show details for the current session\n"                                         \
    "\nFlags:\n  -h, --help   help for postern\n\n"                                                \
    "Use \"postern [command] --help\" for more information about a command.\n"
#define HINT "\nWhich server? Put the route into the user name: ssh dev@ROUTE@GATEWAY\n"
#define WHOAMI_HELP                                                                                \
    "Show details for the current session\n\nUsage:\n  postern whoami [flags]\n\n"                 \
    "Flags:\n  -h, --help   help for whoami\n"

enum { PEER = 700, WINDOW = 1 << 20 };

struct fixture {
    struct shell s;
    struct buf b;
    struct buf said;    /* EXTENDED_DATA of channel PEER, together */
    uint32_t exit_code; /* of the last exit-status */
    size_t statuses;
    size_t eofs;
    size_t closes;
    uint32_t number; /* of the last confirmed channel */
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    shell_init(&f->s, "dev");
    buf_init(&f->b, 1 << 20);
    buf_init(&f->said, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    shell_fini(&f->s);
    buf_fini(&f->b);
    buf_fini(&f->said);
    mem_free(f);
    return 0;
}

/* --- what a client sends --- */

static struct writer begin(struct fixture *f, uint8_t type)
{
    buf_clear(&f->b);
    struct writer w = writer_to(&f->b);
    write_u8(&w, type);
    return w;
}

/* In memory of exactly its size, so that a read behind it is seen. */
static void feed_view(struct fixture *f, struct view v)
{
    uint8_t *copy = mem_zalloc(v.len);
    if (v.len)
        memcpy(copy, v.ptr, v.len);
    CHECK_OK(shell_feed(&f->s, view_of(copy, v.len)));
    mem_free(copy);
}

static void feed(struct fixture *f)
{
    feed_view(f, buf_view(&f->b));
}

static void write_open(struct fixture *f, const char *type, uint32_t window, uint32_t packet)
{
    struct writer w = begin(f, MSG_CHANNEL_OPEN);
    write_cstring(&w, type);
    write_u32(&w, PEER);
    write_u32(&w, window);
    write_u32(&w, packet);
}

static struct writer write_request(struct fixture *f, uint32_t channel, const char *name, bool want)
{
    struct writer w = begin(f, MSG_CHANNEL_REQUEST);
    write_u32(&w, channel);
    write_cstring(&w, name);
    write_bool(&w, want);
    return w;
}

static void request(struct fixture *f, const char *name, bool want)
{
    (void)write_request(f, f->number, name, want);
    feed(f);
}

static void write_pty(struct fixture *f, uint32_t columns)
{
    struct writer w = write_request(f, f->number, "pty-req", true);
    write_cstring(&w, "xterm");
    for (int i = 0; i < 4; i++)
        write_u32(&w, columns);
    write_string(&w, VIEW("\0"));
}

static void exec(struct fixture *f, const char *command)
{
    struct writer w = write_request(f, f->number, "exec", true);
    write_cstring(&w, command);
    feed(f);
}

static void data(struct fixture *f, struct view bytes)
{
    struct writer w = begin(f, MSG_CHANNEL_DATA);
    write_u32(&w, f->number);
    write_string(&w, bytes);
    feed(f);
}

static void shortly(struct fixture *f, uint8_t type)
{
    struct writer w = begin(f, type);
    write_u32(&w, f->number);
    feed(f);
}

static void adjust(struct fixture *f, uint32_t n)
{
    struct writer w = begin(f, MSG_CHANNEL_WINDOW_ADJUST);
    write_u32(&w, f->number);
    write_u32(&w, n);
    feed(f);
}

static void global(struct fixture *f, const char *name, bool want)
{
    struct writer w = begin(f, MSG_GLOBAL_REQUEST);
    write_cstring(&w, name);
    write_bool(&w, want);
    feed(f);
}

/* --- what it gets --- */

static struct reader next(struct fixture *f, uint8_t type)
{
    uint8_t *p = NULL;
    size_t len = 0;
    assert_true(shell_output(&f->s, &p, &len));
    struct reader r = reader_of(view_of(p, len));
    assert_int_equal(read_u8(&r), type);
    return r;
}

static struct reader next_of_channel(struct fixture *f, uint8_t type)
{
    struct reader r = next(f, type);
    assert_int_equal(read_u32(&r), PEER);
    return r;
}

static void expect_nothing(struct fixture *f)
{
    uint8_t *p;
    size_t len;
    struct shell_event e;
    assert_false(shell_output(&f->s, &p, &len));
    assert_false(shell_next(&f->s, &e));
}

static void open_session(struct fixture *f, uint32_t window, uint32_t packet)
{
    write_open(f, "session", window, packet);
    feed(f);
    struct reader r = next_of_channel(f, MSG_CHANNEL_OPEN_CONFIRMATION);
    f->number = read_u32(&r);
    assert_int_equal(read_u32(&r), SHELL_WINDOW);
    assert_int_equal(read_u32(&r), SHELL_PACKET);
    CHECK_OK(reader_done(&r));
}

static void expect_reply(struct fixture *f, uint8_t type)
{
    struct reader r = next_of_channel(f, type);
    CHECK_OK(reader_done(&r));
}

static void expect_ran(struct fixture *f, const char *name)
{
    struct shell_event e;
    assert_true(shell_next(&f->s, &e));
    assert_int_equal(e.type, SHELL_RAN);
    assert_string_equal(e.name, name);
}

static void expect_ask(struct fixture *f, enum shell_verb verb)
{
    struct shell_event e;
    assert_true(shell_next(&f->s, &e));
    assert_int_equal(e.type, SHELL_ASK);
    assert_int_equal(e.verb, verb);
}

static void collect_request(struct fixture *f, struct reader *r)
{
    CHECK_VIEW_STR(read_string(r), "exit-status");
    assert_false(read_bool(r));
    f->exit_code = read_u32(r);
    f->statuses++;
    CHECK_OK(reader_done(r));
}

/* All that there is, which must be text, status, EOF and CLOSE, in this order per channel. */
static void collect(struct fixture *f)
{
    uint8_t *p;
    size_t len;
    while (shell_output(&f->s, &p, &len)) {
        struct reader r = reader_of(view_of(p, len));
        uint8_t type = read_u8(&r);
        assert_int_equal(read_u32(&r), PEER);
        if (type == MSG_CHANNEL_EXTENDED_DATA) {
            assert_int_equal(f->statuses, f->closes);
            assert_int_equal(read_u32(&r), MSG_EXTENDED_STDERR);
            CHECK_OK(buf_append(&f->said, read_string(&r)));
            CHECK_OK(reader_done(&r));
        } else if (type == MSG_CHANNEL_REQUEST) {
            collect_request(f, &r);
        } else if (type == MSG_CHANNEL_EOF) {
            assert_int_equal(++f->eofs, f->statuses);
        } else {
            assert_int_equal(type, MSG_CHANNEL_CLOSE);
            assert_int_equal(++f->closes, f->eofs);
        }
    }
}

static void expect_end(struct fixture *f, const char *text, uint32_t status)
{
    collect(f);
    CHECK_VIEW_STR(buf_view(&f->said), text);
    assert_int_equal(f->statuses, 1);
    assert_int_equal(f->closes, 1);
    assert_int_equal(f->exit_code, status);
    shortly(f, MSG_CHANNEL_CLOSE);
    expect_nothing(f);
    f->statuses = f->eofs = f->closes = 0;
    buf_clear(&f->said);
}

static void run(struct fixture *f, const char *command, const char *name)
{
    open_session(f, WINDOW, 32768);
    exec(f, command);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, name);
}

/* --- commands --- */

static void test_no_command(void **state)
{
    struct fixture *f = *state;
    open_session(f, WINDOW, 32768);
    request(f, "shell", true);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "help");
    expect_end(f, HELP HINT, 0);
}

static void test_commands_that_ask_nobody(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *line;
        const char *name;
        const char *text;
        uint32_t status;
    } rows[] = {
        {"help", "help", HELP, 0},
        {"--help", "help", HELP, 0},
        {"-h", "help", HELP, 0},
        {"", "help", HELP, 0},
        {" \t\r\n ", "help", HELP, 0},
        {"help whoami", "help", WHOAMI_HELP, 0},
        {"whoami --help", "whoami", WHOAMI_HELP, 0},
        {"--help whoami", "whoami", WHOAMI_HELP, 0},
        {"help nosuch", "help", "Unknown help topic [`nosuch`]\n" HELP, 0},
        {"x", "unknown", "Error: unknown command \"x\" for \"postern\"\n", 1},
        {"x --help", "unknown", "Error: unknown command \"x\" for \"postern\"\n", 1},
        {"ls -l /", "unknown", "Error: unknown command \"ls\" for \"postern\"\n", 1},
        {"-- -h", "unknown", "Error: unknown command \"-h\" for \"postern\"\n", 1},
        {"WHOAMI", "unknown", "Error: unknown command \"WHOAMI\" for \"postern\"\n", 1},
        {"'whoami'", "unknown", "Error: unknown command \"'whoami'\" for \"postern\"\n", 1},
        {"\x1b[31mred", "unknown", "Error: unknown command \"?[31mred\" for \"postern\"\n", 1},
        {"whoami --json", "whoami", "Error: unknown flag: --json\n", 1},
        {"-x logout", "logout", "Error: unknown flag: -x\n", 1},
        {"portal", "unknown", "Error: unknown command \"portal\" for \"postern\"\n", 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        run(f, rows[i].line, rows[i].name);
        expect_end(f, rows[i].text, rows[i].status);
    }
}

static void test_questions(void **state)
{
    struct fixture *f = *state;
    run(f, " whoami  again ", "whoami");
    expect_ask(f, SHELL_WHOAMI);
    expect_nothing(f); /* also not asked twice */
    shell_answer(&f->s, 0, VIEW("User ID:    7\n"));
    expect_end(f, "User ID:    7\n", 0);
    run(f, "logout", "logout");
    expect_ask(f, SHELL_LOGOUT);
    shell_answer(&f->s, 1, VIEW("Error: later"));
    expect_end(f, "Error: later\n", 1);
}

static void test_a_terminal_gets_cr_lf(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        const char *shown;
    } rows[] = {{"a\nb\n", "a\r\nb\r\n"},
                {"a", "a\r\n"},
                {"\n", "\r\n"},
                {"", ""},
                {"a\n\nb", "a\r\n\r\nb\r\n"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        open_session(f, WINDOW, 32768);
        write_pty(f, 80);
        feed(f);
        expect_reply(f, MSG_CHANNEL_SUCCESS);
        exec(f, "whoami");
        expect_reply(f, MSG_CHANNEL_SUCCESS);
        expect_ran(f, "whoami");
        expect_ask(f, SHELL_WHOAMI);
        shell_answer(&f->s, 0, view_str(rows[i].text));
        expect_end(f, rows[i].shown, 0);
    }
}

/* Each message cut at each byte, then whole: nothing but the whole one has an effect. */
static void test_every_split_point(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_fini) struct buf whole;
    buf_init(&whole, 1 << 16);
    write_open(f, "session", WINDOW, 32768);
    for (size_t n = 0; n < f->b.len; n++) {
        feed_view(f, view_take(buf_view(&f->b), n));
        expect_nothing(f);
    }
    open_session(f, WINDOW, 32768);
    write_pty(f, 80);
    for (int message = 0; message < 2; message++) {
        buf_clear(&whole);
        CHECK_OK(buf_append(&whole, buf_view(&f->b)));
        size_t head = 1 + 4 + 4 + (message ? strlen("exec") : strlen("pty-req")) + 1;
        for (size_t n = 0; n < whole.len; n++) {
            feed_view(f, view_take(buf_view(&whole), n));
            if (n >= head)
                expect_reply(f, MSG_CHANNEL_FAILURE);
            expect_nothing(f);
        }
        feed_view(f, buf_view(&whole));
        expect_reply(f, MSG_CHANNEL_SUCCESS);
        if (message == 0) {
            struct writer w = write_request(f, f->number, "exec", true);
            write_cstring(&w, "whoami");
        }
    }
    expect_ran(f, "whoami");
    expect_ask(f, SHELL_WHOAMI);
    shell_answer(&f->s, 0, VIEW("me"));
    expect_end(f, "me\r\n", 0);
}

/* --- windows --- */

static void test_every_window(void **state)
{
    struct fixture *f = *state;
    for (uint32_t step = 1; step < 400; step += 7) {
        open_session(f, 0, step % 3 ? 32768 : 5);
        exec(f, "help");
        expect_reply(f, MSG_CHANNEL_SUCCESS);
        expect_ran(f, "help");
        for (size_t granted = 0; granted < strlen(HELP); granted += step) {
            collect(f);
            assert_int_equal(f->said.len, granted);
            assert_int_equal(f->statuses, 0);
            adjust(f, step);
        }
        expect_end(f, HELP, 0);
    }
}

static void test_packets_of_no_bytes(void **state)
{
    struct fixture *f = *state;
    open_session(f, WINDOW, 0);
    exec(f, "help");
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "help");
    expect_end(f, "", 0);
}

static void test_input_is_taken(void **state)
{
    struct fixture *f = *state;
    static const uint8_t bytes[1000];
    uint64_t granted = SHELL_WINDOW;
    open_session(f, WINDOW, 32768);
    for (uint64_t sent = 0; sent < 1 << 20; sent += sizeof bytes) {
        assert_true(granted >= sizeof bytes);
        granted -= sizeof bytes;
        if (sent % 2000) {
            data(f, view_of(bytes, sizeof bytes));
        } else {
            struct writer w = begin(f, MSG_CHANNEL_EXTENDED_DATA);
            write_u32(&w, f->number);
            write_u32(&w, MSG_EXTENDED_STDERR);
            write_string(&w, view_of(bytes, sizeof bytes));
            feed(f);
        }
        while (f->s.replies.len) {
            struct reader r = next_of_channel(f, MSG_CHANNEL_WINDOW_ADJUST);
            granted += read_u32(&r);
        }
        assert_true(granted <= SHELL_WINDOW);
    }
    shortly(f, MSG_CHANNEL_EOF); /* the end of input ends nothing */
    expect_nothing(f);
    exec(f, "help");
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "help");
    expect_end(f, HELP, 0);
}

/* --- requests --- */

static void test_other_requests_fail_and_kill_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"env",
                                        "x11-req",
                                        "auth-agent-req@openssh.com",
                                        "winadj@putty.projects.tartarus.org",
                                        "break",
                                        "xon-xoff",
                                        "eow@openssh.com",
                                        "simple@putty.projects.tartarus.org",
                                        "",
                                        "exit-status"};
    open_session(f, WINDOW, 32768);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        request(f, names[i], true);
        expect_reply(f, MSG_CHANNEL_FAILURE);
        request(f, names[i], false);
        expect_nothing(f);
    }
    request(f, "window-change", false); /* before a shell, and without a terminal */
    expect_nothing(f);
    request(f, "shell", false);
    expect_ran(f, "help");
    expect_end(f, HELP HINT, 0);
}

static void test_one_command_per_session(void **state)
{
    struct fixture *f = *state;
    run(f, "whoami", "whoami");
    exec(f, "logout");
    expect_reply(f, MSG_CHANNEL_FAILURE);
    request(f, "shell", true);
    expect_reply(f, MSG_CHANNEL_FAILURE);
    write_pty(f, 80);
    feed(f);
    expect_reply(f, MSG_CHANNEL_FAILURE);
    expect_ask(f, SHELL_WHOAMI);
    shell_answer(&f->s, 0, VIEW("me\n"));
    expect_end(f, "me\n", 0);
}

static void test_subsystem(void **state)
{
    struct fixture *f = *state;
    open_session(f, WINDOW, 32768);
    struct writer w = write_request(f, f->number, "subsystem", true);
    write_cstring(&w, "sftp");
    feed(f);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "subsystem");
    expect_end(f, "Error: there is no subsystem \"sftp\" without a route: connect as LOGIN@ROUTE\n",
               1);
}

static void test_huge_sizes(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_fini) struct buf line;
    buf_init(&line, 300000);
    for (int i = 0; i < 250000; i++)
        CHECK_OK(buf_append_u8(&line, 'a'));
    CHECK_OK(buf_append_u8(&line, 0));
    open_session(f, WINDOW, UINT32_MAX);
    write_pty(f, UINT32_MAX);
    feed(f);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    struct writer w = write_request(f, f->number, "window-change", true);
    for (int i = 0; i < 4; i++)
        write_u32(&w, UINT32_MAX);
    feed(f);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    exec(f, (const char *)buf_ptr(&line));
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "unknown");
    collect(f);
    assert_true(f->said.len < 200);
    assert_int_equal(f->exit_code, 1);
    assert_true(view_search(buf_view(&f->said), VIEW("aaa…\" for \"postern\"\r\n")) > 0);
}

/* A line of very many words. */
static void test_many_words(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_fini) struct buf line;
    buf_init(&line, 300000);
    CHECK_OK(buf_append_str(&line, "help"));
    for (int i = 0; i < 100000; i++)
        CHECK_OK(buf_append_str(&line, " x"));
    CHECK_OK(buf_append_u8(&line, 0));
    run(f, (const char *)buf_ptr(&line), "help");
    expect_end(f, "Unknown help topic [`x`]\n" HELP, 0);
}

/* --- interrupts --- */

static void test_ctrl_c(void **state)
{
    struct fixture *f = *state;
    open_session(f, WINDOW, 32768);
    write_pty(f, 80);
    feed(f);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    exec(f, "whoami");
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "whoami");
    expect_ask(f, SHELL_WHOAMI);
    data(f, VIEW("\4")); /* Ctrl-D: nobody reads */
    expect_nothing(f);
    data(f, VIEW("ab\3"));
    expect_end(f, "", SHELL_INTERRUPTED);
    shell_answer(&f->s, 0, VIEW("too late"));
    expect_nothing(f);
    run(f, "whoami", "whoami"); /* without a terminal it is a byte like any other */
    data(f, VIEW("\3"));
    expect_ask(f, SHELL_WHOAMI);
    shell_answer(&f->s, 0, VIEW("me\n"));
    expect_end(f, "me\n", 0);
}

static void test_signal(void **state)
{
    struct fixture *f = *state;
    run(f, "whoami", "whoami");
    struct writer w = write_request(f, f->number, "signal", true);
    write_cstring(&w, "USR1");
    feed(f);
    expect_reply(f, MSG_CHANNEL_FAILURE);
    w = write_request(f, f->number, "signal", false);
    write_cstring(&w, "INT");
    feed(f);
    expect_end(f, "", SHELL_INTERRUPTED);
}

/* --- several sessions --- */

static void test_sessions_ask_in_turn(void **state)
{
    struct fixture *f = *state;
    run(f, "whoami", "whoami");
    uint32_t first = f->number;
    run(f, "logout", "logout");
    assert_int_not_equal(first, f->number);
    expect_ask(f, SHELL_WHOAMI);
    expect_nothing(f);
    shell_answer(&f->s, 0, VIEW("me\n"));
    expect_ask(f, SHELL_LOGOUT);
    collect(f);
    CHECK_VIEW_STR(buf_view(&f->said), "me\n");
    shell_answer(&f->s, 0, VIEW("out\n"));
    collect(f);
    CHECK_VIEW_STR(buf_view(&f->said), "me\nout\n");
    assert_int_equal(f->closes, 2);
}

/* The client closes while its question is under way; the number is used again at once. */
static void test_close_while_asking(void **state)
{
    struct fixture *f = *state;
    run(f, "whoami", "whoami");
    expect_ask(f, SHELL_WHOAMI);
    shortly(f, MSG_CHANNEL_CLOSE);
    expect_reply(f, MSG_CHANNEL_CLOSE);
    expect_nothing(f);
    run(f, "logout", "logout");
    expect_nothing(f); /* until the first is answered */
    shell_answer(&f->s, 0, VIEW("me\n"));
    expect_ask(f, SHELL_LOGOUT);
    shell_answer(&f->s, 0, VIEW("out\n"));
    expect_end(f, "out\n", 0);
}

static void test_close_with_text_left(void **state)
{
    struct fixture *f = *state;
    open_session(f, 10, 32768);
    exec(f, "help");
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "help");
    (void)next_of_channel(f, MSG_CHANNEL_EXTENDED_DATA);
    shortly(f, MSG_CHANNEL_CLOSE);
    expect_reply(f, MSG_CHANNEL_CLOSE);
    expect_nothing(f);
    shortly(f, MSG_CHANNEL_CLOSE); /* and again, for a channel that is gone */
    adjust(f, 100);
    exec(f, "help");
    expect_nothing(f);
}

static void expect_open_failure(struct fixture *f, uint32_t reason, enum message m)
{
    struct reader r = next_of_channel(f, MSG_CHANNEL_OPEN_FAILURE);
    assert_int_equal(read_u32(&r), reason);
    CHECK_VIEW_STR(read_string(&r), message_text(m));
    CHECK_VIEW_STR(read_string(&r), "");
    CHECK_OK(reader_done(&r));
}

static void test_too_many_sessions(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < SHELL_CHANNELS_MAX; i++)
        open_session(f, WINDOW, 32768);
    write_open(f, "session", WINDOW, 32768);
    feed(f);
    expect_open_failure(f, OPEN_RESOURCE_SHORTAGE, MESSAGE_SHELL_TOO_MANY);
    shortly(f, MSG_CHANNEL_CLOSE);
    expect_reply(f, MSG_CHANNEL_CLOSE);
    open_session(f, WINDOW, 32768);
}

static void test_other_channels(void **state)
{
    struct fixture *f = *state;
    static const char *const forwarding[] = {"direct-tcpip", "direct-streamlocal@openssh.com"};
    static const char *const unknown[] = {"x11", "tun@openssh.com", "", "forwarded-tcpip"};
    for (size_t i = 0; i < ARRAY_LEN(forwarding); i++) {
        write_open(f, forwarding[i], WINDOW, 32768);
        feed(f);
        expect_open_failure(f, OPEN_ADMINISTRATIVELY_PROHIBITED, MESSAGE_SHELL_FORWARDING);
    }
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++) {
        write_open(f, unknown[i], WINDOW, 32768);
        feed(f);
        expect_open_failure(f, OPEN_UNKNOWN_CHANNEL_TYPE, MESSAGE_SHELL_CHANNEL_TYPE);
    }
    expect_nothing(f);
}

/* --- global requests --- */

static void test_global_requests(void **state)
{
    struct fixture *f = *state;
    static const char *const names[] = {"keepalive@openssh.com", "cancel-tcpip-forward",
                                        "nonsense"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        global(f, names[i], true);
        (void)next(f, MSG_REQUEST_FAILURE);
        global(f, names[i], false);
        expect_nothing(f);
    }
    struct shell_event e;
    for (int i = 0; i < 3; i++) {
        global(f, "tcpip-forward", true);
        (void)next(f, MSG_REQUEST_FAILURE);
        assert_int_equal(shell_next(&f->s, &e), i == 0); /* said once */
        if (i == 0)
            assert_int_equal(e.message, MESSAGE_SHELL_REMOTE_FORWARDING);
    }
    global(f, "no-more-sessions@openssh.com", false);
    write_open(f, "session", WINDOW, 32768);
    feed(f);
    expect_open_failure(f, OPEN_RESOURCE_SHORTAGE, MESSAGE_SHELL_NO_MORE);
}

/* A client that sends without reading: it is stopped, and nothing grows without end. */
static void test_flood(void **state)
{
    struct fixture *f = *state;
    size_t fed = 0;
    while (shell_takes(&f->s)) {
        write_open(f, "direct-tcpip", WINDOW, 32768);
        feed(f);
        assert_true(++fed < 10000);
    }
    write_open(f, "direct-tcpip", WINDOW, 32768);
    enum err e = OK;
    while (e == OK) {
        e = shell_feed(&f->s, buf_view(&f->b));
        assert_true(++fed < 10000);
    }
    assert_int_equal(e, ERR_LIMIT);
    assert_true(f->s.replies.len <= SHELL_REPLIES_HARD);
    uint8_t *p;
    size_t len;
    while (shell_output(&f->s, &p, &len))
        fed--;
    assert_int_equal(fed, 1); /* the refused one */
    assert_true(shell_takes(&f->s));
}

static void test_answers_are_cut(void **state)
{
    struct fixture *f = *state;
    AUTO(buf_fini) struct buf text;
    buf_init(&text, 200000);
    for (int i = 0; i < 150000; i++)
        CHECK_OK(buf_append_u8(&text, '\n'));
    open_session(f, WINDOW, 32768);
    write_pty(f, 80);
    feed(f);
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    exec(f, "whoami");
    expect_reply(f, MSG_CHANNEL_SUCCESS);
    expect_ran(f, "whoami");
    expect_ask(f, SHELL_WHOAMI);
    shell_answer(&f->s, 0, buf_view(&text));
    collect(f);
    assert_int_equal(f->said.len, 2 * (SHELL_TEXT_MAX - 1));
    shell_answer(&f->s, 0, buf_view(&text)); /* that nobody asked for */
    expect_nothing(f);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_command),
        TEST(test_commands_that_ask_nobody),
        TEST(test_questions),
        TEST(test_a_terminal_gets_cr_lf),
        TEST(test_every_split_point),
        TEST(test_every_window),
        TEST(test_packets_of_no_bytes),
        TEST(test_input_is_taken),
        TEST(test_other_requests_fail_and_kill_nothing),
        TEST(test_one_command_per_session),
        TEST(test_subsystem),
        TEST(test_huge_sizes),
        TEST(test_many_words),
        TEST(test_ctrl_c),
        TEST(test_signal),
        TEST(test_sessions_ask_in_turn),
        TEST(test_close_while_asking),
        TEST(test_close_with_text_left),
        TEST(test_too_many_sessions),
        TEST(test_other_channels),
        TEST(test_global_requests),
        TEST(test_flood),
        TEST(test_answers_are_cut),
    };
    return RUN(tests);
}
