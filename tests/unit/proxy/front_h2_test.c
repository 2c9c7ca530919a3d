#include "common/http/h2.h"
#include "proxy/front_parts.h"
#include "tests/unit/proxy/front_fixture.h"
#include "tests/unit/proxy/front_tunnels.h"

#define UDP_PATH "/.well-known/masque/udp/dns.test/53/"

enum { STREAMS = 128, BODY_MAX = 64 << 20 };

/* What the client knows of one of its streams. */
struct seen {
    uint32_t id;
    unsigned status;
    struct fields fields;
    struct buf body;
    bool ended;
    bool reset;
    uint32_t code;
};

struct client {
    struct h2 *h2;
    struct seen streams[STREAMS];
    size_t count;
    bool goaway;
    bool is_lazy; /* gives no window back */
};

static struct client client;

static struct seen *seen_of(uint32_t id)
{
    for (size_t i = 0; i < client.count; i++) {
        if (client.streams[i].id == id)
            return &client.streams[i];
    }
    fail_msg("no stream %u", id);
    return NULL;
}

static void take(const struct h2_event *e)
{
    if (e->type == H2_GOAWAY)
        client.goaway = true;
    if (e->type == H2_GOAWAY || e->type == H2_FAILED)
        return;
    struct seen *s = seen_of(e->stream);
    if (e->type == H2_HEAD) {
        s->status = e->head->status;
        CHECK_OK(fields_append(&s->fields, e->head->fields));
    } else if (e->type == H2_BODY) {
        CHECK_OK(buf_append(&s->body, e->bytes));
        if (!client.is_lazy)
            h2_consume(client.h2, e->stream, e->bytes.len);
    } else if (e->type == H2_END) {
        s->ended = true;
    } else if (e->type == H2_RESET) {
        s->reset = true;
        s->code = e->code;
    }
}

static bool pump(struct fixture *f)
{
    struct h2_event e;
    struct buf *in = &f->browser.in;
    while (in->len) {
        size_t n = h2_feed(client.h2, buf_view(in), 0);
        buf_consume(in, n);
        while (h2_next(client.h2, &e))
            take(&e);
        if (!n)
            break;
    }
    if (!f->browser.s)
        return true;
    struct view out;
    while ((out = view_take(h2_output(client.h2), stream_room(f->browser.s))).len) {
        CHECK_OK(stream_write(f->browser.s, out));
        h2_sent(client.h2, out.len);
    }
    return true;
}

#define H2_WAIT(f, cond) WAIT(&(f)->loop, pump(f) && (cond))

static void h2_spin(struct fixture *f, int turns)
{
    for (int i = 0; i < turns; i++) {
        pump(f);
        spin(f, 1);
    }
}

static void start(struct fixture *f)
{
    f->has_h2 = true;
    f->settings.tunnels = FAKE_TUNNELS_POINTER;
    f->settings.cookie_name = "_pomerium";
    fake_reset();
    client = (struct client){.h2 = h2_new(H2_CLIENT, 0)};
    begin_with(f, HTTPD);
    H2_WAIT(f, h2_is_ready(client.h2));
    if (!f->is_plain)
        assert_string_equal(stream_alpn(f->browser.s), "h2");
}

static void finish(struct fixture *f)
{
    end(f);
    for (size_t i = 0; i < fake.count; i++)
        assert_null(fake.tunnels[i].client);
    fake_reset();
    for (size_t i = 0; i < client.count; i++) {
        fields_fini(&client.streams[i].fields);
        buf_fini(&client.streams[i].body);
    }
    h2_free(client.h2);
}

/* `fields`: name, value, …, NULL. An empty method is CONNECT with connect-udp. */
static struct seen *ask(const char *method, const char *authority, const char *path,
                        const char *const *fields, bool end)
{
    AUTO(fields_fini) struct fields f = {0};
    for (; fields && *fields; fields += 2)
        CHECK_OK(fields_add_str(&f, fields[0], fields[1]));
    bool is_udp = !*method;
    bool is_connect = strcmp(method, "CONNECT") == 0;
    assert_true(client.count < STREAMS);
    struct seen *s = &client.streams[client.count++];
    const struct h2_head head = {.method = is_udp ? VIEW("CONNECT") : view_str(method),
                                 .scheme = is_connect ? VIEW("") : VIEW("https"),
                                 .authority = view_str(authority),
                                 .path = view_str(path),
                                 .protocol = is_udp ? VIEW("connect-udp") : VIEW(""),
                                 .fields = &f,
                                 .end = end};
    buf_init(&s->body, BODY_MAX);
    CHECK_OK(h2_send_request(client.h2, &head, &s->id));
    return s;
}

static struct seen *open_tunnel(struct fixture *f, struct tunnel **out)
{
    size_t before = fake.count;
    struct seen *s = ask("CONNECT", "redis.test:6379", "", NULL, false);
    H2_WAIT(f, fake.count == before + 1);
    *out = &fake.tunnels[before];
    fake_accept(*out);
    H2_WAIT(f, s->status == 200);
    return s;
}

static void test_forward(void **state)
{
    (void)state;
    static const char *const fields[] = {"cookie",  "a=b", "cookie",   "c=d", "x-forwarded-for",
                                         "6.6.6.6", "te",  "trailers", NULL};
    struct fixture f = {0};
    start(&f);
    struct seen *s = ask("GET", "auth.test:8443", "/a?b", fields, true);
    H2_WAIT(&f, s->ended);
    assert_int_equal(s->status, 200);
    CHECK_VIEW_STR(buf_view(&s->body), "page");
    CHECK_VIEW_STR(fields_get(&s->fields, "content-length"), "4");
    CHECK_VIEW_STR(fields_get(&s->fields, "set-cookie"), "session=1");
    assert_int_equal(fields_get(&s->fields, "x-request-id").len, 32);
    assert_false(fields_count(&s->fields, "keep-alive"));
    assert_non_null(strstr(f.seen, "GET /a?b uri=postern://service/proxy body=0:"));
    assert_non_null(strstr(f.seen, "Host: auth.test:8443\r\n"));
    assert_non_null(strstr(f.seen, "ookie: a=b; c=d\r\n"));
    assert_non_null(strstr(f.seen, "X-Forwarded-For: 127.0.0.1\r\n"));
    assert_null(strstr(f.seen, "6.6.6.6"));
    assert_null(strstr(f.seen, "trailers"));
    /* A form, in parts, and others meanwhile. */
    struct seen *form = ask("POST", "x", "/.pomerium/f", NULL, false);
    struct seen *ping = ask("GET", "x", "/ping", NULL, true);
    struct seen *head = ask("HEAD", "auth.test", "/", NULL, true);
    struct seen *none = ask("GET", "x", "/nothing", NULL, true);
    struct seen *big = ask("GET", "auth.test", "/big", NULL, true);
    H2_WAIT(&f, ping->ended && head->ended && none->ended && big->ended);
    CHECK_VIEW_STR(buf_view(&ping->body), "OK\n");
    assert_int_equal(head->status, 200);
    assert_int_equal(head->body.len, 0);
    CHECK_VIEW_STR(fields_get(&head->fields, "content-length"), "4");
    assert_int_equal(none->status, 404);
    assert_int_equal(big->body.len, HTTPD_RESPONSE_MAX);
    CHECK_OK(h2_send_body(client.h2, form->id, VIEW("a=b&")));
    h2_spin(&f, 20);
    CHECK_OK(h2_send_body(client.h2, form->id, VIEW("c=d")));
    CHECK_OK(h2_send_end(client.h2, form->id));
    H2_WAIT(&f, form->ended);
    assert_non_null(strstr(f.seen, "POST /.pomerium/f uri=postern://service/proxy body=7:a=b&c=d"));
    finish(&f);
}

static void test_bodies(void **state)
{
    (void)state;
    static char piece[16384];
    struct fixture f = {0};
    start(&f);
    static const char *const large[] = {"content-length", "1048577", NULL};
    struct seen *said = ask("POST", "auth.test", "/", large, false);
    H2_WAIT(&f, said->ended);
    assert_int_equal(said->status, 413);
    /* The answer is there before the body: the client is told to stop. */
    H2_WAIT(&f, said->reset);
    assert_int_equal(said->code, 0);
    struct seen *endless = ask("POST", "auth.test", "/", NULL, false);
    while (!endless->ended) {
        if (h2_writable(client.h2, endless->id) >= sizeof piece)
            CHECK_OK(h2_send_body(client.h2, endless->id, view_of(piece, sizeof piece)));
        h2_spin(&f, 1);
    }
    assert_int_equal(endless->status, 413);
    /* What nobody reads does not use up the connection's window. */
    for (int i = 0; i < 80; i++) {
        struct seen *post = ask("POST", "x", "/nothing", NULL, false);
        CHECK_OK(h2_send_body(client.h2, post->id, view_of(piece, sizeof piece)));
        H2_WAIT(&f, post->ended);
        assert_int_equal(post->status, 404);
    }
    struct seen *ok = ask("POST", "auth.test", "/", NULL, false);
    for (size_t sent = 0; sent < 3 * sizeof piece;) {
        if (h2_writable(client.h2, ok->id) >= sizeof piece &&
            h2_send_body(client.h2, ok->id, view_of(piece, sizeof piece)) == OK)
            sent += sizeof piece;
        h2_spin(&f, 1);
    }
    CHECK_OK(h2_send_end(client.h2, ok->id));
    H2_WAIT(&f, ok->ended);
    assert_int_equal(ok->status, 200);
    finish(&f);
}

static void test_connect(void **state)
{
    (void)state;
    static const char *const fields[] = {"authorization", "Pomerium tok", "user-agent", "a b",
                                         NULL};
    struct fixture f = {0};
    start(&f);
    struct seen *s = ask("CONNECT", "Redis.test:6379", "", fields, false);
    CHECK_OK(h2_send_body(client.h2, s->id, VIEW("early")));
    H2_WAIT(&f, fake.count == 1);
    struct tunnel *u = &fake.tunnels[0];
    assert_string_equal(u->text, "CONNECT redis.test:6379  token=tok at=2 agent=a b HTTP/2");
    h2_spin(&f, 20);
    assert_int_equal(u->in.len, 0);
    fake_accept(u);
    H2_WAIT(&f, u->in.len == 5 && s->status == 200);
    CHECK_VIEW_STR(buf_view(&u->in), "early");
    CHECK_VIEW_STR(fields_get(&s->fields, "x-postern-connection"),
                   "0123456789abcdef0123456789abcdef");
    assert_false(fields_count(&s->fields, "content-length"));
    assert_false(s->ended);
    CHECK_OK(fake_write(u, "+PONG"));
    H2_WAIT(&f, s->body.len == 5);
    /* Each direction ends by itself. */
    u->client->finish(u->ctx);
    H2_WAIT(&f, s->ended);
    CHECK_OK(h2_send_body(client.h2, s->id, VIEW("!")));
    CHECK_OK(h2_send_end(client.h2, s->id));
    H2_WAIT(&f, u->finished);
    CHECK_VIEW_STR(buf_view(&u->in), "early!");
    fake_close(u);
    h2_spin(&f, 20);
    assert_false(s->reset || f.browser.ended);
    finish(&f);
}

/* The end of a tunnel ends its stream, whoever goes on; the others are not touched. */
static void test_close(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct tunnel *one;
    struct tunnel *two;
    start(&f);
    struct seen *first = open_tunnel(&f, &one);
    struct seen *second = open_tunnel(&f, &two);
    CHECK_OK(fake_write(one, "last words"));
    fake_close(one);
    H2_WAIT(&f, first->ended);
    CHECK_VIEW_STR(buf_view(&first->body), "last words");
    H2_WAIT(&f, first->reset);
    assert_int_equal(first->code, 0);
    /* Within a callback, too. */
    two->close_on_read = true;
    CHECK_OK(h2_send_body(client.h2, second->id, VIEW("x")));
    H2_WAIT(&f, second->ended);
    /* The client resets: the tunnel is told, once. */
    struct tunnel *three;
    struct seen *third = open_tunnel(&f, &three);
    h2_reset(client.h2, third->id, 8);
    H2_WAIT(&f, three->gone);
    struct seen *waits = ask("CONNECT", "redis.test:6379", "", NULL, false);
    H2_WAIT(&f, fake.count == 4);
    h2_reset(client.h2, waits->id, 8);
    H2_WAIT(&f, fake.tunnels[3].gone);
    /* And the connection. */
    struct tunnel *five;
    (void)open_tunnel(&f, &five);
    stream_abort(f.browser.s, side_closed, &f.browser);
    f.browser.s = NULL;
    H2_WAIT(&f, five->gone);
    finish(&f);
}

/* A frame by itself, which leaves with the others. */
static void send_frame(const struct seen *s, const char *text)
{
    CHECK_OK(h2_send_body(client.h2, s->id, view_str(text)));
    (void)h2_output(client.h2);
}

/* What comes together for one tunnel is one read of it, and the order is kept. */
static void test_gathered(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct tunnel *one;
    struct tunnel *two;
    start(&f);
    struct seen *first = open_tunnel(&f, &one);
    struct seen *second = open_tunnel(&f, &two);
    for (int i = 0; i < 40; i++)
        send_frame(first, "0123456789");
    H2_WAIT(&f, one->in.len == 400);
    assert_int_equal(one->reads, 1);
    buf_clear(&one->in);
    for (int i = 0; i < 10; i++) {
        send_frame(first, i % 2 ? "b" : "a");
        send_frame(second, i % 2 ? "d" : "c");
    }
    H2_WAIT(&f, one->in.len == 10 && two->in.len == 10);
    CHECK_VIEW_STR(buf_view(&one->in), "ababababab");
    CHECK_VIEW_STR(buf_view(&two->in), "cdcdcdcdcd");
    assert_int_equal(two->reads, 10);
    /* The end and a reset are told behind what came before them. */
    buf_clear(&one->in);
    send_frame(first, "last");
    send_frame(first, " words");
    CHECK_OK(h2_send_end(client.h2, first->id));
    send_frame(second, "e");
    send_frame(second, "f");
    h2_reset(client.h2, second->id, 8);
    H2_WAIT(&f, one->finished && two->gone);
    CHECK_VIEW_STR(buf_view(&one->in), "last words");
    CHECK_VIEW_STR(buf_view(&two->in), "cdcdcdcdcdef");
    fake_close(one);
    H2_WAIT(&f, first->ended);
    finish(&f);
}

static void test_back_pressure(void **state)
{
    (void)state;
    static char piece[16384];
    struct fixture f = {0};
    struct tunnel *u;
    start(&f);
    struct seen *s = open_tunnel(&f, &u);
    /* The target does not read: the client may send a window and no more. */
    u->pause_on_read = true;
    size_t sent = 0;
    for (int i = 0; i < 2000; i++) {
        if (h2_writable(client.h2, s->id) >= sizeof piece) {
            CHECK_OK(h2_send_body(client.h2, s->id, view_of(piece, sizeof piece)));
            sent += sizeof piece;
        }
        h2_spin(&f, 1);
    }
    assert_true(u->in.len <= FRONT_GATHERED_MAX);
    assert_true(sent <= 2 * H2_WINDOW + H2_STREAM_OUTPUT_MAX);
    /* Others on the connection go on. */
    struct seen *ping = ask("GET", "x", "/ping", NULL, true);
    H2_WAIT(&f, ping->ended);
    u->pause_on_read = false;
    u->client->resume(u->ctx);
    H2_WAIT(&f, u->in.len == sent);
    /* The client does not read: what is written stops. */
    client.is_lazy = true;
    size_t written = 0;
    for (int i = 0; i < 2000; i++) {
        if (u->client->room(u->ctx) >= sizeof piece) {
            CHECK_OK(u->client->write(u->ctx, view_of(piece, sizeof piece)));
            written += sizeof piece;
        }
        h2_spin(&f, 1);
    }
    assert_true(written <= H2_WINDOW + H2_STREAM_OUTPUT_MAX);
    assert_int_equal(u->client->write(u->ctx, view_of(piece, sizeof piece)), ERR_LIMIT);
    int drains = u->drains;
    client.is_lazy = false;
    h2_consume(client.h2, s->id, s->body.len);
    H2_WAIT(&f, s->body.len == written && u->drains > drains);
    fake_close(u);
    H2_WAIT(&f, s->ended);
    finish(&f);
}

static void test_udp(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    assert_true(h2_has_extended_connect(client.h2));
    struct seen *s = ask("", "gw.test", UDP_PATH, NULL, false);
    H2_WAIT(&f, fake.count == 1);
    struct tunnel *u = &fake.tunnels[0];
    assert_int_equal(u->kind, TUNNEL_UDP);
    assert_string_equal(u->text, "CONNECT dns.test:53 " UDP_PATH " token= at=0 agent= HTTP/2");
    fake_accept(u);
    H2_WAIT(&f, s->status == 200);
    CHECK_VIEW_STR(fields_get(&s->fields, "capsule-protocol"), "?1");
    CHECK_OK(fake_write(u, "capsule"));
    H2_WAIT(&f, s->body.len == 7);
    fake_close(u);
    H2_WAIT(&f, s->ended);
    finish(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char *const json[] = {"accept", "application/json", NULL};
    struct fixture f = {0};
    start(&f);
    struct seen *s = ask("CONNECT", "redis.test:6379", "", json, false);
    H2_WAIT(&f, fake.count == 1);
    CHECK_OK(h2_send_body(client.h2, s->id, VIEW("data before the answer")));
    h2_spin(&f, 10);
    fake_refuse(&fake.tunnels[0], TUNNEL_DENIED, "No.", "");
    H2_WAIT(&f, s->ended && s->reset);
    assert_int_equal(s->status, 403);
    assert_int_equal(s->code, 0);
    assert_true(view_search(buf_view(&s->body), VIEW("\"message\":\"No.\"")) >= 0);
    struct seen *signs_in = ask("CONNECT", "redis.test:6379", "", NULL, false);
    H2_WAIT(&f, fake.count == 2);
    fake_refuse(&fake.tunnels[1], TUNNEL_UNAUTHENTICATED, "Sign in.", "https://auth.test/in");
    H2_WAIT(&f, signs_in->ended);
    assert_int_equal(signs_in->status, 302);
    CHECK_VIEW_STR(fields_get(&signs_in->fields, "location"), "https://auth.test/in");
    struct seen *portless = ask("CONNECT", "redis.test", "", NULL, false);
    struct seen *path = ask("", "gw.test", "/other", NULL, false);
    struct seen *done = ask("", "gw.test", UDP_PATH, NULL, true);
    H2_WAIT(&f, path->ended);
    H2_WAIT(&f, portless->ended || portless->reset);
    H2_WAIT(&f, done->ended || done->reset);
    assert_true(portless->status == 400 || portless->reset);
    assert_int_equal(path->status, 404);
    assert_true(done->status == 400 || done->reset);
    assert_int_equal(fake.count, 2);
    finish(&f);
}

/* GOAWAY; tunnels go on, and the connection ends with the last. */
static void test_drain(void **state)
{
    (void)state;
    struct fixture f = {0};
    struct tunnel *u;
    start(&f);
    struct seen *s = open_tunnel(&f, &u);
    front_drain(f.front, set_true, &f.drained);
    H2_WAIT(&f, client.goaway);
    CHECK_OK(fake_write(u, "still"));
    H2_WAIT(&f, s->body.len == 5);
    assert_false(f.browser.ended);
    fake_close(u);
    H2_WAIT(&f, s->ended && f.browser.ended);
    side_close(&f.browser);
    WAIT(&f.loop, f.drained);
    finish(&f);
    /* An idle connection is told and closed. */
    f = (struct fixture){0};
    start(&f);
    front_drain(f.front, set_true, &f.drained);
    H2_WAIT(&f, client.goaway && f.browser.ended);
    finish(&f);
}

static void test_plain(void **state)
{
    (void)state;
    struct fixture f = {.is_plain = true};
    struct tunnel *u;
    start(&f);
    struct seen *ping = ask("GET", "x", "/ping", NULL, true);
    H2_WAIT(&f, ping->ended);
    struct seen *s = open_tunnel(&f, &u);
    fake_close(u);
    H2_WAIT(&f, s->ended);
    finish(&f);
}

static void test_idle(void **state)
{
    (void)state;
    struct fixture f = {.settings.idle_ms = 100};
    struct tunnel *u;
    start(&f);
    struct seen *s = open_tunnel(&f, &u);
    uint64_t till = loop_clock_ms() + 400;
    H2_WAIT(&f, loop_clock_ms() > till);
    assert_false(f.browser.ended);
    fake_close(u);
    H2_WAIT(&f, s->ended && f.browser.ended && client.goaway);
    finish(&f);
}

/* A full body of a large answer, as its reader takes it. */
static void test_routes(void **state)
{
    (void)state;
    enum { BODY = 1 << 20 };
    static char body[BODY];
    struct fixture f = {0};
    start(&f);
    struct seen *s = ask("GET", "x", "/.pomerium/api/v1/routes", NULL, true);
    H2_WAIT(&f, fake.asked == 1);
    fake_answer(&(struct access_answer){.allowed = true, .body = view_of(body, BODY)});
    H2_WAIT(&f, s->ended);
    assert_int_equal(s->body.len, BODY);
    struct seen *leaves = ask("GET", "x", "/.pomerium/api/v1/routes", NULL, true);
    H2_WAIT(&f, fake.asked == 2);
    h2_reset(client.h2, leaves->id, 8);
    H2_WAIT(&f, fake.cancelled == 1);
    finish(&f);
}

/* One connection does not take all that authenticate can do; the waiting are counted right. */
static void test_waiting(void **state)
{
    (void)state;
    struct fixture f = {0};
    start(&f);
    struct seen *waits[FRONT_FORWARDS_MAX];
    for (size_t i = 0; i < FRONT_FORWARDS_MAX; i++)
        waits[i] = ask("POST", "auth.test", "/", NULL, false);
    H2_WAIT(&f, f.front->waiting == FRONT_FORWARDS_MAX);
    struct seen *more = ask("GET", "auth.test", "/", NULL, true);
    H2_WAIT(&f, more->ended);
    assert_int_equal(more->status, 503);
    for (size_t i = 0; i < FRONT_FORWARDS_MAX; i++) {
        if (i % 2)
            CHECK_OK(h2_send_end(client.h2, waits[i]->id));
        else
            h2_reset(client.h2, waits[i]->id, 8);
    }
    H2_WAIT(&f, f.front->waiting == 0);
    struct seen *last = ask("GET", "auth.test", "/", NULL, true);
    struct seen *tunnel = ask("CONNECT", "redis.test:6379", "", NULL, false);
    H2_WAIT(&f, last->ended && fake.count == 1 && f.front->waiting == 1);
    assert_int_equal(last->status, 200);
    fake_accept(&fake.tunnels[0]);
    assert_int_equal(f.front->waiting, 0);
    fake_close(&fake.tunnels[0]);
    H2_WAIT(&f, tunnel->ended);
    assert_int_equal(f.front->waiting + f.front->tunnels_live + f.front->tunnelled, 0);
    finish(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),  cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_connect),  cmocka_unit_test(test_close),
        cmocka_unit_test(test_gathered), cmocka_unit_test(test_back_pressure),
        cmocka_unit_test(test_udp),      cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_drain),    cmocka_unit_test(test_plain),
        cmocka_unit_test(test_idle),     cmocka_unit_test(test_routes),
        cmocka_unit_test(test_waiting),
    };
    return FIXTURE_RUN(tests);
}
