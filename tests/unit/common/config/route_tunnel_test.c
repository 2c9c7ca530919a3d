/* tcp and udp routes: tables of what `from`, `to` and the other keys mean. */
#include "common/config/routes.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

struct fixture {
    struct tree *t;
    struct diag d;
    struct routes r;
};

static struct fixture parse_with(const char *yaml, const struct route_files *files)
{
    struct fixture f = {0};
    struct diag d = {0};
    CHECK_OK(tree_parse(view_str(yaml), "r.yaml", &d, &f.t));
    routes_parse(f.t, f.t->root, HOST_KEY_POLICY_TOFU, files, &f.d, &f.r);
    return f;
}

static struct fixture parse(const char *yaml)
{
    return parse_with(yaml, NULL);
}

static void fixture_fini(struct fixture *f)
{
    tree_free(f->t);
    diag_fini(&f->d);
}

/* One route with these keys behind from and to. */
static struct fixture parse_keys(const char *to, const char *keys)
{
    AUTO_FREE char *yaml = mem_printf("[{from: 'tcp+https://h:1', to: %s, %s}]", to, keys);
    return parse(yaml);
}

/* The only message says that; the place before it is not looked at. */
static void expect_one(struct fixture *f, const char *message, bool warning)
{
    const char *text = f->d.count ? f->d.items[0].text : "";
    if (f->d.count != 1 || !strstr(text, message))
        fail_msg("wanted: %s\ngot %zu messages, first: %s", message, f->d.count, text);
    assert_int_equal(f->d.items[0].warning, warning);
    assert_int_equal(f->r.count, warning);
    fixture_fini(f);
}

static void expect_from(const char *from, const char *message)
{
    AUTO_FREE char *yaml = mem_printf("[{from: '%s', to: 'tcp://t:1'}]", from);
    struct fixture f = parse(yaml);
    expect_one(&f, message, false);
}

static void expect_to(const char *to, const char *message)
{
    AUTO_FREE char *yaml = mem_printf("[{from: 'tcp+https://h:1', to: %s}]", to);
    struct fixture f = parse(yaml);
    expect_one(&f, message, false);
}

static void expect_key(const char *keys, const char *message, bool warning)
{
    struct fixture f = parse_keys("'tcp://t:1'", keys);
    expect_one(&f, message, warning);
}

/* --- from --- */

struct from_row {
    const char *from;
    const char *matches; /* "host|port " each, port 0 for any */
    const char *proxy;   /* "host|port", with a "+" for the bastion form */
};

static const struct from_row from_rows[] = {
    {"tcp+https://redis.example.com:6379", "redis.example.com|6379 ", "redis.example.com|443"},
    {"tcp+https://Redis.Example.COM:6379", "redis.example.com|6379 ", "redis.example.com|443"},
    {"TCP+HTTPS://h:1", "h|1 ", "h|443"},
    {"tcp+http://h:1", "h|1 ", "h|80"},
    {"udp+https://h:53", "h|53 ", "h|443"},
    {"udp+http://h:53", "h|53 ", "h|80"},
    {"tcp+https://h", "h|0 ", "h|443"},
    {"tcp+https://h/", "h|0 ", "h|443"},
    {"tcp+https://h:22/", "h|22 ", "h|443"},
    {"tcp+https://proxy.example.com:8443/redis.internal:6379", "redis.internal|6379 ",
     "proxy.example.com|8443+"},
    {"tcp+https://proxy/a:22/B:23", "a|22 b|23 ", "proxy|443+"},
    {"tcp+https://proxy/a:22/b/", "a|22 b|0 ", "proxy|443+"},
    {"tcp+https://proxy/a:22/A:22", "a|22 ", "proxy|443+"},
    {"tcp+https://*.example.com:22", "*.example.com|22 ", "*.example.com|443"},
    {"tcp+https://*", "*|0 ", "*|443"},
    {"tcp+https://db-*.example.com", "db-*.example.com|0 ", "db-*.example.com|443"},
    {"tcp+https://proxy/*.internal:22/x:*/y", "", NULL},
    {"tcp+https://proxy/*.internal:22/y", "*.internal|22 y|0 ", "proxy|443+"},
    {"tcp+https://[2001:DB8::1]:22", "2001:db8::1|22 ", "2001:db8::1|443"},
    {"tcp+https://[::1]", "::1|0 ", "::1|443"},
    {"tcp+https://proxy/[::1]:22/127.0.0.1:23", "::1|22 127.0.0.1|23 ", "proxy|443+"},
};

static void test_from(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(from_rows); i++) {
        const struct from_row *row = &from_rows[i];
        bool udp = row->from[0] == 'u';
        AUTO_FREE char *yaml =
            mem_printf("[{from: '%s', to: '%s://t:1'}]", row->from, udp ? "udp" : "tcp");
        struct fixture f = parse(yaml);
        AUTO(buf_fini) struct buf got;
        buf_init(&got, 1000);
        if (!row->proxy) {
            assert_int_equal(f.r.count, 0);
            fixture_fini(&f);
            continue;
        }
        if (f.d.count || f.r.count != 1)
            fail_msg("%s: %s", row->from, f.d.count ? f.d.items[0].text : "?");
        const struct route *r = &f.r.items[0];
        assert_int_equal(r->kind, udp ? ROUTE_UDP : ROUTE_TCP);
        assert_string_equal(r->name, row->from);
        assert_string_equal(r->from, row->from);
        const struct route_tunnel *t = r->tunnel;
        for (size_t m = 0; m < t->match_count; m++) {
            CHECK_OK(buf_printf(&got, "%s|%u ", t->matches[m].host, t->matches[m].port));
            assert_int_equal(t->matches[m].is_pattern, strchr(t->matches[m].host, '*') != NULL);
        }
        AUTO_FREE char *text = buf_to_str(&got);
        assert_string_equal(text, row->matches);
        AUTO_FREE char *proxy =
            mem_printf("%s|%u%s", t->proxy_host, t->proxy_port, t->is_bastion ? "+" : "");
        assert_string_equal(proxy, row->proxy);
        fixture_fini(&f);
    }
}

static void test_bad_from(void **state)
{
    (void)state;
    static const char host[] = "bad source url: expected HOST or HOST:PORT behind the scheme";
    static const char path[] = "in its path expected destinations such as db.internal:5432";
    static const char parts[] = "user information, a query or a fragment is not allowed";
    expect_from("tcp+https://", host);
    expect_from("tcp+https://:22", host);
    expect_from("tcp+https://h:0", host);
    expect_from("tcp+https://h:65536", host);
    expect_from("tcp+https://h:", host);
    expect_from("tcp+https://h:*", host);
    expect_from("tcp+https://::1:22", host);
    expect_from("tcp+https://[::1]x:22", host);
    expect_from("tcp+https://[:::1]:22", host);
    expect_from("tcp+https://a b:22", host);
    expect_from("tcp+https:///a:22", host);
    expect_from("tcp+https://p//a:22", path);
    expect_from("tcp+https://p/a:22//", path);
    expect_from("tcp+https://p/a:0", path);
    expect_from("tcp+https://p/a%3a22", path);
    expect_from("tcp+https://u@h:22", parts);
    expect_from("tcp+https://h:22?x", parts);
    expect_from("tcp+https://h:22#x", parts);
}

/* --- to --- */

static void test_to(void **state)
{
    (void)state;
    static const struct {
        const char *from;
        const char *to;
        enum route_scheme scheme;
        const char *endpoints; /* "address|weight " each */
    } rows[] = {
        {"tcp", "'tcp://Redis.internal:6379'", ROUTE_PLAIN, "redis.internal:6379|1 "},
        {"tcp", "['tcp://a:1,10', 'tcp://b:2/,90']", ROUTE_PLAIN, "a:1|10 b:2|90 "},
        {"tcp", "['tcp://a:1', 'tcp://[::1]:2/']", ROUTE_PLAIN, "a:1|1 [::1]:2|1 "},
        {"tcp", "'TLS://a:1'", ROUTE_TLS, "a:1|1 "},
        {"tcp", "'http://proxy'", ROUTE_HTTP_PROXY, "proxy:80|1 "},
        {"tcp", "['https://proxy', 'https://proxy:8443']", ROUTE_HTTPS_PROXY,
         "proxy:443|1 proxy:8443|1 "},
        {"udp", "'udp://10.0.0.1:53'", ROUTE_PLAIN, "10.0.0.1:53|1 "},
        {"udp", "'https://proxy'", ROUTE_HTTPS_PROXY, "proxy:443|1 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *yaml =
            mem_printf("[{from: '%s+https://h:1', to: %s}]", rows[i].from, rows[i].to);
        struct fixture f = parse(yaml);
        if (f.d.count)
            fail_msg("%s: %s", rows[i].to, f.d.items[0].text);
        const struct route_tunnel *t = f.r.items[0].tunnel;
        AUTO(buf_fini) struct buf got;
        buf_init(&got, 1000);
        for (size_t e = 0; e < t->endpoint_count; e++)
            CHECK_OK(
                buf_printf(&got, "%s|%u ", t->endpoints[e].target.address, t->endpoints[e].weight));
        AUTO_FREE char *text = buf_to_str(&got);
        assert_string_equal(text, rows[i].endpoints);
        assert_int_equal(t->scheme, rows[i].scheme);
        fixture_fini(&f);
    }
}

static void test_bad_to(void **state)
{
    (void)state;
    static const char wanted[] = "expected tcp://HOST:PORT, tls://HOST:PORT, or http:// or "
                                 "https:// of a proxy";
    static const char parts[] = "expected tcp://HOST:PORT (no user, path, query or wildcard)";
    static const char weight[] = "expected a weight from 1 to 10000 behind the comma";
    expect_to("'tcp://a'", "the port is missing: write tcp://a:PORT");
    expect_to("'tls://a'", "the port is missing: write tls://a:PORT");
    expect_to("'udp://a:1'", wanted);
    expect_to("'ssh://a:1'", wanted);
    expect_to("'a:1'", wanted);
    expect_to("''", wanted);
    expect_to("[]", wanted);
    expect_to("~", "missing: expected tcp://");
    expect_to("{a: b}", "expected a URL, got a map");
    expect_to("'tcp://u@a:1'", parts);
    expect_to("'tcp://a:1/x'", parts);
    expect_to("'tcp://a:1?x'", parts);
    expect_to("'tcp://*.a:1'", parts);
    expect_to("'tcp://:1'", parts);
    expect_to("'tcp://a:1,0'", weight);
    expect_to("'tcp://a:1,x'", weight);
    expect_to("'tcp://a:1,'", weight);
    expect_to("['tcp://a:1,5', 'tcp://b:1']",
              "1 of 2 URLs have a weight: give one to all or to none");
    expect_to("['tcp://a:1', 'http://b']", "cannot mix tcp and non-tcp To URLs");
    expect_to("['tls://a:1', 'tcp://b:1']", "cannot mix tls and non-tls To URLs");
    struct fixture f = parse("[{from: 'udp+https://h:1', to: 'tls://a:1'}]");
    expect_one(&f, "expected udp://HOST:PORT, or http:// or https:// of a proxy", false);
    f = parse("[{from: 'udp+https://h:1', to: 'udp://a'}]");
    expect_one(&f, "the port is missing: write udp://a:PORT", false);
    f = parse("[{from: 'tcp+https://h:1'}]");
    expect_one(&f, "r.yaml:1:2: to: route tcp+https://h:1: missing: expected tcp://", false);
}

/* --- duplicates and ids --- */

static void expect_duplicate(const char *a, const char *b, const char *message)
{
    AUTO_FREE char *yaml = mem_printf("- {from: '%s', to: 'http://t'}\n"
                                      "- {from: '%s', to: 'http://t'}\n",
                                      a, b);
    struct fixture f = parse(yaml);
    if (!message) {
        if (f.d.count)
            fail_msg("%s", f.d.items[0].text);
    } else if (f.d.errors != 1 || !strstr(f.d.items[0].text, message)) {
        fail_msg("%s %s: %s", a, b, f.d.count ? f.d.items[0].text : "nothing");
    }
    fixture_fini(&f);
}

static void test_duplicates(void **state)
{
    (void)state;
    expect_duplicate("tcp+https://h:22", "tcp+http://H:22/",
                     "r.yaml:2:3: from: route tcp+http://H:22/: the route is not unique: h is in "
                     "the one of line 1");
    expect_duplicate("tcp+https://p/a:1/b:2", "tcp+https://b:2", "not unique: b is in");
    expect_duplicate("tcp+https://p/a:1", "tcp+https://q/a:1", "not unique: a is in");
    expect_duplicate("tcp+https://*.a:1", "tcp+https://*.a:1", "not unique: *.a is in");
    expect_duplicate("tcp+https://[::1]:1", "tcp+https://[0:0::1]:1", "not unique: 0:0::1 is");
    expect_duplicate("tcp+https://h", "tcp+https://h/", "not unique: h is in");
    expect_duplicate("tcp+https://h", "tcp+https://h:1", NULL);
    expect_duplicate("tcp+https://h:2", "tcp+https://h:1", NULL);
    expect_duplicate("tcp+https://h:1", "udp+https://h:1", NULL);
    expect_duplicate("tcp+https://*.a:1", "tcp+https://x.a:1", NULL);
}

static const char *id_of(const char *from, const char *to, char out[20])
{
    AUTO_FREE char *yaml = mem_printf("[{from: '%s', to: %s}]", from, to);
    struct fixture f = parse(yaml);
    assert_int_equal(f.r.count, 1);
    memcpy(out, f.r.items[0].id, 17);
    fixture_fini(&f);
    return out;
}

static void test_ids(void **state)
{
    (void)state;
    char a[20], b[20];
    static const char from[] = "tcp+https://h:1";
    (void)id_of(from, "'tcp://a:1'", a);
    /* FNV-1a of "tcp+https://h:1\0\0a:1\0": a change would break what operators wrote down. */
    assert_string_equal(a, "4cfbd6dc3e922221");
    assert_string_equal(a, id_of(from, "['tcp://A:1/,7']", b));
    assert_string_not_equal(a, id_of(from, "'tls://a:1'", b));
    assert_string_not_equal(a, id_of(from, "'tcp://a:2'", b));
    assert_string_not_equal(a, id_of(from, "['tcp://a:1', 'tcp://b:1']", b));
    assert_string_not_equal(a, id_of("tcp+https://h:2", "'tcp://a:1'", b));
}

/* Ten thousand routes are checked against each other in one pass. */
static void test_many(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf yaml;
    buf_init(&yaml, 4 << 20);
    for (int i = 0; i < 10000; i++)
        CHECK_OK(buf_printf(&yaml, "- {from: 'tcp+https://h%d.example.com:22', to: 'tcp://t:1'}\n",
                            i == 9999 ? 7 : i));
    AUTO_FREE char *text = buf_to_str(&yaml);
    struct fixture f = parse(text);
    assert_int_equal(f.r.count, 10000);
    assert_int_equal(f.d.errors, 1);
    assert_non_null(strstr(f.d.items[0].text, "in the one of line 8"));
    fixture_fini(&f);
}

/* --- the other keys --- */

static void test_defaults(void **state)
{
    (void)state;
    struct fixture f = parse("[{from: 'tcp+https://h:1', to: 'tcp://t:1'},"
                             " {from: 'udp+https://h:1', to: 'udp://t:1'}]");
    const struct route_tunnel *t = f.r.items[0].tunnel;
    assert_int_equal(t->balancing, ROUTE_ROUND_ROBIN);
    assert_int_equal(t->connect_timeout, 10000);
    assert_int_equal(t->idle_timeout, 0);
    assert_int_equal(t->timeout, 0);
    assert_int_equal(t->keepalive, 60000);
    assert_int_equal(t->panic_threshold, 50);
    assert_int_equal(t->health_check_count, 0);
    assert_false(t->outlier.enabled);
    assert_string_equal(t->tls_server_name, "");
    assert_int_equal(t->tls_ca.text.len, 0);
    assert_int_equal(f.r.items[1].tunnel->idle_timeout, 300000);
    fixture_fini(&f);
}

static void test_all_keys(void **state)
{
    (void)state;
    struct fixture f = parse("- from: tcp+https://db.example.com:5432\n"
                             "  to: [tls://a:1, tls://b:1]\n"
                             "  name: DB\n"
                             "  description: The database\n"
                             "  logo_url: https://x.test/l.svg\n"
                             "  load_balancing_policy: LEAST_REQUEST\n"
                             "  timeout: 8h\n  idle_timeout: 30m\n  connect_timeout: 3s\n"
                             "  tcp_keepalive: 15s\n  upstream_proxy_protocol: v2\n"
                             "  tls_skip_verify: true\n  tls_server_name: old\n"
                             "  tls_upstream_server_name: new\n"
                             "  healthy_panic_threshold: 20\n"
                             "  health_checks:\n"
                             "  - {timeout: 1s, interval: 5s, unhealthy_threshold: 4,\n"
                             "     healthyThreshold: 1, tcpHealthCheck: {}}\n"
                             "  - {ssh_health_check: {}}\n"
                             "  outlier_detection: {consecutive_5xx: 7,\n"
                             "     consecutive_local_origin_failure: 3, baseEjectionTime: 10s,\n"
                             "     max_ejection_time: 60s, max_ejection_percent: 50,\n"
                             "     interval: 1s}\n"
                             "  policy: [{allow: {and: [{authenticated_user: 1}]}}]\n");
    if (f.d.count)
        fail_msg("%s", f.d.items[0].text);
    const struct route *r = &f.r.items[0];
    const struct route_tunnel *t = r->tunnel;
    assert_string_equal(r->label, "DB");
    assert_string_equal(r->description, "The database");
    assert_string_equal(r->logo_url, "https://x.test/l.svg");
    assert_non_null(r->policy);
    assert_int_equal(t->balancing, ROUTE_LEAST_REQUEST);
    assert_int_equal(t->timeout, 8 * 3600 * 1000);
    assert_int_equal(t->idle_timeout, 30 * 60 * 1000);
    assert_int_equal(t->connect_timeout, 3000);
    assert_int_equal(t->keepalive, 15000);
    assert_int_equal(t->proxy_header, ROUTE_HEADER_V2);
    assert_true(t->tls_skip_verify);
    assert_string_equal(t->tls_server_name, "new");
    assert_int_equal(t->panic_threshold, 20);
    assert_int_equal(t->health_check_count, 2);
    const struct route_health_check *h = t->health_checks;
    assert_int_equal(h[0].kind, ROUTE_HEALTH_TCP);
    assert_int_equal(h[0].timeout, 1000);
    assert_int_equal(h[0].interval, 5000);
    assert_int_equal(h[0].unhealthy_threshold, 4);
    assert_int_equal(h[0].healthy_threshold, 1);
    assert_int_equal(h[1].kind, ROUTE_HEALTH_SSH);
    assert_int_equal(h[1].interval, 15000);
    assert_true(t->outlier.enabled);
    assert_int_equal(t->outlier.consecutive_failures, 3);
    assert_int_equal(t->outlier.base_ejection, 10000);
    assert_int_equal(t->outlier.max_ejection, 60000);
    assert_int_equal(t->outlier.max_ejection_percent, 50);
    fixture_fini(&f);
}

static void test_warnings(void **state)
{
    (void)state;
    expect_key("prefix: /x",
               "r.yaml:1:45: prefix: does nothing on a tcp route, ignored: it is for HTTP", true);
    expect_key("regex_rewrite_pattern: x",
               "regex_rewrite_pattern: does nothing on a tcp route, ignored: it is for HTTP", true);
    expect_key("ssh_host_key_policy: tofu", "does nothing on a tcp route, ignored: it is for ssh",
               true);
    expect_key("idle_timeot: 1s", "unknown key of a route, ignored: did you mean idle_timeout?",
               true);
    expect_key("load_balancing_policy: ring_hash",
               "load_balancing_policy: ring_hash is not supported, round_robin is used: "
               "connections of one client may go to different endpoints",
               true);
    expect_key("tls_skip_verify: true",
               "tls_skip_verify: does nothing: 'to' has no TLS; write tls://", true);
    expect_key("tls_server_name: x", "does nothing: 'to' has no TLS; write tls://", true);
    expect_key("health_checks: [{tcp_health_check: {send: {text: x}}}]",
               "tcp_health_check: send is not supported, ignored: the endpoint is well when it "
               "takes a connection",
               true);
    expect_key("health_checks: [{tcp_health_check: {}, jitter: 1s}]",
               "health_checks: jitter: not supported, ignored", true);
    expect_key("outlier_detection: {success_rate_minimum_hosts: 3}",
               "outlier_detection: success_rate_minimum_hosts: not supported, ignored", true);
    struct fixture f = parse("[{from: 'udp+https://h:1', to: 'udp://t:1', "
                             "upstream_proxy_protocol: v1}]");
    expect_one(&f, "does nothing on a udp route: it is for tcp", true);
    f = parse("[{from: 'udp+https://h:1', to: 'udp://t:1', "
              "health_checks: [{tcp_health_check: {}}]}]");
    expect_one(&f, "does nothing on a udp route: there is no answer to wait for", true);
}

static void test_refusals(void **state)
{
    (void)state;
    expect_key("tls_downstream_client_ca: x",
               "not supported: client certificates would not be asked for", false);
    expect_key("sub_policies: []", "not supported: write one policy", false);
    expect_key("load_balancing_policy: best", "expected one of round_robin, random, least_request",
               false);
    expect_key("timeout: soon", "expected a duration such as 30s, 15m or 1h30m", false);
    expect_key("connect_timeout: 0s", "expected a duration above 0", false);
    expect_key("upstream_proxy_protocol: v3", "expected v1 or v2", false);
    expect_key("healthy_panic_threshold: 101", "expected a number up to 100", false);
    expect_key("health_checks: {}", "expected a list of at most 16 health checks", false);
    expect_key("health_checks: [x]", "expected {interval, timeout, tcp_health_check: {}}", false);
    expect_key("health_checks: [{interval: 1s}]",
               "expected one of tcp_health_check, ssh_health_check", false);
    expect_key("health_checks: [{http_health_check: {path: /}}]",
               "http_health_check: not supported on a tcp route: use tcp_health_check or "
               "ssh_health_check",
               false);
    expect_key("health_checks: [{grpc_health_check: {}}]",
               "grpc_health_check: not supported on a tcp route", false);
    expect_key("health_checks: [{tcp_health_check: {}, interval: 0s}]",
               "times and thresholds have to be above 0", false);
    expect_key("outlier_detection: 5", "expected a map, got a value", false);
    expect_key("tls_skip_verify: maybe", "expected true or false", false);
    expect_key("allow_any_authenticated_user: true, allowed_users: [x]",
               "accessible for any authenticated user but contains whitelists", false);
    struct fixture f = parse_keys("'tls://t:1'", "tls_client_cert: '-----BEGIN X'");
    expect_one(&f, "config: client certificate key and cert both must be non-empty", false);
    f = parse_keys("'tls://t:1'", "tls_custom_ca: Zm9v");
    expect_one(&f, "tls_custom_ca: route tcp+https://h:1: expected PEM, or base64 of it", false);
    f = parse_keys("'tls://t:1'", "tls_custom_ca_file: [x]");
    expect_one(&f, "expected the name of a file, got a list", false);
}

/* --- files --- */

static bool on_read(void *ctx, const char *key, const struct node *n, bool tight,
                    struct config_blob *out)
{
    CHECK_OK(buf_printf(ctx, "%s=%s%s ", key, n->text, tight ? "(tight)" : ""));
    if (strcmp(n->text, "none") == 0)
        return false;
    if (strcmp(n->text, "huge") == 0) {
        AUTO_FREE char *huge = mem_zalloc((1 << 20) + 1);
        secret_set(&out->text, view_of(huge, (1 << 20) + 1));
    } else {
        secret_set(&out->text, node_view(n));
    }
    out->file = n->text;
    return true;
}

static void test_tls_files(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf opened;
    buf_init(&opened, 1000);
    const struct route_files files = {.ctx = &opened, .read = on_read};
    static const char yaml[] = "[{from: 'tcp+https://h:1', to: 'tls://t:1',"
                               " tls_custom_ca_file: ca.pem, tls_client_cert_file: c.pem,"
                               " tls_client_key_file: k.pem}]";
    struct fixture f = parse_with(yaml, &files);
    assert_int_equal(f.d.count, 0);
    const struct route_tunnel *t = f.r.items[0].tunnel;
    assert_string_equal((const char *)t->tls_ca.text.data, "ca.pem");
    assert_string_equal(t->tls_ca.file, "ca.pem");
    assert_string_equal(t->tls_key.key, "tls_client_key_file");
    assert_string_equal((const char *)t->tls_key.text.data, "k.pem");
    AUTO_FREE char *text = buf_to_str(&opened);
    assert_string_equal(text, "tls_custom_ca_file=ca.pem tls_client_cert_file=c.pem "
                              "tls_client_key_file=k.pem(tight) ");
    fixture_fini(&f);
    /* Where files are not opened they are not missed. */
    f = parse_with(yaml, NULL);
    assert_int_equal(f.d.count, 0);
    assert_int_equal(f.r.items[0].tunnel->tls_ca.text.len, 0);
    fixture_fini(&f);
    /* The reader has said what is wrong; the route is left out. */
    f = parse_with("[{from: 'tcp+https://h:1', to: 'tls://t:1', tls_custom_ca_file: none}]",
                   &files);
    assert_int_equal(f.r.count, 0);
    fixture_fini(&f);
    f = parse_with("[{from: 'tcp+https://h:1', to: 'tls://t:1', tls_custom_ca_file: huge}]",
                   &files);
    expect_one(&f, "tls_custom_ca_file: route tcp+https://h:1: too long: at most 1048576 bytes",
               false);
}

static void test_tls_inline(void **state)
{
    (void)state;
    /* base64 of "-----BEGIN X-----\nx", as Pomerium wants it, and plain. */
    struct fixture f = parse_keys("'https://t'", "tls_custom_ca: LS0tLS1CRUdJTiBYLS0tLS0KeA==, "
                                                 "tls_client_cert: '-----BEGIN C', "
                                                 "tls_client_key: '-----BEGIN K'");
    if (f.d.count)
        fail_msg("%s", f.d.items[0].text);
    const struct route_tunnel *t = f.r.items[0].tunnel;
    assert_string_equal((const char *)t->tls_ca.text.data, "-----BEGIN X-----\nx\n");
    assert_null(t->tls_ca.file);
    assert_string_equal((const char *)t->tls_key.text.data, "-----BEGIN K\n");
    fixture_fini(&f);
    f = parse_keys("'https://t'", "tls_custom_ca_file: f, tls_custom_ca: '-----BEGIN X'");
    expect_one(&f, "tls_custom_ca: the file form is given too: the file is used", true);
}

static void test_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *host;
        bool match;
    } rows[] = {
        {"*", "anything.at.all", true},
        {"*.a.b", "x.a.b", true},
        {"*.a.b", "x.y.a.b", true},
        {"*.a.b", "a.b", false},
        {"*.a.b", "x.a.bb", false},
        {"db-*.a", "db-1.a", true},
        {"db-*.a", "db-.a", true},
        {"db-*.a", "xdb-1.a", false},
        {"*a*", "bab", true},
        {"*a*b", "aabab", true},
        {"*a*b", "aaba", false},
        {"a", "a", true},
        {"a", "ab", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(route_pattern_has(rows[i].pattern, view_str(rows[i].host)), rows[i].match);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from),       cmocka_unit_test(test_bad_from),
        cmocka_unit_test(test_to),         cmocka_unit_test(test_bad_to),
        cmocka_unit_test(test_duplicates), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_many),       cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_all_keys),   cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_tls_files),
        cmocka_unit_test(test_tls_inline), cmocka_unit_test(test_patterns),
    };
    return RUN(tests);
}
