#include "proxy/front/request.h"

#include "tests/support/test.h"

static struct request_head head_of(const char *method, const char *authority, const char *path)
{
    static const struct fields none;
    return (struct request_head){.method = view_str(method),
                                 .authority = view_str(authority),
                                 .path = view_str(path),
                                 .fields = &none};
}

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        const char *authority;
        const char *path;
        enum request_kind kind;
    } rows[] = {
        {"auth.test", "/", REQUEST_FORWARD},
        {"AUTH.test:8443", "/oauth2/callback?code=x", REQUEST_FORWARD},
        {"auth.test", "/ping", REQUEST_ALIVE},
        {"anything", "/healthz?x", REQUEST_ALIVE},
        {"anything", "/.pomerium", REQUEST_FORWARD},
        {"anything", "/.pomerium/", REQUEST_FORWARD},
        {"anything", "/.pomerium?x=y", REQUEST_FORWARD},
        {"anything", "/.pomeriumx", REQUEST_NOT_FOUND},
        {"anything", "/.well-known/pomerium", REQUEST_FORWARD},
        {"anything", "/.well-known/pomerium/jwks.json", REQUEST_FORWARD},
        {"anything", "/.well-known/pomeriumx", REQUEST_NOT_FOUND},
        {"anything", "/.pomerium/api/v1/routes?x", REQUEST_ROUTES},
        {"anything", "/.pomerium/api/v1/routes/", REQUEST_FORWARD},
        {"anything", "/.pomerium/api/v1/login", REQUEST_FORWARD},
        {"anything", "/.well-known/masque/udp/a/53/", REQUEST_NOT_FOUND},
        {"anything", "/", REQUEST_NOT_FOUND},
        {"anything", "/x/.pomerium/", REQUEST_NOT_FOUND},
        {"auth.test.evil", "/", REQUEST_NOT_FOUND},
        {"evil-auth.test", "/", REQUEST_NOT_FOUND},
        {"", "/", REQUEST_NOT_FOUND},
        {"auth.test", "*", REQUEST_NOT_FOUND},
        {"auth.test:443", "", REQUEST_NOT_FOUND},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_head h = head_of("GET", rows[i].authority, rows[i].path);
        struct request r = request_read(&h, "auth.test");
        if (r.kind != rows[i].kind)
            fail_msg("%s %s: %d", rows[i].authority, rows[i].path, (int)r.kind);
    }
    struct request_head h = head_of("GET", "x", "/.pomerium/api/v1/tunnels/abc?d");
    struct request r = request_read(&h, "auth.test");
    assert_int_equal(r.kind, REQUEST_REASON);
    CHECK_VIEW_STR(r.id, "abc");
}

static void check(const struct request_head *h, enum request_kind kind, unsigned status,
                  const char *destination)
{
    struct request r = request_read(h, "auth.test");
    if (r.kind != kind || r.status != status || strcmp(r.destination, destination) != 0)
        fail_msg("%.*s %.*s: %d %u %s", VIEW_FMT(h->authority), VIEW_FMT(h->path), (int)r.kind,
                 r.status, r.destination);
}

static void test_connect(void **state)
{
    (void)state;
    static const struct {
        const char *authority;
        const char *destination; /* NULL: 400 */
    } rows[] = {
        {"Redis.Example.com:6379", "redis.example.com:6379"},
        {"10.0.0.1:22", "10.0.0.1:22"},
        {"[2001:DB8::1]:22", "[2001:db8::1]:22"},
        {"redis.example.com", NULL},
        {"redis.example.com:", NULL},
        {"redis.example.com:0", NULL},
        {"redis.example.com:65536", NULL},
        {":22", NULL},
        {"user@redis:22", NULL},
        {"redis:22/path", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct request_head h = head_of("CONNECT", rows[i].authority, "");
        bool ok = rows[i].destination;
        check(&h, ok ? REQUEST_TCP : REQUEST_REFUSED, ok ? 0 : 400, ok ? rows[i].destination : "");
        h.is_h2 = true;
        check(&h, ok ? REQUEST_TCP : REQUEST_REFUSED, ok ? 0 : 400, ok ? rows[i].destination : "");
    }
    struct request_head h = head_of("CONNECT", "a:1", "/");
    check(&h, REQUEST_REFUSED, 400, "");
    char longest[REQUEST_HOST_MAX + 4];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + REQUEST_HOST_MAX, ":22", 4);
    h = head_of("CONNECT", longest, "");
    assert_int_equal(request_read(&h, "auth.test").kind, REQUEST_TCP);
    memset(longest, 'a', sizeof longest);
    memcpy(longest + REQUEST_HOST_MAX + 1, ":2", 3);
    h = head_of("CONNECT", longest, "");
    check(&h, REQUEST_REFUSED, 400, "");
}

static void test_udp(void **state)
{
    (void)state;
    AUTO(fields_fini) struct fields f = {0};
    CHECK_OK(fields_add_str(&f, "Upgrade", "connect-udp"));
    struct request_head h =
        head_of("GET", "gw.test", "/.well-known/masque/udp/dns.example.com/53/?x");
    h.fields = &f;
    h.upgrade = true;
    check(&h, REQUEST_UDP, 0, "dns.example.com:53");
    assert_false(request_read(&h, "auth.test").host_is_destination);
    h.authority = VIEW("DNS.example.com:53");
    assert_true(request_read(&h, "auth.test").host_is_destination);
    h.authority = VIEW("dns.example.com:54");
    assert_false(request_read(&h, "auth.test").host_is_destination);
    h.path = VIEW("/.well-known/masque/udp/2001%3Adb8%3A%3A1/53/");
    check(&h, REQUEST_UDP, 0, "[2001:db8::1]:53");
    h.authority = VIEW("[2001:db8::1]:53");
    assert_true(request_read(&h, "auth.test").host_is_destination);
    h.path = VIEW("/.well-known/masque/udp/a/0/");
    check(&h, REQUEST_NOT_FOUND, 0, "");
    h.path = VIEW("/.well-known/masque/udp//53/");
    check(&h, REQUEST_NOT_FOUND, 0, "");
    h.path = VIEW("/other");
    check(&h, REQUEST_NOT_FOUND, 0, "");
    h.path = VIEW("/.well-known/masque/udp/a/53/");
    h.method = VIEW("POST");
    check(&h, REQUEST_REFUSED, 400, "");
    h.method = VIEW("GET");
    h.has_body = true;
    check(&h, REQUEST_REFUSED, 400, "");
    h.has_body = false;
    h.upgrade = false;
    check(&h, REQUEST_NOT_FOUND, 0, "");
    /* Another upgrade is ignored. */
    CHECK_OK(fields_set(&f, "Upgrade", VIEW("h2c")));
    h.upgrade = true;
    h.path = VIEW("/ping");
    check(&h, REQUEST_ALIVE, 0, "");
}

static void test_extended(void **state)
{
    (void)state;
    struct request_head h =
        head_of("CONNECT", "dns.example.com:53", "/.well-known/masque/udp/dns.example.com/53/");
    h.is_h2 = true;
    h.protocol = VIEW("connect-udp");
    h.has_body = true;
    check(&h, REQUEST_UDP, 0, "dns.example.com:53");
    assert_false(request_read(&h, "auth.test").host_is_destination);
    h.has_body = false;
    check(&h, REQUEST_REFUSED, 400, "");
    h.has_body = true;
    h.protocol = VIEW("websocket");
    check(&h, REQUEST_REFUSED, 501, "");
    h.protocol = VIEW("connect-udp");
    h.method = VIEW("GET");
    check(&h, REQUEST_REFUSED, 400, "");
    h.method = VIEW("CONNECT");
    h.path = VIEW("/.well-known/masque/ip/");
    check(&h, REQUEST_NOT_FOUND, 0, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_connect),
        cmocka_unit_test(test_udp),
        cmocka_unit_test(test_extended),
    };
    return RUN(tests);
}
