/* The route table as workers get it. */
#include "tests/unit/authorize/fixture.h"

#include "authorize/convert_routes.h"
#include "proto/postern/decide.pb-c.h"

/* What was sent: the messages, unpacked again. */
struct sent {
    Postern__AuthorizeMessage *items[64];
    size_t count;
    size_t fail_at; /* 0 = never */
};

static enum err keep(void *ctx, const ProtobufCMessage *m)
{
    struct sent *s = ctx;
    size_t len = protobuf_c_message_get_packed_size(m);
    AUTO_FREE uint8_t *bytes = mem_zalloc(len);
    assert_true(s->count < ARRAY_LEN(s->items));
    protobuf_c_message_pack(m, bytes);
    s->items[s->count++] = postern__authorize_message__unpack(NULL, len, bytes);
    return s->count == s->fail_at ? ERR_BUSY : OK;
}

static struct convert_routes begin(const struct fixture *f, struct sent *s)
{
    return (struct convert_routes){.snapshot = snapshot_ref(f->snapshot), .send = keep, .ctx = s};
}

/* All that there is. */
static void send_all(struct convert_routes *r)
{
    bool more = true;
    while (more)
        CHECK_OK(convert_routes_next(r, &more));
}

static void sent_fini(struct sent *s)
{
    for (size_t i = 0; i < s->count; i++)
        postern__authorize_message__free_unpacked(s->items[i], NULL);
}

static const char yaml[] =
    SHARED "ssh_sign_in_timeout: 7m\n"
           "routes:\n"
           "  - from: ssh://web1\n"
           "    to: ssh://127.0.0.1:2022\n"
           "  - from: tcp+https://db.test:5432\n"
           "    to: ['tls://a.lan:5432,3', 'tls://b.lan:5433,1']\n"
           "    load_balancing_policy: least_request\n"
           "    tls_server_name: db.lan\n"
           "    tls_skip_verify: true\n"
           "    idle_timeout: 3s\n"
           "    timeout: 1h\n"
           "    connect_timeout: 2s\n"
           "    tcp_keepalive: 30s\n"
           "    upstream_proxy_protocol: v2\n"
           "    healthy_panic_threshold: 20\n"
           "    health_checks: [{timeout: 1s, interval: 2s, unhealthy_threshold: 4,"
           " healthy_threshold: 5, tcp_health_check: {}}]\n"
           "    outlier_detection: {consecutive_5xx: 9}\n"
           "  - from: udp+https://dns.test:53\n"
           "    to: udp://127.0.0.1:53\n";

static void test_whole_table(void **state)
{
    (void)state;
    struct fixture f;
    AUTO(sent_fini) struct sent sent = {0};
    setup(&f, yaml);
    AUTO(convert_routes_end) struct convert_routes r = begin(&f, &sent);
    send_all(&r);
    assert_int_equal(sent.count, 1);
    const Postern__RouteTable *t = sent.items[0]->routes;
    assert_string_equal(t->config_hash, f.snapshot->config->hash);
    assert_int_equal(t->sign_in_timeout_ms, 7 * 60 * 1000);
    assert_false(t->more);
    assert_true(t->first);
    assert_int_equal(t->n_ssh_routes, 1);
    assert_string_equal(t->ssh_routes[0], "web1");
    assert_int_equal(t->n_clusters, 2);
    const Postern__Cluster *c = t->clusters[0];
    assert_string_equal(c->route_id, f.snapshot->routes[1].route->id);
    assert_string_equal(c->route, "tcp+https://db.test:5432");
    assert_int_equal(c->kind, POSTERN__CLUSTER__KIND__TCP);
    assert_int_equal(c->scheme, POSTERN__CLUSTER__SCHEME__TLS);
    assert_int_equal(c->balancing, POSTERN__CLUSTER__BALANCING__LEAST_REQUEST);
    assert_int_equal(c->n_endpoints, 2);
    assert_string_equal(c->endpoints[0]->address, "a.lan:5432");
    assert_int_equal(c->endpoints[0]->weight, 3);
    assert_string_equal(c->endpoints[1]->address, "b.lan:5433");
    assert_int_equal(c->connect_timeout_ms, 2000);
    assert_int_equal(c->idle_timeout_ms, 3000);
    assert_int_equal(c->timeout_ms, 3600 * 1000);
    assert_int_equal(c->keepalive_ms, 30000);
    assert_int_equal(c->proxy_header, POSTERN__CLUSTER__PROXY_HEADER__V2);
    assert_int_equal(c->panic_threshold, 20);
    assert_string_equal(c->tls->server_name, "db.lan");
    assert_true(c->tls->skip_verify);
    assert_string_equal(c->tls->ca, "");
    assert_int_equal(c->n_health_checks, 1);
    assert_int_equal(c->health_checks[0]->kind, POSTERN__HEALTH_CHECK__KIND__TCP);
    assert_int_equal(c->health_checks[0]->interval_ms, 2000);
    assert_int_equal(c->health_checks[0]->timeout_ms, 1000);
    assert_int_equal(c->health_checks[0]->unhealthy_threshold, 4);
    assert_int_equal(c->health_checks[0]->healthy_threshold, 5);
    assert_true(c->outlier->enabled);
    assert_int_equal(c->outlier->consecutive_failures, 9);
    c = t->clusters[1];
    assert_int_equal(c->kind, POSTERN__CLUSTER__KIND__UDP);
    assert_int_equal(c->scheme, POSTERN__CLUSTER__SCHEME__PLAIN);
    assert_null(c->tls);
    assert_false(c->outlier->enabled);
    teardown(&f);
}

static void test_no_routes(void **state)
{
    (void)state;
    struct fixture f;
    AUTO(sent_fini) struct sent sent = {0};
    setup(&f, SHARED "routes: []\n");
    AUTO(convert_routes_end) struct convert_routes r = begin(&f, &sent);
    send_all(&r);
    assert_int_equal(sent.count, 1);
    assert_false(sent.items[0]->routes->more);
    assert_int_equal(sent.items[0]->routes->n_clusters, 0);
    teardown(&f);
}

enum { MANY = 3000 };

/* 3,000 routes whose names take 1.4 MB. */
static char *many(void)
{
    struct buf out;
    buf_init(&out, 16 << 20);
    CHECK_OK(buf_append_str(&out, SHARED "routes:\n"));
    for (unsigned i = 0; i < MANY; i++) {
        CHECK_OK(buf_printf(&out, "- {to: 'tcp://127.0.0.1:1', from: 'tcp+https://gw.test"));
        for (unsigned n = 0; n < 20; n++)
            CHECK_OK(buf_printf(&out, "/a%u-%u.internal:22", i, n));
        CHECK_OK(buf_append_str(&out, "'}\n"));
    }
    char *text = buf_to_str(&out);
    buf_fini(&out);
    return text;
}

static void check_whole(const struct fixture *f, const struct sent *sent, size_t from)
{
    size_t next = 0;
    for (size_t i = from; i < sent->count; i++) {
        const Postern__RouteTable *t = sent->items[i]->routes;
        assert_int_equal(t->more, i + 1 < sent->count);
        assert_int_equal(t->first, i == from);
        assert_true(postern__authorize_message__get_packed_size(sent->items[i]) <=
                    CONVERT_ROUTES_BYTES + 1024);
        for (size_t n = 0; n < t->n_clusters; n++)
            assert_string_equal(t->clusters[n]->route_id, f->snapshot->routes[next++].route->id);
    }
    assert_int_equal(next, MANY);
}

static void test_large_table(void **state)
{
    (void)state;
    struct fixture f;
    AUTO(sent_fini) struct sent sent = {0};
    AUTO_FREE char *text = many();
    setup(&f, text);
    AUTO(convert_routes_end) struct convert_routes r = begin(&f, &sent);
    send_all(&r);
    assert_true(sent.count >= 2);
    check_whole(&f, &sent, 0);
    teardown(&f);
}

/* What is not taken is the next again; what is begun anew begins with the first. */
static void test_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    AUTO(sent_fini) struct sent sent = {.fail_at = 2};
    AUTO_FREE char *text = many();
    bool more = false;
    setup(&f, text);
    AUTO(convert_routes_end) struct convert_routes r = begin(&f, &sent);
    CHECK_OK(convert_routes_next(&r, &more));
    assert_true(more);
    size_t next = r.next;
    assert_true(next > 0 && next < MANY);
    CHECK_ERR(convert_routes_next(&r, &more), ERR_BUSY);
    assert_int_equal(r.next, next);
    /* The message that was not taken comes again. */
    postern__authorize_message__free_unpacked(sent.items[--sent.count], NULL);
    sent.fail_at = 0;
    send_all(&r);
    check_whole(&f, &sent, 0);
    size_t count = sent.count;
    convert_routes_end(&r);
    r = begin(&f, &sent);
    send_all(&r);
    check_whole(&f, &sent, count);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_table),
        cmocka_unit_test(test_no_routes),
        cmocka_unit_test(test_large_table),
        cmocka_unit_test(test_goes_on),
    };
    return RUN(tests);
}
