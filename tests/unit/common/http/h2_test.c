#include "tests/unit/common/http/h2_pair.h"

static const struct h2_head ok = {.status = 200};

static void accept_all(struct pair *p, struct h2 *h, const struct h2_event *e)
{
    (void)p;
    if (e->type == H2_HEAD)
        CHECK_OK(h2_send_response(h, e->stream, &ok));
    if (e->type == H2_BODY) {
        CHECK_OK(h2_send_body(h, e->stream, e->bytes));
        h2_consume(h, e->stream, e->bytes.len);
    }
    if (e->type == H2_END)
        CHECK_OK(h2_send_end(h, e->stream));
}

static const size_t pieces[] = {SIZE_MAX, 1, 2, 3, 8, 9, 10, 25, 1000};

/* The same is told however the bytes are cut. */
static void test_connect(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        struct pair p;
        pair_init(&p, pieces[i]);
        p.on_server = accept_all;
        uint32_t id = pair_connect(&p, "Host.test:22");
        CHECK_OK(h2_send_body(p.client, id, VIEW("early ")));
        pair_flow(&p);
        assert_true(h2_is_ready(p.client) && h2_has_extended_connect(p.client));
        CHECK_OK(h2_send_body(p.client, id, VIEW("late")));
        CHECK_OK(h2_send_end(p.client, id));
        CHECK_ERR(h2_send_end(p.client, id), ERR_STATE);
        CHECK_ERR(h2_send_body(p.client, id, VIEW("x")), ERR_STATE);
        assert_int_equal(h2_count(p.server), 1);
        pair_flow(&p);
        pair_expect(&p,
                    "1 HEAD CONNECT scheme= authority=Host.test:22 path= protocol=\n"
                    "1 BODY early late\n1 END",
                    "1 HEAD 200\n1 BODY early late\n1 END");
        assert_int_equal(h2_count(p.server), 0);
        assert_int_equal(h2_count(p.client), 0);
        CHECK_ERR(h2_send_body(p.client, id, VIEW("x")), ERR_NOT_FOUND);
        assert_int_equal(h2_writable(p.client, id), 0);
        pair_fini(&p);
    }
}

static void test_extended_connect(void **state)
{
    (void)state;
    struct pair p;
    struct fields fields = {0};
    uint32_t id;
    CHECK_OK(fields_add_str(&fields, "Capsule-Protocol", "?1"));
    CHECK_OK(fields_add_str(&fields, "Connection", "Upgrade"));
    CHECK_OK(fields_add_str(&fields, "Host", "other"));
    struct h2_head head = {.method = VIEW("CONNECT"),
                           .protocol = VIEW("connect-udp"),
                           .scheme = VIEW("https"),
                           .authority = VIEW("gw.test"),
                           .path = VIEW("/.well-known/masque/udp/a/53/"),
                           .fields = &fields};
    pair_init(&p, SIZE_MAX);
    CHECK_ERR(h2_send_request(p.client, &head, &id), ERR_UNSUPPORTED);
    assert_false(h2_is_ready(p.client));
    pair_flow(&p);
    CHECK_OK(h2_send_request(p.client, &head, &id));
    pair_flow(&p);
    CHECK_ERR(h2_send_response(p.server, id, &(struct h2_head){.status = 101}), ERR_SYNTAX);
    CHECK_OK(h2_send_response(p.server, id, &(struct h2_head){.status = 200, .fields = &fields}));
    CHECK_ERR(h2_send_response(p.server, id, &ok), ERR_STATE);
    pair_flow(&p);
    pair_expect(&p,
                "1 HEAD CONNECT scheme=https authority=gw.test "
                "path=/.well-known/masque/udp/a/53/ protocol=connect-udp|capsule-protocol=?1",
                "1 HEAD 200|capsule-protocol=?1");
    fields_fini(&fields);
    pair_fini(&p);
}

/* Either side may end first; the other direction goes on. */
static void test_half_close(void **state)
{
    (void)state;
    for (int client_first = 0; client_first < 2; client_first++) {
        struct pair p;
        pair_init(&p, SIZE_MAX);
        uint32_t id = pair_connect(&p, "a:1");
        pair_flow(&p);
        CHECK_OK(h2_send_response(p.server, id, &ok));
        pair_flow(&p);
        struct h2 *first = client_first ? p.client : p.server;
        struct h2 *second = client_first ? p.server : p.client;
        CHECK_OK(h2_send_body(first, id, VIEW("bye")));
        CHECK_OK(h2_send_end(first, id));
        pair_flow(&p);
        assert_int_equal(h2_count(p.server), 1);
        assert_int_equal(h2_count(p.client), 1);
        for (int i = 0; i < 3; i++) {
            CHECK_OK(h2_send_body(second, id, VIEW("more ")));
            pair_flow(&p);
        }
        CHECK_OK(h2_send_end(second, id));
        pair_flow(&p);
        const char *head = "1 HEAD CONNECT scheme= authority=a:1 path= protocol=\n";
        AUTO_FREE char *server =
            mem_printf("%s1 BODY %s\n1 END", head, client_first ? "bye" : "more more more ");
        AUTO_FREE char *client =
            mem_printf("1 HEAD 200\n1 BODY %s\n1 END", client_first ? "more more more " : "bye");
        pair_expect(&p, server, client);
        assert_int_equal(h2_count(p.server), 0);
        assert_int_equal(h2_count(p.client), 0);
        pair_fini(&p);
    }
}

/* The server has ended a tunnel and wants no more: what is queued goes out, then RST_STREAM. */
static void test_reset_behind_the_end(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[200000];
    pair_init(&p, SIZE_MAX);
    uint32_t id = pair_connect(&p, "a:1");
    pair_flow(&p);
    h2_set_owner(p.server, id, &p);
    assert_ptr_equal(h2_owner(p.server, id), &p);
    CHECK_OK(h2_send_response(p.server, id, &ok));
    CHECK_OK(h2_send_body(p.server, id, view_of(block, sizeof block)));
    CHECK_OK(h2_send_end(p.server, id));
    h2_reset(p.server, id, 0);
    assert_null(h2_owner(p.server, id));
    assert_int_equal(h2_count(p.server), 0);
    CHECK_OK(h2_send_body(p.client, id, VIEW("too late")));
    pair_flow(&p);
    struct view told = buf_view(&p.client_told.text);
    assert_true(told.len > sizeof block);
    assert_true(view_ends_with(told, VIEW("\n1 END\n1 RESET 0")));
    CHECK_VIEW_STR(buf_view(&p.server_told.text),
                   "1 HEAD CONNECT scheme= authority=a:1 path= protocol=");
    assert_int_equal(h2_count(p.client), 0);
    /* The connection lives on, and what came too late does not narrow its window. */
    id = pair_connect(&p, "b:1");
    pair_flow(&p);
    assert_int_equal(h2_count(p.server), 1);
    pair_fini(&p);
}

static void test_resets(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, SIZE_MAX);
    uint32_t id = pair_connect(&p, "a:1");
    pair_flow(&p);
    h2_reset(p.client, id, 8);
    pair_flow(&p);
    pair_expect(&p, "1 HEAD CONNECT scheme= authority=a:1 path= protocol=\n1 RESET 8", "");
    id = pair_connect(&p, "a:1");
    pair_flow(&p);
    h2_reset(p.server, id, 11);
    CHECK_ERR(h2_send_response(p.server, id, &ok), ERR_NOT_FOUND);
    pair_flow(&p);
    pair_expect(&p, "3 HEAD CONNECT scheme= authority=a:1 path= protocol=", "3 RESET 11");
    /* Reset before it was sent. */
    id = pair_connect(&p, "a:1");
    h2_reset(p.client, id, 8);
    pair_flow(&p);
    pair_expect(&p, "", "");
    assert_int_equal(h2_count(p.client), 0);
    assert_int_equal(h2_count(p.server), 0);
    pair_fini(&p);
}

static void test_request_and_response(void **state)
{
    (void)state;
    struct pair p;
    struct fields fields = {0};
    uint32_t id;
    CHECK_OK(fields_add_str(&fields, "Cookie", "a=1"));
    CHECK_OK(fields_add_str(&fields, "X", "y"));
    CHECK_OK(fields_add_str(&fields, "Cookie", "b=2"));
    struct h2_head head = {.method = VIEW("GET"),
                           .scheme = VIEW("https"),
                           .authority = VIEW("a"),
                           .path = VIEW("/b?c"),
                           .fields = &fields,
                           .end = true};
    pair_init(&p, 7);
    CHECK_OK(h2_send_request(p.client, &head, &id));
    CHECK_ERR(h2_send_body(p.client, id, VIEW("x")), ERR_STATE);
    assert_int_equal(h2_writable(p.client, id), 0);
    pair_flow(&p);
    CHECK_OK(h2_send_response(p.server, id, &(struct h2_head){.status = 404, .end = true}));
    pair_flow(&p);
    pair_expect(&p,
                "1 HEAD GET scheme=https authority=a path=/b?c protocol= end|x=y"
                "|cookie=a=1; b=2\n1 END",
                "1 HEAD 404 end\n1 END");
    assert_int_equal(h2_count(p.server), 0);
    fields_fini(&fields);
    pair_fini(&p);
}

static void test_what_cannot_be_sent(void **state)
{
    (void)state;
    struct pair p;
    uint32_t id;
    pair_init(&p, SIZE_MAX);
    static const struct h2_head heads[] = {
        {.method = VIEW("CONNECT")},
        {.method = VIEW("C T"), .authority = VIEW("a:1")},
        {.method = VIEW("CONNECT"), .authority = VIEW("a:1\r\n")},
        {.method = VIEW("GET"), .authority = VIEW("a"), .scheme = VIEW("https")},
        {.method = VIEW("GET"), .authority = VIEW("a"), .path = VIEW("/")},
        {.method = VIEW("GET"), .authority = VIEW("a"), .scheme = VIEW("x"), .path = VIEW("/ ")},
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++)
        CHECK_ERR(h2_send_request(p.client, &heads[i], &id), ERR_SYNTAX);
    CHECK_ERR(h2_send_request(p.server, &heads[0], &id), ERR_STATE);
    CHECK_ERR(h2_send_response(p.server, 1, &ok), ERR_NOT_FOUND);
    pair_fini(&p);
}

/* --- windows --- */

static void hold_bodies(struct pair *p, struct h2 *h, const struct h2_event *e)
{
    (void)p;
    (void)h;
    (void)e;
}

/* What is not consumed is not sent, and what is queued has a limit. */
static void test_flow_control(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[H2_STREAM_OUTPUT_MAX];
    pair_init(&p, SIZE_MAX);
    p.on_server = hold_bodies;
    uint32_t id = pair_connect(&p, "a:1");
    pair_flow(&p);
    CHECK_OK(h2_send_body(p.client, id, view_of(block, H2_WINDOW)));
    pair_flow(&p);
    assert_int_equal(h2_pending(p.client, id), 0);
    size_t held = p.server_told.text.len;
    assert_true(held > H2_WINDOW);
    /* The window is used up. */
    CHECK_OK(h2_send_body(p.client, id, view_of(block, sizeof block)));
    assert_int_equal(h2_writable(p.client, id), 0);
    CHECK_ERR(h2_send_body(p.client, id, VIEW("x")), ERR_LIMIT);
    pair_flow(&p);
    assert_int_equal(p.server_told.text.len, held);
    assert_int_equal(h2_pending(p.client, id), sizeof block);
    CHECK_VIEW_STR(buf_view(&p.client_told.text), "");
    /* Given back, the rest comes, and the sender hears of it. */
    h2_consume(p.server, id, H2_WINDOW);
    pair_flow(&p);
    assert_int_equal(h2_pending(p.client, id), 0);
    CHECK_VIEW_STR(buf_view(&p.client_told.text), "1 DRAIN");
    assert_int_equal(h2_writable(p.client, id), H2_STREAM_OUTPUT_MAX);
    pair_fini(&p);
}

/* Bytes that a reset stream held do not narrow the connection for the others. */
static void test_window_of_reset_streams(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[H2_WINDOW];
    pair_init(&p, SIZE_MAX);
    p.on_server = hold_bodies;
    for (int i = 0; i < 20; i++) {
        uint32_t id = pair_connect(&p, "a:1");
        pair_flow(&p);
        CHECK_OK(h2_send_response(p.server, id, &ok));
        CHECK_OK(h2_send_body(p.client, id, view_of(block, sizeof block)));
        pair_flow(&p);
        assert_int_equal(h2_pending(p.client, id), 0);
        if (i % 2)
            h2_reset(p.server, id, 8);
        else
            h2_reset(p.client, id, 8);
        pair_flow(&p);
    }
    pair_fini(&p);
}

struct sum {
    size_t received;
    uint32_t hash;
};
static struct sum sums[2];

static void add_up(struct sum *s, struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        s->hash = (s->hash ^ v.ptr[i]) * 16777619;
    s->received += v.len;
}

static void sum_up(struct pair *p, struct h2 *h, const struct h2_event *e)
{
    if (e->type == H2_BODY) {
        add_up(&sums[h == p->server], e->bytes);
        h2_consume(h, e->stream, e->bytes.len);
    }
}

/* Much, both ways, with a small and a large output taken at a time. */
static void test_bulk(void **state)
{
    (void)state;
    static uint8_t block[100000];
    static const size_t cuts[] = {SIZE_MAX, 999, 65536};
    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (uint8_t)(i * 31 + (i >> 8));
    for (size_t c = 0; c < ARRAY_LEN(cuts); c++) {
        struct pair p;
        struct sum sent = {0};
        memset(sums, 0, sizeof sums);
        pair_init(&p, cuts[c]);
        p.on_server = p.on_client = sum_up;
        uint32_t id = pair_connect(&p, "a:1");
        pair_flow(&p);
        CHECK_OK(h2_send_response(p.server, id, &ok));
        for (size_t n = 1; sent.received < 10000000; n = (n * 7 + 13) % sizeof block) {
            struct view part = view_of(block, n);
            CHECK_OK(h2_send_body(p.client, id, part));
            CHECK_OK(h2_send_body(p.server, id, part));
            add_up(&sent, part);
            if (h2_writable(p.client, id) < sizeof block ||
                h2_writable(p.server, id) < sizeof block)
                pair_flow(&p);
            buf_clear(&p.server_told.text);
            buf_clear(&p.client_told.text);
        }
        pair_flow(&p);
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(sums[i].received, sent.received);
            assert_int_equal(sums[i].hash, sent.hash);
        }
        pair_fini(&p);
    }
}

/* A peer that does not read: the output and the queues end at their limits. */
static void test_unread_output(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[65536];
    pair_init(&p, SIZE_MAX);
    uint32_t ids[4];
    for (size_t i = 0; i < 4; i++)
        ids[i] = pair_connect(&p, "a:1");
    pair_flow(&p);
    size_t queued = 0;
    for (size_t i = 0; i < 4; i++) {
        CHECK_OK(h2_send_response(p.server, ids[i], &ok));
        for (; h2_writable(p.server, ids[i]) >= sizeof block; queued += sizeof block)
            CHECK_OK(h2_send_body(p.server, ids[i], view_of(block, sizeof block)));
    }
    assert_true(queued >= 4 * H2_STREAM_OUTPUT_MAX);
    size_t waiting = h2_output(p.server).len;
    assert_true(waiting >= 256 * 1024 && waiting < 300 * 1024);
    pair_flow(&p);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(h2_pending(p.server, ids[i]), 0);
    pair_fini(&p);
}

/* Both sides have more to send than an output holds: each still reads. */
static void test_full_both_ways(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[H2_STREAM_OUTPUT_MAX];
    uint32_t ids[3];
    pair_init(&p, 10000);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        ids[i] = pair_connect(&p, "a:1");
    pair_flow(&p);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        CHECK_OK(h2_send_response(p.server, ids[i], &ok));
    pair_flow(&p);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        CHECK_OK(h2_send_body(p.client, ids[i], view_of(block, sizeof block)));
        CHECK_OK(h2_send_body(p.server, ids[i], view_of(block, sizeof block)));
    }
    assert_true(h2_output(p.client).len >= 256 * 1024 && h2_output(p.server).len >= 256 * 1024);
    pair_flow(&p);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        assert_int_equal(h2_pending(p.client, ids[i]) + h2_pending(p.server, ids[i]), 0);
    assert_true(p.client_told.text.len > 3 * sizeof block);
    assert_true(p.server_told.text.len > 3 * sizeof block);
    pair_fini(&p);
}

/* Streams take turns, in both roles. */
static void test_fairness(void **state)
{
    (void)state;
    for (int role = 0; role < 2; role++) {
        struct pair p;
        static uint8_t block[16384 * 8];
        pair_init(&p, SIZE_MAX);
        uint32_t ids[] = {pair_connect(&p, "a:1"), pair_connect(&p, "b:1")};
        pair_flow(&p);
        struct h2 *from = role ? p.client : p.server;
        for (size_t i = 0; i < 2; i++)
            CHECK_OK(h2_send_response(p.server, ids[i], &ok));
        pair_flow(&p);
        /* Small parts are queued, not framed at once. */
        for (size_t n = 0; n < sizeof block; n += 4000) {
            for (size_t i = 0; i < 2; i++)
                CHECK_OK(h2_send_body(from, ids[i], view_of(block, 4000)));
        }
        struct view out = h2_output(from);
        size_t half = out.len / 2;
        size_t first = count_frames(view_take(out, half), DATA, ids[0]);
        size_t second = count_frames(view_take(out, half), DATA, ids[1]);
        assert_true(first >= 3 && second >= 3);
        pair_fini(&p);
    }
}

/* --- ends --- */

static void note_owner(void *ctx, uint32_t stream, void *owner)
{
    (void)owner;
    struct pair *p = ctx;
    h2_reset(p->server, stream, 8);
    h2_reset(p->server, stream + 2, 8);
}

static void test_each(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, SIZE_MAX);
    for (int i = 0; i < 10; i++)
        (void)pair_connect(&p, "a:1");
    pair_flow(&p);
    for (uint32_t id = 1; id < 18; id += 2)
        h2_set_owner(p.server, id, &p);
    assert_int_equal(h2_count(p.server), 10);
    h2_each(p.server, note_owner, &p);
    assert_true(h2_count(p.server) <= 1);
    pair_flow(&p);
    pair_fini(&p);
}

/* An owner that leaves when its stream has ended gets no event that was due by then. */
static void test_owner_leaves(void **state)
{
    (void)state;
    struct pair p;
    struct h2_event e;
    static uint8_t block[200000];
    pair_init(&p, SIZE_MAX);
    uint32_t id = pair_connect(&p, "a:1");
    CHECK_OK(h2_send_end(p.client, id));
    pair_flow(&p);
    h2_set_owner(p.server, id, &p);
    CHECK_OK(h2_send_response(p.server, id, &ok));
    for (size_t n = 0; n < sizeof block; n += 1000)
        CHECK_OK(h2_send_body(p.server, id, view_of(block, 1000)));
    CHECK_OK(h2_send_end(p.server, id));
    /* All of it fits into the windows: the stream is closed, with a DRAIN or more due. */
    h2_sent(p.server, h2_output(p.server).len);
    assert_int_equal(h2_count(p.server), 0);
    h2_set_owner(p.server, id, NULL);
    while (h2_next(p.server, &e))
        assert_null(e.owner);
    pair_fini(&p);
}

/* A write that was refused is followed by a DRAIN, however little is queued. */
static void test_drain_after_a_refusal(void **state)
{
    (void)state;
    struct pair p;
    static uint8_t block[H2_STREAM_OUTPUT_MAX];
    pair_init(&p, SIZE_MAX);
    p.on_server = hold_bodies;
    uint32_t id = pair_connect(&p, "a:1");
    pair_flow(&p);
    CHECK_OK(h2_send_body(p.client, id, view_of(block, H2_WINDOW)));
    CHECK_OK(h2_send_body(p.client, id, view_of(block, 1000)));
    CHECK_ERR(h2_send_body(p.client, id, view_of(block, sizeof block)), ERR_LIMIT);
    pair_flow(&p);
    CHECK_VIEW_STR(buf_view(&p.client_told.text), "");
    h2_consume(p.server, id, H2_WINDOW);
    pair_flow(&p);
    CHECK_VIEW_STR(buf_view(&p.client_told.text), "1 DRAIN");
    pair_fini(&p);
}

static void test_goaway(void **state)
{
    (void)state;
    struct pair p;
    uint32_t id;
    pair_init(&p, SIZE_MAX);
    p.on_server = accept_all;
    uint32_t open = pair_connect(&p, "a:1");
    pair_flow(&p);
    assert_false(h2_should_close(p.server));
    h2_goaway(p.server);
    pair_flow(&p);
    pair_expect(&p,
                "1 HEAD CONNECT scheme= authority=a:1 path= protocol=", "1 HEAD 200\n0 GOAWAY 0");
    struct h2_head head = {.method = VIEW("CONNECT"), .authority = VIEW("a:1")};
    CHECK_ERR(h2_send_request(p.client, &head, &id), ERR_CLOSED);
    CHECK_OK(h2_send_body(p.client, open, VIEW("still")));
    pair_flow(&p);
    assert_false(h2_should_close(p.server));
    CHECK_OK(h2_send_end(p.client, open));
    pair_flow(&p);
    pair_expect(&p, "1 BODY still\n1 END", "1 BODY still\n1 END");
    assert_true(h2_should_close(p.server));
    assert_true(h2_should_close(p.client));
    pair_fini(&p);
}

/* A request that crosses the GOAWAY is refused, not lost. */
static void test_request_crosses_goaway(void **state)
{
    (void)state;
    struct pair p;
    pair_init(&p, SIZE_MAX);
    pair_flow(&p);
    h2_goaway(p.server);
    (void)pair_connect(&p, "a:1");
    pair_flow(&p);
    pair_expect(&p, "", "0 GOAWAY 0\n1 RESET 7");
    pair_fini(&p);
}

/* Every stream hears of the connection's end before the connection does. */
static void test_peer_ends(void **state)
{
    (void)state;
    struct pair p;
    struct h2_event e;
    pair_init(&p, SIZE_MAX);
    uint32_t id = pair_connect(&p, "a:1");
    pair_flow(&p);
    h2_feed_end(p.server);
    pair_drain(&p, p.server);
    pair_expect(&p,
                "1 HEAD CONNECT scheme= authority=a:1 path= protocol=\n1 RESET 2\n"
                "0 FAILED the peer closed the connection",
                "");
    assert_false(h2_next(p.server, &e));
    assert_int_equal(h2_room(p.server), 0);
    assert_int_equal(h2_count(p.server), 0);
    CHECK_ERR(h2_send_response(p.server, id, &ok), ERR_NOT_FOUND);
    h2_sent(p.server, h2_output(p.server).len);
    assert_true(h2_should_close(p.server));
    pair_fini(&p);
}

static void test_stream_limit(void **state)
{
    (void)state;
    struct pair p;
    uint32_t id;
    struct h2_head head = {.method = VIEW("CONNECT"), .authority = VIEW("a:1")};
    pair_init(&p, SIZE_MAX);
    for (int i = 0; i < H2_STREAMS_MAX; i++)
        (void)pair_connect(&p, "a:1");
    pair_flow(&p);
    assert_int_equal(h2_count(p.server), H2_STREAMS_MAX);
    CHECK_ERR(h2_send_request(p.client, &head, &id), ERR_LIMIT);
    h2_reset(p.server, 1, 8);
    pair_flow(&p);
    CHECK_OK(h2_send_request(p.client, &head, &id));
    pair_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_extended_connect),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset_behind_the_end),
        cmocka_unit_test(test_resets),
        cmocka_unit_test(test_request_and_response),
        cmocka_unit_test(test_what_cannot_be_sent),
        cmocka_unit_test(test_flow_control),
        cmocka_unit_test(test_window_of_reset_streams),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_unread_output),
        cmocka_unit_test(test_full_both_ways),
        cmocka_unit_test(test_fairness),
        cmocka_unit_test(test_each),
        cmocka_unit_test(test_owner_leaves),
        cmocka_unit_test(test_drain_after_a_refusal),
        cmocka_unit_test(test_goaway),
        cmocka_unit_test(test_request_crosses_goaway),
        cmocka_unit_test(test_peer_ends),
        cmocka_unit_test(test_stream_limit),
    };
    return RUN(tests);
}
