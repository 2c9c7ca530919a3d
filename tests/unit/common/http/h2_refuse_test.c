/* Peers that break HTTP/2, or try to make it costly. */
#include "tests/unit/common/http/h2_pair.h"

/* A server that has read `in`; its output and what it told. */
struct run {
    struct h2 *h;
    struct told told;
    struct buf out;
    uint64_t now;
    pair_fn on_event;
};

static void run_init(struct run *r)
{
    *r = (struct run){.now = 1000};
    r->h = h2_new(H2_SERVER, r->now);
    told_init(&r->told);
    buf_init(&r->out, 64 << 20);
}

static void run_fini(struct run *r)
{
    h2_free(r->h);
    buf_fini(&r->told.text);
    buf_fini(&r->out);
}

static void run_turn(struct run *r)
{
    struct h2_event e;
    while (h2_next(r->h, &e)) {
        told_event(&r->told, &e);
        if (r->on_event)
            r->on_event(NULL, r->h, &e);
    }
    struct view out = h2_output(r->h);
    CHECK_OK(buf_append(&r->out, out));
    h2_sent(r->h, out.len);
}

static void run_feed(struct run *r, struct view in, size_t piece)
{
    while (in.len) {
        size_t n = h2_feed(r->h, view_take(in, piece), r->now);
        in = view_skip(in, n);
        run_turn(r);
        if (!n)
            break;
    }
    run_turn(r);
}

static struct buf *input(void)
{
    static struct buf b;
    buf_fini(&b);
    buf_init(&b, 64 << 20);
    put_preface(&b);
    return &b;
}

static bool told_has(const struct run *r, const char *text)
{
    return view_search(buf_view(&r->told.text), view_str(text)) >= 0;
}

#define CONNECT ":method: CONNECT\n:authority: a:1\n"
#define GET ":method: GET\n:scheme: https\n:path: /\n:authority: a\n"
#define UDP ":method: CONNECT\n:protocol: connect-udp\n:scheme: https\n:path: /p\n:authority: a\n"
#define POST ":method: POST\n:scheme: https\n:path: /\n:authority: a\n"

enum { ACCEPTED = -1 };

/* How a head is taken: RST_STREAM with a code, an answer by the engine, or a HEAD event. */
static const struct {
    const char *fields;
    int code;
    const char *status;
} heads[] = {
    {CONNECT, ACCEPTED, NULL},
    {GET, ACCEPTED, NULL},
    {UDP, ACCEPTED, NULL},
    {CONNECT "host: a:1\n", ACCEPTED, NULL},
    {GET "te: trailers\n", ACCEPTED, NULL},
    {":method: GET\n:scheme: https\n:path: /\nhost: a\n", ACCEPTED, NULL},
    {":method: OPTIONS\n:scheme: https\n:path: *\n:authority: a\n", ACCEPTED, NULL},
    {":method: CONNECT\n:authority: [::1]:22\n", ACCEPTED, NULL},
    /* CONNECT, RFC 9113 §8.5 and RFC 8441 §4 */
    {":method: CONNECT\n", 1, NULL},
    {":method: CONNECT\nhost: a:1\n", 1, NULL},
    {":method: CONNECT\n:authority: a\n", 1, NULL},
    {":method: CONNECT\n:authority: a:0\n", 1, NULL},
    {":method: CONNECT\n:authority: u@a:1\n", 1, NULL},
    {":method: CONNECT\n:authority: a:1/x\n", 1, NULL},
    {":method: CONNECT\n:authority: https://a:1\n", 1, NULL},
    {":method: CONNECT\n:authority: \n", 1, NULL},
    {CONNECT ":scheme: https\n", 1, NULL},
    {CONNECT ":path: /\n", 1, NULL},
    {CONNECT ":scheme: https\n:path: /\n", 1, NULL},
    {CONNECT "host: b:1\n", 1, NULL},
    {CONNECT ":protocol: connect-udp\n", 1, NULL},
    {CONNECT ":protocol: connect-udp\n:scheme: https\n", 1, NULL},
    {CONNECT ":protocol: connect-udp\n:path: /\n", 1, NULL},
    {":method: CONNECT\n:protocol: connect-udp\n:scheme: https\n:path: /\n", 1, NULL},
    {":method: CONNECT\n:protocol: a b\n:scheme: https\n:path: /\n:authority: a\n", 1, NULL},
    {":method: CONNECT\n:protocol: \n:scheme: https\n:path: /\n:authority: a\n", 1, NULL},
    {GET ":protocol: connect-udp\n", 1, NULL},
    {":method: connect\n:authority: a:1\n", 1, NULL},
    /* pseudo fields */
    {":method: GET\n:scheme: https\n:path: /\n", 1, NULL},
    {":method: GET\n:scheme: https\n:path: \n:authority: a\n", 1, NULL},
    {":method: GET\n:scheme: https\n:path: x\n:authority: a\n", 1, NULL},
    {":method: GET\n:scheme: https\n:path: *\n:authority: a\n", 1, NULL},
    {":method: GET\n:scheme: ftp\n:path: /\n:authority: a\n", 1, NULL},
    {":method: GET\n:scheme: https\n:path: /#x\n:authority: a\n", 1, NULL},
    {":method: GET\n:scheme: https\n:path: /a b\n:authority: a\n", 1, NULL},
    {":method: GET\n:scheme: https\n:path: /\n:authority: u@a\n", 1, NULL},
    {":method: G T\n:scheme: https\n:path: /\n:authority: a\n", 1, NULL},
    {GET ":method: GET\n", 1, NULL},
    {GET ":authority: a\n", 1, NULL},
    {GET ":status: 200\n", 1, NULL},
    {GET ":x: y\n", 1, NULL},
    {"x: y\n" GET, 1, NULL},
    {GET "host: b\n", 1, NULL},
    {GET "host: a\nhost: a\n", 1, NULL},
    /* fields of the connection, RFC 9113 §8.2.2 */
    {GET "connection: close\n", 1, NULL},
    {GET "keep-alive: 1\n", 1, NULL},
    {GET "proxy-connection: close\n", 1, NULL},
    {GET "transfer-encoding: chunked\n", 1, NULL},
    {GET "upgrade: connect-udp\n", 1, NULL},
    {GET "te: gzip\n", 1, NULL},
    /* names and values, §8.2.1 */
    {GET ": y\n", 1, NULL},
    {GET "X: y\n", 1, NULL},
    {GET "a b: y\n", 1, NULL},
    {GET "a(: y\n", 1, NULL},
    {GET "x: y\rz\n", 1, NULL},
    {GET "x: y\x01z\n", 1, NULL},
    {GET "x:  y\n", 1, NULL},
    {GET "x: y \n", 1, NULL},
    {GET "content-length: 1\ncontent-length: 1\n", 1, NULL},
    {GET "content-length: -1\n", 1, NULL},
    {GET "x_y: z\n", ACCEPTED, "400"},
    {CONNECT "content_length: 1\n", ACCEPTED, "400"},
};

static void check_head(size_t i, size_t piece, unsigned flags)
{
    struct run r;
    struct buf *in = input();
    run_init(&r);
    put_headers(in, 1, flags, heads[i].fields);
    put_frame(in, PING, 0, 0, VIEW("12345678"));
    run_feed(&r, buf_view(in), piece);
    int code = reset_code(buf_view(&r.out), 1);
    bool is_told = told_has(&r, "1 HEAD");
    bool answered = find_frame(buf_view(&r.out), HEADERS, 1, 0).ptr != NULL;
    bool want_told = heads[i].code == ACCEPTED && !heads[i].status;
    /* After an answer of the engine's own the client is told to send no more. */
    int want_code = heads[i].status && !(flags & END_STREAM) ? 0 : heads[i].code;
    if (code != want_code || is_told != want_told || answered != (heads[i].status != NULL))
        fail_msg("row %zu: code %d, told %d, answered %d: %s", i, code, is_told, answered,
                 heads[i].fields);
    /* Only the stream is refused. */
    assert_int_equal(count_frames(buf_view(&r.out), PING, 0), 1);
    assert_int_equal(reset_code(buf_view(&r.out), 0), -1);
    assert_int_equal(h2_count(r.h), want_told);
    run_fini(&r);
}

static void test_heads(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        check_head(i, SIZE_MAX, 0);
        check_head(i, 1, 0);
        check_head(i, SIZE_MAX, END_STREAM);
    }
}

/* NUL cannot stand in the rows above. */
static void test_nul_in_a_value(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    struct buf block;
    run_init(&r);
    buf_init(&block, 4096);
    put_fields(&block, GET);
    put_field(&block, VIEW("x"), VIEW("y\0z"));
    put_frame(in, HEADERS, END_HEADERS, 1, buf_view(&block));
    run_feed(&r, buf_view(in), SIZE_MAX);
    assert_int_equal(reset_code(buf_view(&r.out), 1), 1);
    buf_fini(&block);
    run_fini(&r);
}

static void test_content_length(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool good;
    } cases[] = {{"abc", true}, {"ab", false}, {"abcd", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct run r;
        struct buf *in = input();
        run_init(&r);
        put_headers(in, 1, 0, POST "content-length: 3\n");
        put_frame(in, DATA, END_STREAM, 1, view_str(cases[i].body));
        run_feed(&r, buf_view(in), SIZE_MAX);
        assert_int_equal(told_has(&r, "1 END"), cases[i].good);
        assert_int_equal(told_has(&r, "1 RESET 1"), !cases[i].good);
        assert_int_equal(reset_code(buf_view(&r.out), 1), cases[i].good ? -1 : 1);
        run_fini(&r);
    }
}

static void test_trailers_are_dropped(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    run_init(&r);
    put_headers(in, 1, 0, POST);
    put_frame(in, DATA, 0, 1, VIEW("x"));
    put_headers(in, 1, END_STREAM, "x: y\n");
    run_feed(&r, buf_view(in), SIZE_MAX);
    CHECK_VIEW_STR(buf_view(&r.told.text),
                   "1 HEAD POST scheme=https authority=a path=/ protocol=\n1 BODY x\n1 END");
    run_fini(&r);
}

static void test_cookie_crumbs(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    run_init(&r);
    put_headers(in, 1, END_STREAM, GET "cookie: a=1\nx: y\ncookie: b=2\n");
    run_feed(&r, buf_view(in), SIZE_MAX);
    assert_true(told_has(&r, "|x=y|cookie=a=1; b=2\n1 END"));
    run_fini(&r);
}

/* Padding counts for the windows and is not shown. */
static void test_padding(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    run_init(&r);
    put_headers(in, 1, 0, CONNECT);
    put_frame(in, DATA, PADDED, 1,
              VIEW("\x03"
                   "ab\0\0\0"));
    put_frame(in, DATA, PADDED | END_STREAM, 1,
              VIEW("\x00"
                   "c"));
    run_feed(&r, buf_view(in), 1);
    CHECK_VIEW_STR(buf_view(&r.told.text),
                   "1 HEAD CONNECT scheme= authority=a:1 path= protocol=\n1 BODY abc\n1 END");
    run_fini(&r);
}

/* --- whole connections --- */

static const struct {
    const char *hex; /* behind the preface and a SETTINGS frame */
    int code;        /* of GOAWAY */
} broken[] = {
    /* DATA on stream 0, HEADERS on an even stream, a stream reused */
    {"00 00 01 00 00 00 00 00 00 61", 1},
    {"00 00 01 01 05 00 00 00 02 82", 1},
    {"00 00 00 00 01 00 00 00 01", 1},
    /* frames of a wrong size */
    {"00 00 07 06 00 00 00 00 00 61 61 61 61 61 61 61", 6},
    {"00 00 05 04 00 00 00 00 00 61 61 61 61 61", 6},
    {"00 00 03 08 00 00 00 00 00 00 00 00", 6},
    {"00 40 01 00 00 00 00 00 01", 6},
    {"ff ff ff 00 00 00 00 00 01", 6},
    /* SETTINGS: INITIAL_WINDOW_SIZE of 2^31, ENABLE_PUSH of 2, ACK with a payload */
    {"00 00 06 04 00 00 00 00 00 00 04 80 00 00 00", 3},
    {"00 00 06 04 00 00 00 00 00 00 02 00 00 00 02", 1},
    {"00 00 06 04 01 00 00 00 00 00 04 00 00 00 01", 6},
    /* WINDOW_UPDATE of 0 and beyond 2^31-1 for the connection */
    {"00 00 04 08 00 00 00 00 00 00 00 00 00", 1},
    {"00 00 04 08 00 00 00 00 00 7f ff ff ff", 3},
    /* CONTINUATION alone, PUSH_PROMISE from a client */
    {"00 00 01 09 04 00 00 00 01 82", 1},
    {"00 00 05 05 04 00 00 00 01 00 00 00 02 82", 1},
    /* HEADERS without END_HEADERS, then another frame */
    {"00 00 01 01 00 00 00 00 01 82  00 00 08 06 00 00 00 00 00 61 61 61 61 61 61 61 61", 1},
    /* HPACK: index 0, index beyond the table, a table larger than was allowed, a cut integer */
    {"00 00 01 01 05 00 00 00 01 80", 9},
    {"00 00 01 01 05 00 00 00 01 be", 9},
    {"00 00 06 01 05 00 00 00 01 3f ff ff ff ff 0f", 9},
    {"00 00 02 01 05 00 00 00 01 ff ff", 9},
};

static void test_broken_connections(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        for (size_t piece = 1; piece; piece = piece == 1 ? SIZE_MAX : 0) {
            struct run r;
            struct buf *in = input();
            run_init(&r);
            CHECK_OK(buf_append(in, test_hex(broken[i].hex)));
            run_feed(&r, buf_view(in), piece);
            int code = reset_code(buf_view(&r.out), 0);
            if (code != broken[i].code || !told_has(&r, "FAILED"))
                fail_msg("row %zu: GOAWAY %d, told %.*s", i, code,
                         VIEW_FMT(buf_view(&r.told.text)));
            assert_true(h2_should_close(r.h));
            assert_int_equal(h2_room(r.h), 0);
            run_fini(&r);
        }
    }
}

static void test_no_http2(void **state)
{
    (void)state;
    static const char *const inputs[] = {
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r!xxxxxxxxxx",
        "\x16\x03\x01\x02xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    };
    for (size_t i = 0; i < ARRAY_LEN(inputs); i++) {
        struct run r;
        run_init(&r);
        run_feed(&r, view_str(inputs[i]), 1);
        assert_true(told_has(&r, "0 FAILED"));
        assert_true(h2_should_close(r.h));
        run_fini(&r);
    }
}

/* --- floods --- */

/* `put` is called until the engine gives up or `most` is reached; returns how often. */
static size_t flood(struct run *r, void (*put)(struct buf *b, uint32_t i), size_t most,
                    uint64_t step_ms)
{
    struct buf b;
    size_t n = 0;
    buf_init(&b, 1 << 20);
    for (; n < most && !told_has(r, "FAILED"); n++) {
        buf_clear(&b);
        put(&b, (uint32_t)n);
        run_feed(r, buf_view(&b), SIZE_MAX);
        r->now += step_ms;
        buf_clear(&r->out);
    }
    buf_fini(&b);
    return n;
}

static void put_rapid_reset(struct buf *b, uint32_t i)
{
    put_headers(b, 2 * i + 1, END_STREAM, GET);
    put_frame(b, RST_STREAM, 0, 2 * i + 1, VIEW("\0\0\0\x08"));
}

/* What a client makes the server reset costs as much (CVE-2025-8671). */
static void put_made_you_reset(struct buf *b, uint32_t i)
{
    put_headers(b, 2 * i + 1, 0, GET);
    put_frame(b, WINDOW_UPDATE, 0, 2 * i + 1, VIEW("\x7f\xff\xff\xff"));
}

static void put_malformed(struct buf *b, uint32_t i)
{
    put_headers(b, 2 * i + 1, 0, GET "connection: close\n");
}

static void put_ping(struct buf *b, uint32_t i)
{
    (void)i;
    put_frame(b, PING, 0, 0, VIEW("12345678"));
}

static void put_settings(struct buf *b, uint32_t i)
{
    (void)i;
    put_frame(b, SETTINGS, 0, 0, VIEW(""));
}

static void put_empty_data(struct buf *b, uint32_t i)
{
    if (!i)
        put_headers(b, 1, 0, CONNECT);
    put_frame(b, DATA, 0, 1, VIEW(""));
}

static void put_padding_only(struct buf *b, uint32_t i)
{
    if (!i)
        put_headers(b, 1, 0, CONNECT);
    put_frame(b, DATA, PADDED, 1, VIEW("\x02\0\0"));
}

static void test_floods(void **state)
{
    (void)state;
    static void (*const puts_[])(struct buf * b, uint32_t i) = {
        put_rapid_reset, put_made_you_reset, put_malformed,    put_ping,
        put_settings,    put_empty_data,     put_padding_only,
    };
    for (size_t i = 0; i < ARRAY_LEN(puts_); i++) {
        struct run r;
        run_init(&r);
        run_feed(&r, buf_view(input()), SIZE_MAX);
        size_t n = flood(&r, puts_[i], 10000, 1);
        if (n > H2_RESETS_MAX + 2 || n < H2_RESETS_MAX - 2)
            fail_msg("flood %zu ended after %zu", i, n);
        assert_true(h2_should_close(r.h));
        run_fini(&r);
        /* At a pace that costs nothing it goes on. */
        run_init(&r);
        run_feed(&r, buf_view(input()), SIZE_MAX);
        if (flood(&r, puts_[i], 900, 60) != 900)
            fail_msg("flood %zu: %.*s", i, VIEW_FMT(buf_view(&r.told.text)));
        run_fini(&r);
    }
}

/* Resets of streams that were answered are a client's right. */
static void answer(struct pair *p, struct h2 *h, const struct h2_event *e)
{
    (void)p;
    if (e->type == H2_HEAD)
        CHECK_OK(h2_send_response(h, e->stream, &(struct h2_head){.status = 200}));
}

static void put_answered_reset(struct buf *b, uint32_t i)
{
    if (i)
        put_frame(b, RST_STREAM, 0, 2 * i - 1, VIEW("\0\0\0\x08"));
    put_headers(b, 2 * i + 1, 0, CONNECT);
}

static void test_answered_resets(void **state)
{
    (void)state;
    struct run r;
    run_init(&r);
    r.on_event = answer;
    run_feed(&r, buf_view(input()), SIZE_MAX);
    assert_int_equal(flood(&r, put_answered_reset, 900, 1), 900);
    assert_int_equal(h2_count(r.h), 1);
    run_fini(&r);
}

/* CVE-2024-28182 */
static void test_continuation_flood(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    struct buf block;
    buf_init(&block, 4096);
    put_fields(&block, GET);
    run_init(&r);
    put_frame(in, HEADERS, 0, 1, buf_view(&block));
    for (int i = 0; i < 1000; i++)
        put_frame(in, CONTINUATION, 0, 1, VIEW("\0\x01x\x01y"));
    size_t fed = 0;
    while (fed < in->len && !told_has(&r, "FAILED")) {
        fed += h2_feed(r.h, view_take(view_skip(buf_view(in), fed), 100), r.now);
        run_turn(&r);
    }
    assert_true(fed < 1000);
    assert_true(h2_should_close(r.h));
    buf_fini(&block);
    run_fini(&r);
}

/* One large field in the dynamic table, then thousands of references to it. */
static void test_hpack_bomb(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    struct buf block;
    buf_init(&block, 1 << 20);
    put_fields(&block, GET);
    /* Indexed from now on: name of 1, value of 3000 = 7f + (3000 - 127) in varint form. */
    CHECK_OK(buf_append(&block, VIEW("\x40\x01x\x7f\xb9\x16")));
    for (int i = 0; i < 3000; i++)
        CHECK_OK(buf_append_u8(&block, 'y'));
    for (int i = 0; i < 10000; i++)
        CHECK_OK(buf_append_u8(&block, 0xbe));
    run_init(&r);
    put_frame(in, HEADERS, END_HEADERS | END_STREAM, 1, buf_view(&block));
    put_frame(in, PING, 0, 0, VIEW("12345678"));
    run_feed(&r, buf_view(in), SIZE_MAX);
    CHECK_VIEW_STR(buf_view(&r.told.text), "");
    /* 431 is a literal behind the static name of :status (index 8). */
    struct view answer_block = find_frame(buf_view(&r.out), HEADERS, 1, 0);
    assert_true(answer_block.len >= 3);
    assert_int_equal(count_frames(buf_view(&r.out), PING, 0), 1);
    assert_int_equal(h2_count(r.h), 0);
    buf_fini(&block);
    run_fini(&r);
}

static void test_too_many_fields(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        struct run r;
        struct buf *in = input();
        struct buf block;
        buf_init(&block, 1 << 20);
        put_fields(&block, GET);
        for (int i = 0; i < FIELDS_COUNT_MAX + more; i++)
            put_fields(&block, "x: y\n");
        run_init(&r);
        put_frame(in, HEADERS, END_HEADERS, 1, buf_view(&block));
        run_feed(&r, buf_view(in), SIZE_MAX);
        assert_int_equal(told_has(&r, "HEAD"), !more);
        assert_int_equal(count_frames(buf_view(&r.out), HEADERS, 1), (size_t)more);
        assert_int_equal(reset_code(buf_view(&r.out), 1), more ? 0 : -1);
        buf_fini(&block);
        run_fini(&r);
    }
}

/* A window of 0 pins what is queued: no more than its limit, and it can be seen. */
static void test_zero_window(void **state)
{
    (void)state;
    struct run r;
    static uint8_t block[65536];
    struct buf *in = input();
    run_init(&r);
    r.on_event = answer;
    put_frame(in, SETTINGS, 0, 0, test_hex("00 04 00 00 00 00"));
    put_headers(in, 1, 0, CONNECT);
    run_feed(&r, buf_view(in), SIZE_MAX);
    while (h2_writable(r.h, 1) >= sizeof block)
        CHECK_OK(h2_send_body(r.h, 1, view_of(block, sizeof block)));
    CHECK_ERR(h2_send_body(r.h, 1, view_of(block, sizeof block)), ERR_LIMIT);
    run_turn(&r);
    assert_int_equal(h2_pending(r.h, 1), H2_STREAM_OUTPUT_MAX);
    assert_int_equal(count_frames(buf_view(&r.out), DATA, 1), 0);
    h2_reset(r.h, 1, 8);
    run_turn(&r);
    assert_int_equal(reset_code(buf_view(&r.out), 1), 8);
    run_fini(&r);
}

/* Who makes us answer and reads no answer is not read from any more. */
static void test_answers_that_nobody_reads(void **state)
{
    (void)state;
    struct run r;
    struct buf one;
    static uint8_t block[H2_STREAM_OUTPUT_MAX];
    struct buf *in = input();
    run_init(&r);
    r.on_event = answer;
    /* A large window, and SETTINGS of ours that are never acknowledged. */
    put_frame(in, SETTINGS, 0, 0, test_hex("00 04 7f ff ff ff"));
    put_frame(in, WINDOW_UPDATE, 0, 0, test_hex("7f 00 00 00"));
    put_headers(in, 1, 0, CONNECT);
    run_feed(&r, buf_view(in), SIZE_MAX);
    for (int i = 0; i < 2; i++)
        CHECK_OK(h2_send_body(r.h, 1, view_of(block, sizeof block)));
    buf_init(&one, 4096);
    size_t n = 0;
    for (uint32_t id = 3; n < 20000; n++, id += 2) {
        struct h2_event e;
        buf_clear(&one);
        put_headers(&one, id, 0, GET "connection: close\n");
        if (h2_feed(r.h, buf_view(&one), r.now) < one.len)
            break;
        while (h2_next(r.h, &e))
            told_event(&r.told, &e);
    }
    assert_true(n < 5000);
    buf_fini(&one);
    run_fini(&r);
}

/* More than was allowed is an error of the stream's or the connection's, never stored. */
static void test_window_overrun(void **state)
{
    (void)state;
    struct run r;
    static uint8_t block[16384];
    struct buf *in = input();
    run_init(&r);
    put_headers(in, 1, 0, CONNECT);
    for (int i = 0; i < 20; i++)
        put_frame(in, DATA, 0, 1, view_of(block, sizeof block));
    run_feed(&r, buf_view(in), SIZE_MAX);
    assert_true(reset_code(buf_view(&r.out), 1) == 3 || reset_code(buf_view(&r.out), 0) == 3);
    assert_true(r.told.text.len < H2_WINDOW + 1000);
    run_fini(&r);
}

/* More streams than were offered are refused and not told of. */
static void test_too_many_streams(void **state)
{
    (void)state;
    struct run r;
    struct buf *in = input();
    run_init(&r);
    put_frame(in, SETTINGS, ACK, 0, VIEW(""));
    for (uint32_t i = 0; i <= H2_STREAMS_MAX; i++)
        put_headers(in, 2 * i + 1, 0, CONNECT);
    run_feed(&r, buf_view(in), SIZE_MAX);
    assert_true(h2_count(r.h) <= H2_STREAMS_MAX);
    assert_false(told_has(&r, "201 HEAD"));
    run_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_nul_in_a_value),
        cmocka_unit_test(test_content_length),
        cmocka_unit_test(test_trailers_are_dropped),
        cmocka_unit_test(test_cookie_crumbs),
        cmocka_unit_test(test_padding),
        cmocka_unit_test(test_broken_connections),
        cmocka_unit_test(test_no_http2),
        cmocka_unit_test(test_floods),
        cmocka_unit_test(test_answered_resets),
        cmocka_unit_test(test_continuation_flood),
        cmocka_unit_test(test_hpack_bomb),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_zero_window),
        cmocka_unit_test(test_answers_that_nobody_reads),
        cmocka_unit_test(test_window_overrun),
        cmocka_unit_test(test_too_many_streams),
    };
    return RUN(tests);
}
