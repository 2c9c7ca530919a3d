/* The list of routes for a person, and where a browser is sent to sign in. */
#include "tests/unit/authorize/fixture.h"

#include "authorize/portal.h"
#include "common/jose/jws.h"
#include "common/jose/signed_url.h"
#include "common/json/json.h"

static const char yaml[] =
    SHARED "ssh_address: :2222\n"
           "routes:\n"
           "  - from: ssh://web1\n"
           "    to: ssh://127.0.0.1:2022\n"
           "    name: Web server\n"
           "    description: The first one\n"
           "    policy:\n"
           "      - allow: {and: [email: ann@example.test, ssh_username: dev]}\n"
           "      - deny: {or: [ssh_username: root]}\n"
           "  - from: tcp+https://db.test:5432\n"
           "    to: tcp://127.0.0.1:5432\n"
           "    policy:\n"
           "      - allow: {and: [domain: example.test, http_method: CONNECT]}\n"
           "      - deny: {or: [source_ip: 198.51.100.0/24]}\n"
           "  - from: udp+https://gw.test:8443/dns.lan:53\n"
           "    to: udp://127.0.0.1:53\n"
           "    allow_any_authenticated_user: true\n"
           "  - from: tcp+https://any.test\n"
           "    to: tcp://127.0.0.1:80\n"
           "    allow_public_unauthenticated_access: true\n"
           "  - from: tcp+https://*.wild.test:22\n"
           "    to: tcp://127.0.0.1:22\n"
           "    policy: {allow: {not: [email: ann@example.test]}}\n"
           "  - from: ssh://keyed\n"
           "    to: ssh://127.0.0.1:2022\n"
           "    policy: {allow: {and: [user: u1, ssh_publickey: ssh-ed25519 "
           "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB]}}\n"
           "  - from: ssh://placed\n"
           "    to: ssh://127.0.0.1:2022\n"
           "    policy: {allow: {and: [user: u1, source_ip: 198.51.100.0/24]}}\n"
           "  - from: ssh://nobody\n"
           "    to: ssh://127.0.0.1:2024\n";

static const uint8_t secret[32];

static char *list(struct fixture *f, const char *host, const char *source)
{
    struct decision d;
    struct buf token;
    struct buf out;
    buf_init(&token, JWS_MAX);
    buf_init(&out, PORTAL_MAX);
    CHECK_OK(jws_sign_hs256(VIEW("{\"jti\":\"s1\",\"sub\":\"u1\"}"), "JWT", NULL,
                            view_of(secret, 32), &token));
    struct stream_tunnel m = {
        .authority = host, .method = "GET", .path = DECIDE_PATH_ROUTES, .token = buf_view(&token)};
    struct tunnel_ask *t = tunnel_ask_new(&m);
    struct ask a = {.protocol = PROTOCOL_HTTP, .source = source, .route = host, .tunnel = t};
    decide(f->snapshot, &f->state, &a, 1000, &d);
    assert_int_equal(d.kind, DECISION_ALLOW);
    CHECK_OK(portal_routes(f->snapshot, &f->state, &a, &d, 1000, &out));
    char *text = buf_to_str(&out);
    tunnel_ask_free(t);
    buf_fini(&token);
    buf_fini(&out);
    return text;
}

/* "name: command" of each route. */
static void check_commands(const char *text, const char *const *expected)
{
    AUTO(json_free_ptr) struct json *whole = NULL;
    CHECK_OK(json_parse(view_str(text), &whole));
    const struct json *routes = json_member(whole, VIEW("routes"));
    size_t count = 0;
    for (; expected[count]; count++) {
        const struct json *o = json_at(routes, count);
        AUTO_FREE char *line = mem_printf("%.*s: %.*s", VIEW_FMT(json_get_str(o, "name")),
                                          VIEW_FMT(json_get_str(o, "connect_command")));
        assert_string_equal(line, expected[count]);
    }
    assert_int_equal(json_len(routes), count);
}

static void test_routes_of_a_person(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    AUTO_FREE char *text = list(&f, "gw.test", "192.0.2.7");
    check_commands(text, (const char *const[]){
                             "Web server: ssh -p 2222 LOGIN@web1@gw.test",
                             "db.test:5432: pomerium-cli tcp db.test:5432",
                             "dns.lan:53: pomerium-cli udp https://gw.test:8443/dns.lan:53",
                             "any.test:PORT: pomerium-cli tcp any.test:PORT",
                             "keyed: ssh -p 2222 LOGIN@keyed@gw.test",
                             NULL,
                         });
    /* From elsewhere: the real policy, with its deny rules. */
    AUTO_FREE char *far = list(&f, "gw.test:8443", "198.51.100.9");
    check_commands(far, (const char *const[]){
                            "Web server: ssh -p 2222 LOGIN@web1@gw.test",
                            "dns.lan:53: pomerium-cli udp https://gw.test:8443/dns.lan:53",
                            "any.test:PORT: pomerium-cli tcp any.test:PORT",
                            "keyed: ssh -p 2222 LOGIN@keyed@gw.test",
                            "placed: ssh -p 2222 LOGIN@placed@gw.test",
                            NULL,
                        });
    AUTO_FREE char *nowhere = list(&f, "gw.test", "unknown");
    assert_string_equal(nowhere, "{\"routes\":[]}");
    teardown(&f);
}

static void test_routes_of_another(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "bob@other.test");
    AUTO_FREE char *text = list(&f, "", "192.0.2.7");
    check_commands(text, (const char *const[]){
                             "dns.lan:53: pomerium-cli udp https://gw.test:8443/dns.lan:53",
                             "any.test:PORT: pomerium-cli tcp any.test:PORT",
                             "*.wild.test:22: pomerium-cli tcp *.wild.test:22",
                             "keyed: ssh -p 2222 LOGIN@keyed@GATEWAY",
                             NULL,
                         });
    teardown(&f);
}

static void test_fields(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, SHARED "routes:\n"
                     "  - from: tcp+https://db.test:5432\n"
                     "    to: tcp://127.0.0.1:5432\n"
                     "    name: \"A \\\"base\\\"\"\n"
                     "    description: Of data\n"
                     "    allow_any_authenticated_user: true\n");
    sign_in(&f, "ann@example.test");
    AUTO_FREE char *text = list(&f, "gw.test", "192.0.2.7");
    AUTO_FREE char *expected =
        mem_printf("{\"routes\":[{\"id\":\"%s\",\"name\":\"A \\\"base\\\"\",\"type\":\"tcp\","
                   "\"from\":\"tcp+https://db.test:5432\",\"description\":\"Of data\","
                   "\"connect_command\":\"pomerium-cli tcp db.test:5432\",\"logo_url\":\"\"}]}",
                   f.snapshot->routes[0].route->id);
    assert_string_equal(text, expected);
    teardown(&f);
}

/* --- where to sign in --- */

static char *sign_in_url(struct fixture *f, enum protocol protocol, const char *authority)
{
    struct decision d;
    struct stream_tunnel m = {
        .authority = authority, .method = "CONNECT", .path = DECIDE_PATH_ROUTES};
    struct tunnel_ask *t = tunnel_ask_new(&m);
    struct ask a = {.protocol = protocol, .source = "192.0.2.7", .route = authority, .tunnel = t};
    decide(f->snapshot, &f->state, &a, 1000, &d);
    char *url = portal_sign_in_url(f->snapshot, &a, &d, 1000);
    tunnel_ask_free(t);
    return url;
}

/* NULL: nothing to come back to. */
static void check_url(struct fixture *f, enum protocol protocol, const char *authority,
                      const char *back)
{
    struct view got;
    AUTO_FREE char *url = sign_in_url(f, protocol, authority);
    if (!back) {
        assert_null(url);
        return;
    }
    assert_non_null(url);
    CHECK_OK(signed_url_verify(view_of(secret, 32), (struct view){0}, view_str(url), 1000, &got));
    AUTO_FREE char *expected =
        mem_printf("https://auth.example.test/.pomerium/sign_in?pomerium_redirect_uri=%s", back);
    CHECK_VIEW_STR(got, expected);
}

static void test_sign_in_url(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    check_url(&f, PROTOCOL_TCP, "DB.test:5432", "https%3A%2F%2Fdb.test%2F");
    check_url(&f, PROTOCOL_UDP, "dns.lan:53", "https%3A%2F%2Fgw.test%3A8443%2F");
    check_url(&f, PROTOCOL_TCP, "Any.test:99", "https%3A%2F%2Fany.test%2F");
    check_url(&f, PROTOCOL_TCP, "a.wild.test:22", "https%3A%2F%2Fa.wild.test%2F");
    check_url(&f, PROTOCOL_HTTP, "GW.test:8443", "https%3A%2F%2Fgw.test%3A8443%2F");
    check_url(&f, PROTOCOL_HTTP, "b.wild.test", "https%3A%2F%2Fb.wild.test%2F");
    check_url(&f, PROTOCOL_HTTP, "auth.example.test:443", "https%3A%2F%2Fauth.example.test%2F");
    /* Nobody gets our signature for a host that is not ours. */
    check_url(&f, PROTOCOL_HTTP, "evil.test", NULL);
    check_url(&f, PROTOCOL_HTTP, "dns.lan", NULL);
    check_url(&f, PROTOCOL_HTTP, "gw.test.evil.test", NULL);
    check_url(&f, PROTOCOL_HTTP, "u@gw.test", NULL);
    check_url(&f, PROTOCOL_HTTP, "", NULL);
    teardown(&f);
    setup(&f, SHARED "routes:\n"
                     "  - from: tcp+https://*:22\n"
                     "    to: tcp://127.0.0.1:22\n"
                     "    allow_any_authenticated_user: true\n");
    check_url(&f, PROTOCOL_TCP, "evil.test:22", NULL);
    check_url(&f, PROTOCOL_HTTP, "evil.test", NULL);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes_of_a_person),
        cmocka_unit_test(test_routes_of_another),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_sign_in_url),
    };
    return RUN(tests);
}
