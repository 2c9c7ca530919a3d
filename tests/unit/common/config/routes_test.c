#include "common/config/routes.h"

#include "tests/support/test.h"

struct fixture {
    struct tree *t;
    struct diag d;
    struct routes r;
};

static struct fixture parse(const char *yaml)
{
    struct fixture f = {0};
    struct diag d = {0};
    CHECK_OK(tree_parse(view_str(yaml), "r.yaml", &d, &f.t));
    routes_parse(f.t, f.t->root, HOST_KEY_POLICY_TOFU, NULL, &f.d, &f.r);
    return f;
}

static void fixture_fini(struct fixture *f)
{
    tree_free(f->t);
    diag_fini(&f->d);
}

static void expect(const char *yaml, const char *message, bool warning)
{
    struct fixture f = parse(yaml);
    if (f.d.count != 1)
        fail_msg("%s: %zu messages, first %s", yaml, f.d.count, f.d.count ? f.d.items[0].text : "");
    assert_string_equal(f.d.items[0].text, message);
    assert_int_equal(f.d.items[0].warning, warning);
    assert_int_equal(f.r.count, warning);
    fixture_fini(&f);
}

static void test_whole_route(void **state)
{
    (void)state;
    struct fixture f = parse("- from: ssh://Web1:2222\n"
                             "  to: ssh://Sshd.internal:2022\n"
                             "  name: Web\n"
                             "  description: The web server\n"
                             "  policy: [{allow: {and: [{email: {is: a@b}}]}}]\n"
                             "  ssh_host_key_policy: Strict\n"
                             "  ssh_upstream_host_keys: [ssh-ed25519 AAAA]\n"
                             "  ssh_upstream_host_ca: ssh-ed25519 BBBB\n");
    assert_int_equal(f.d.count, 0);
    assert_int_equal(f.r.count, 1);
    const struct route *r = &f.r.items[0];
    assert_int_equal(r->kind, ROUTE_SSH);
    assert_string_equal(r->name, "web1");
    assert_string_equal(r->label, "Web");
    assert_string_equal(r->description, "The web server");
    assert_string_equal(r->to.host, "Sshd.internal");
    assert_int_equal(r->to.port, 2022);
    assert_string_equal(r->to.address, "Sshd.internal:2022");
    assert_int_equal(r->policy->type, NODE_LIST);
    assert_int_equal(r->policy->at.line, 5);
    assert_int_equal(r->ssh_host_key_policy, HOST_KEY_POLICY_STRICT);
    assert_string_equal(r->ssh_upstream_host_keys.items[0].text, "ssh-ed25519 AAAA");
    assert_int_equal(r->ssh_upstream_host_keys.items[0].at.line, 7);
    assert_string_equal(r->ssh_upstream_host_ca.items[0].text, "ssh-ed25519 BBBB");
    assert_ptr_equal(routes_find(&f.r, VIEW("WEB1")), r);
    assert_null(routes_find(&f.r, VIEW("web2")));
    fixture_fini(&f);
}

static void test_ids_are_stable(void **state)
{
    (void)state;
    struct fixture f = parse("[{from: 'ssh://a', to: 'ssh://h'}, {from: 'ssh://b', to: 'ssh://h'},"
                             " {from: 'ssh://c', to: ['ssh://[::1]:22/']}]");
    assert_int_equal(f.r.count, 3);
    /* FNV-1a of "a\0h:22\0": a change would break what operators wrote down. */
    assert_string_equal(f.r.items[0].id, "8fad17069183313a");
    assert_string_not_equal(f.r.items[0].id, f.r.items[1].id);
    assert_string_equal(f.r.items[2].to.address, "[::1]:22");
    assert_string_equal(f.r.items[2].to.host, "::1");
    fixture_fini(&f);
}

static void test_shorthand(void **state)
{
    (void)state;
    struct fixture f = parse("- {from: 'ssh://a', to: 'ssh://h', allowed_users: [x@y, z@y],"
                             " allowed_domains: y, allowed_idp_claims: {groups: [ops]}}\n"
                             "- {from: 'ssh://b', to: 'ssh://h', "
                             "allow_any_authenticated_user: true}\n"
                             "- {from: 'ssh://c', to: 'ssh://h', "
                             "allow_public_unauthenticated_access: true}\n");
    assert_int_equal(f.d.count, 0);
    assert_int_equal(f.r.items[0].allowed_users.count, 2);
    assert_string_equal(f.r.items[0].allowed_domains.items[0].text, "y");
    assert_int_equal(f.r.items[0].allowed_idp_claims->type, NODE_MAP);
    assert_true(f.r.items[1].allow_any_authenticated_user);
    assert_true(f.r.items[2].allow_public_unauthenticated_access);
    fixture_fini(&f);
}

static void test_refusals(void **state)
{
    (void)state;
    expect("[{from: 'ssh://a'}]",
           "r.yaml:1:2: to: route ssh://a: missing: expected ssh://HOST:PORT", false);
    expect("[{to: 'ssh://a'}]", "r.yaml:1:2: from: missing: expected ssh://NAME", false);
    expect("[{from: 'ssh://a', to: ['ssh://b', 'ssh://c']}]",
           "r.yaml:1:24: to: route ssh://a: only one 'to' entry allowed for ssh routes", false);
    expect("[{from: 'ssh://a', to: 'tcp://b:22'}]",
           "r.yaml:1:24: to: route ssh://a: 'to' route url must have ssh scheme", false);
    expect(
        "[{from: 'gopher://a', to: 'ssh://b'}]",
        "r.yaml:1:9: from: route gopher://a: config: policy bad source url: expected ssh://NAME, "
        "tcp+https://HOST:PORT or udp+https://HOST:PORT",
        false);
    expect("[{from: 'ssh://a', to: 'ssh://u@b'}]",
           "r.yaml:1:24: to: route ssh://a: expected ssh://HOST or ssh://HOST:PORT (no user, path "
           "or weight)",
           false);
    expect("[{from: 'ssh://*.a', to: 'ssh://b'}]",
           "r.yaml:1:9: from: route ssh://*.a: config: policy bad source url: expected ssh://NAME "
           "with letters, digits, - and . (no user, path or wildcard)",
           false);
    expect("[{from: 'ssh://a', to: 'ssh://b', allow_any_authenticated_user: true,"
           " allowed_users: [x]}]",
           "r.yaml:1:2: route ssh://a: config: policy route marked accessible for any "
           "authenticated user but contains whitelists",
           false);
    expect("[{from: 'ssh://a', to: 'ssh://b', allow_public_unauthenticated_access: true,"
           " allowed_domains: [x]}]",
           "r.yaml:1:2: route ssh://a: config: policy route marked as public but contains "
           "whitelists",
           false);
    expect("[{from: 'ssh://a', to: 'ssh://b', allowed_groups: [x]}]",
           "r.yaml:1:35: allowed_groups: route ssh://a: not supported: it was removed from "
           "Pomerium too; write a policy with groups:",
           false);
    expect("[{from: 'ssh://a', to: 'ssh://b', ssh_host_key_policy: maybe}]",
           "r.yaml:1:56: ssh_host_key_policy: route ssh://a: expected one of tofu, strict, "
           "insecure",
           false);
    expect("[web]", "r.yaml:1:2: routes: expected a route (from, to, policy), got a value", false);
}

static void test_warnings(void **state)
{
    (void)state;
    expect("[{from: 'ssh://a', to: 'ssh://b', polcy: []}]",
           "r.yaml:1:35: polcy: unknown key of a route, ignored: did you mean policy?", true);
    expect("[{from: 'ssh://a', to: 'ssh://b', session_recording: {enabled: true}}]",
           "r.yaml:1:35: session_recording: not supported, ignored: there is no session recording",
           true);
    expect("[{from: 'https://db.example.com', to: 'http://db:5432', tls_skip_verify: true}]",
           "r.yaml:1:9: from: route https://db.example.com: not served yet: this release serves "
           "ssh://, tcp+https:// and udp+https:// routes",
           true);
}

static void test_duplicates(void **state)
{
    (void)state;
    struct fixture f = parse("- {from: 'ssh://a', to: 'ssh://b'}\n- {from: 'ssh://A:22', to: "
                             "'ssh://c'}\n");
    assert_int_equal(f.d.errors, 1);
    assert_string_equal(f.d.items[0].text,
                        "r.yaml:2:3: from: route ssh://A:22: the route is not unique: first in "
                        "line 1");
    fixture_fini(&f);
}

static void test_several_errors_in_one_run(void **state)
{
    (void)state;
    struct fixture f = parse("- {from: 'ssh://a'}\n- {from: 'ssh://b', to: 'http://c', "
                             "allowed_users: {}, allow_any_authenticated_user: 7}\n- 5\n");
    assert_int_equal(f.d.errors, 5);
    assert_int_equal(f.r.count, 0);
    fixture_fini(&f);
}

static void test_none(void **state)
{
    (void)state;
    struct fixture f = parse("[]");
    assert_int_equal(f.r.count, 0);
    assert_int_equal(f.d.count, 0);
    fixture_fini(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_route),
        cmocka_unit_test(test_ids_are_stable),
        cmocka_unit_test(test_shorthand),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_several_errors_in_one_run),
        cmocka_unit_test(test_none),
    };
    return RUN(tests);
}
