/* Which tcp or udp route a destination is. */
// links: common/config
#include "authorize/snapshot/snapshot.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/x509.h"
#include "tests/unit/common/config/world.h"

static struct snapshot *make(struct world *w, const char *routes)
{
    AUTO_FREE char *yaml =
        mem_printf("shared_secret: " KEY_A "\nauthenticate_service_url: https://a.test\n"
                   "routes:\n%s",
                   routes);
    must_load(w, CONFIG_AUTHORIZE, yaml);
    struct diag d = {0};
    struct snapshot *s = snapshot_new(w->c, NULL, &d);
    if (!s)
        print(&d);
    diag_fini(&d);
    return s;
}

/* The texts of core.md's table of `from`, and what goes beyond it. */
static const char table[] =
    "- {name: r1, from: 'tcp+https://redis.example.com:6379', to: 'tcp://t:1'}\n"
    "- {name: r2, from: 'tcp+https://proxy.example.com:8443/redis.internal:6379',"
    " to: 'tcp://t:1'}\n"
    "- {name: r3, from: 'tcp+https://proxy/a:22/b:22', to: 'tcp://t:1'}\n"
    "- {name: r4, from: 'tcp+https://ssh.example.com', to: 'tcp://t:1'}\n"
    "- {name: r5, from: 'tcp+https://*.example.com:22', to: 'tcp://t:1'}\n"
    "- {name: r6, from: 'tcp+https://db.example.com:22', to: 'tcp://t:1'}\n"
    "- {name: r7, from: 'tcp+https://*.db.example.com', to: 'tcp://t:1'}\n"
    "- {name: r8, from: 'tcp+https://ssh.example.com:23', to: 'tcp://t:1'}\n"
    "- {name: r9, from: 'tcp+https://proxy/*.lan:22', to: 'tcp://t:1'}\n"
    "- {name: u1, from: 'udp+https://redis.example.com:6379', to: 'udp://t:1'}\n"
    "- {name: u2, from: 'udp+https://*', to: 'udp://t:1'}\n"
    "- {name: v6, from: 'tcp+https://[2001:db8::1]:22', to: 'tcp://t:1'}\n"
    "- {name: v4, from: 'tcp+https://192.0.2.1', to: 'tcp://t:1'}\n"
    "- {name: sl, from: 'tcp+https://slash.test:22/', to: 'tcp://t:1'}\n";

static void test_table(void **state)
{
    (void)state;
    static const struct {
        enum route_kind kind;
        const char *authority;
        const char *name; /* NULL: no route */
    } rows[] = {
        {ROUTE_TCP, "redis.example.com:6379", "r1"},
        {ROUTE_TCP, "REDIS.example.com:6379", "r1"},
        {ROUTE_UDP, "redis.example.com:6379", "u1"},
        {ROUTE_TCP, "redis.example.com:6380", NULL},
        {ROUTE_TCP, "redis.example.com", NULL},
        {ROUTE_TCP, "redis.internal:6379", "r2"},
        {ROUTE_TCP, "proxy.example.com:8443", NULL},
        {ROUTE_TCP, "a:22", "r3"},
        {ROUTE_TCP, "b:22", "r3"},
        {ROUTE_TCP, "b:23", NULL},
        /* No port: any port, and the bare host; one with its port comes first. */
        {ROUTE_TCP, "ssh.example.com", "r4"},
        {ROUTE_TCP, "ssh.example.com:1", "r4"},
        {ROUTE_TCP, "ssh.example.com:22", "r4"},
        {ROUTE_TCP, "ssh.example.com:23", "r8"},
        /* A name that is written out comes before one with a star; the first of those counts. */
        {ROUTE_TCP, "db.example.com:22", "r6"},
        {ROUTE_TCP, "x.example.com:22", "r5"},
        {ROUTE_TCP, "x.db.example.com:22", "r5"},
        {ROUTE_TCP, "x.db.example.com:24", "r7"},
        {ROUTE_TCP, "x.db.example.com", "r7"},
        {ROUTE_TCP, "x.example.com:23", NULL},
        {ROUTE_TCP, "example.com:22", NULL},
        {ROUTE_TCP, "nas.lan:22", "r9"},
        {ROUTE_UDP, "anything:1", "u2"},
        {ROUTE_TCP, "anything:1", NULL},
        {ROUTE_TCP, "[2001:db8::1]:22", "v6"},
        {ROUTE_TCP, "[2001:DB8:0:0::1]:22", "v6"},
        {ROUTE_TCP, "[2001:db8::2]:22", NULL},
        {ROUTE_TCP, "192.0.2.1:5", "v4"},
        {ROUTE_TCP, "slash.test:22", "sl"},
        {ROUTE_TCP, "", NULL},
        {ROUTE_TCP, ":22", NULL},
        {ROUTE_TCP, "ssh.example.com:0", NULL},
        {ROUTE_TCP, "ssh.example.com:65536", NULL},
        {ROUTE_TCP, "ssh.example.com:", NULL},
        {ROUTE_TCP, "ssh.example.com:x", NULL},
    };
    struct world w = {0};
    struct snapshot *s = make(&w, table);
    assert_non_null(s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct snapshot_route *r =
            snapshot_tunnel(s, rows[i].kind, view_str(rows[i].authority));
        const char *name = r ? r->route->label : "none";
        if (strcmp(name, rows[i].name ? rows[i].name : "none") != 0)
            fail_msg("%s: %s", rows[i].authority, name);
        assert_true(!r || snapshot_by_id(s, view_str(r->route->id)) == r);
    }
    assert_null(snapshot_by_id(s, VIEW("0000000000000000")));
    snapshot_unref(s);
    world_fini(&w);
}

enum { MANY = 10000 };

/* The first in the configuration, whichever has the longer tail, a port or more stars. */
static void test_order_of_patterns(void **state)
{
    (void)state;
    static const char *const hosts[] = {"*.test:22", "*.r1.test", "*r1*:22", "x.*.test:22",
                                        "*:22",      "*.test",    "*",       "x*t:22"};
    for (size_t first = 0; first < ARRAY_LEN(hosts); first++) {
        struct world w = {0};
        AUTO(buf_fini) struct buf yaml;
        buf_init(&yaml, 4096);
        for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
            size_t k = (first + i) % ARRAY_LEN(hosts);
            CHECK_OK(buf_printf(&yaml,
                                "- {name: n%zu, from: 'tcp+https://gw/%s', to: 'tcp://t:1'}\n", k,
                                hosts[k]));
        }
        AUTO_FREE char *text = buf_to_str(&yaml);
        struct snapshot *s = make(&w, text);
        const struct snapshot_route *r = snapshot_tunnel(s, ROUTE_TCP, VIEW("x.r1.test:22"));
        assert_ptr_equal(r, &s->routes[0]);
        assert_null(snapshot_tunnel(s, ROUTE_UDP, VIEW("x.r1.test:22")));
        snapshot_unref(s);
        world_fini(&w);
    }
}

static void test_many_patterns(void **state)
{
    (void)state;
    struct world w = {0};
    AUTO(buf_fini) struct buf yaml;
    buf_init(&yaml, 4 << 20);
    for (unsigned i = 0; i < MANY; i++)
        CHECK_OK(buf_printf(
            &yaml, "- {from: 'tcp+https://gw/*.r%u.example.test:22', to: 'tcp://t:1'}\n", i));
    AUTO_FREE char *text = buf_to_str(&yaml);
    struct snapshot *s = make(&w, text);
    assert_int_equal(s->pattern_count, MANY);
    for (unsigned i = 0; i < MANY; i += 111) {
        AUTO_FREE char *name = mem_printf("web.r%u.example.test:22", i);
        assert_ptr_equal(snapshot_tunnel(s, ROUTE_TCP, view_str(name)), &s->routes[i]);
    }
    assert_null(snapshot_tunnel(s, ROUTE_TCP, VIEW("web.r1.example.test:23")));
    assert_null(snapshot_tunnel(s, ROUTE_TCP, VIEW("web.r10000.example.test:22")));
    snapshot_unref(s);
    world_fini(&w);
}

/* Patterns are gone through once each, however many stars a name and a pattern have. */
static void test_many_stars(void **state)
{
    (void)state;
    struct world w = {0};
    struct snapshot *s = make(&w, "- {from: 'tcp+https://*a*a*a*a*a*a*b:1', to: 'tcp://t:1'}\n");
    char name[250];
    memset(name, 'a', sizeof name);
    memcpy(name + sizeof name - 3, ":1", 3);
    assert_null(snapshot_tunnel(s, ROUTE_TCP, view_str(name)));
    name[sizeof name - 4] = 'b';
    assert_non_null(snapshot_tunnel(s, ROUTE_TCP, view_str(name)));
    snapshot_unref(s);
    world_fini(&w);
}

static void expect_error(const struct pairs *files, const char *keys, const char *error)
{
    struct world w = {.files = files};
    struct diag d = {0};
    AUTO_FREE char *yaml =
        mem_printf("shared_secret: " KEY_A "\nauthenticate_service_url: https://a.test\n"
                   "routes: [{from: 'tcp+https://h:1', to: 'tls://t:1', %s}]\n",
                   keys);
    must_load(&w, CONFIG_AUTHORIZE, yaml);
    struct snapshot *s = snapshot_new(w.c, NULL, &d);
    if (!error) {
        if (!s)
            fail_msg("%s", d.items[0].text);
        snapshot_unref(s);
    } else {
        assert_null(s);
        assert_int_equal(d.count, 1);
        assert_non_null(strstr(d.items[0].text, error));
    }
    diag_fini(&d);
    world_fini(&w);
}

static void test_certificates(void **state)
{
    (void)state;
    struct x509_pair a, b;
    CHECK_OK(x509_make_ca("a", 0, 4102444800000, &a));
    CHECK_OK(x509_make_ca("b", 0, 4102444800000, &b));
    const struct pairs files[] = {{"a.crt", a.cert_pem},
                                  {"a.key", a.key_pem},
                                  {"b.key", b.key_pem},
                                  {"junk", "-----BEGIN CERTIFICATE-----\nx\n"},
                                  {0}};
    expect_error(files,
                 "tls_custom_ca_file: a.crt, tls_client_cert_file: a.crt, "
                 "tls_client_key_file: a.key",
                 NULL);
    expect_error(files, "tls_custom_ca_file: junk",
                 "tls_custom_ca_file: junk: no PEM that can be read");
    expect_error(files, "tls_client_cert_file: a.crt, tls_client_key_file: b.key",
                 "b.key: the key does not belong to the certificate");
    expect_error(files, "tls_client_cert_file: junk, tls_client_key_file: b.key",
                 "tls_client_cert_file: junk: no PEM that can be read");
    x509_pair_fini(&a);
    x509_pair_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_order_of_patterns),
        cmocka_unit_test(test_many_patterns), cmocka_unit_test(test_many_stars),
        cmocka_unit_test(test_certificates),
    };
    return RUN(tests);
}
