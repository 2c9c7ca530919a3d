/* The routes of Pomerium's guide to TCP and UDP, as it has them: what each lets through. */
// links: common/config
#include "authorize/snapshot/snapshot.h"

#include "common/base/mem.h"
#include "tests/unit/common/config/world.h"

#define HEAD "shared_secret: " KEY_A "\nauthenticate_service_url: https://a.test\n"

struct example {
    const char *routes;
    enum route_kind kind;
    const char *destination;
    const char *target;
    enum route_scheme scheme;
    const char *email;               /* that is let in; NULL: nobody is */
    enum policy_outcome datascience; /* of the group that the guide names */
};

static const struct example examples[] = {
    {"routes:\n"
     "- from: tcp+https://redis.corp.example.com:6379\n"
     "  to: tcp://redis.internal.example.com:6379\n"
     "  policy:\n"
     "    - allow:\n"
     "        or:\n"
     "          - email:\n"
     "              is: contractor@notexample.com\n"
     "          - claim/groups: 'datascience@example.com'\n",
     ROUTE_TCP, "redis.corp.example.com:6379", "redis.internal.example.com:6379", ROUTE_PLAIN,
     "contractor@notexample.com", POLICY_ALLOW},
    {"routes:\n"
     "- from: tcp+https://ssh.localhost.pomerium.io:22\n"
     "  to: tcp://127.0.0.1:22\n"
     "  policy:\n"
     "    - allow:\n"
     "        or:\n"
     "          - email:\n"
     "              is: user@yourcompany.com\n",
     ROUTE_TCP, "ssh.localhost.pomerium.io:22", "127.0.0.1:22", ROUTE_PLAIN, "user@yourcompany.com",
     POLICY_NO_MATCH},
    /* The guide has the bastion form's `from` alone. */
    {"routes:\n"
     "- from: tcp+https://proxy.corp.example.com:8443/redis.internal.example.com:6379\n"
     "  to: tcp://redis.internal.example.com:6379\n"
     "  allow_any_authenticated_user: true\n",
     ROUTE_TCP, "redis.internal.example.com:6379", "redis.internal.example.com:6379", ROUTE_PLAIN,
     "anybody@example.com", POLICY_ALLOW},
    {"routes:\n"
     "- from: tcp+https://example.corp.com:10002\n"
     "  to: http://another-proxy.corp.com:10003\n",
     ROUTE_TCP, "example.corp.com:10002", "another-proxy.corp.com:10003", ROUTE_HTTP_PROXY, NULL,
     POLICY_NO_MATCH},
    {"routes:\n"
     "- from: udp+https://time.corp.example.com:13\n"
     "  to: udp://time.internal.example.com:13\n"
     "  policy:\n"
     "    - allow:\n"
     "        or:\n"
     "          - email:\n"
     "              is: contractor@notexample.com\n"
     "          - claim/groups: 'datascience@example.com'\n",
     ROUTE_UDP, "time.corp.example.com:13", "time.internal.example.com:13", ROUTE_PLAIN,
     "contractor@notexample.com", POLICY_ALLOW},
};

static enum policy_outcome judge(const struct snapshot_route *r, const char *email,
                                 const char *group)
{
    const char *const groups[] = {"everybody", group};
    const struct claim claims[] = {{"groups", groups, ARRAY_LEN(groups)}};
    const struct facts f = {.is_http = true,
                            .has_session = email != NULL,
                            .email = view_str(email),
                            .session_claims = {claims, 1},
                            .method = VIEW("CONNECT")};
    struct verdict v = policy_evaluate(r->policy, &f);
    return verdict_outcome(&v);
}

static void check_example(const struct example *e, const struct snapshot *s)
{
    const struct snapshot_route *r = snapshot_tunnel(s, e->kind, view_str(e->destination));
    assert_non_null(r);
    assert_null(
        snapshot_tunnel(s, e->kind == ROUTE_TCP ? ROUTE_UDP : ROUTE_TCP, view_str(e->destination)));
    const struct route_tunnel *t = r->route->tunnel;
    assert_int_equal(t->endpoint_count, 1);
    assert_string_equal(t->endpoints[0].target.address, e->target);
    assert_int_equal(t->scheme, e->scheme);
    if (e->email)
        assert_int_equal(judge(r, e->email, "other"), POLICY_ALLOW);
    assert_int_equal(judge(r, "eve@example.com", "datascience@example.com"), e->datascience);
    if (!r->route->allow_any_authenticated_user)
        assert_int_equal(judge(r, "eve@example.com", "other"), POLICY_NO_MATCH);
    assert_int_equal(judge(r, NULL, "other"), e->email ? POLICY_LOGIN : POLICY_NO_MATCH);
}

static void test_examples(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        struct world w = {0};
        struct diag d = {0};
        AUTO_FREE char *yaml = mem_printf(HEAD "%s", examples[i].routes);
        must_load(&w, CONFIG_AUTHORIZE, yaml);
        struct snapshot *s = snapshot_new(w.c, NULL, &d);
        if (!s || d.count)
            fail_msg("%s: %s", examples[i].routes, d.items[0].text);
        check_example(&examples[i], s);
        snapshot_unref(s);
        diag_fini(&d);
        world_fini(&w);
    }
}

/* Without a good certificate nobody passes, unless that is left to the policies; SSH has none. */
static void test_client_certificates_are_demanded(void **state)
{
    (void)state;
    static const struct {
        const char *enforcement;
        enum policy_outcome outcome;
    } rows[] = {{"policy_with_default_deny", POLICY_CLIENT_CERTIFICATE},
                {"policy", POLICY_ALLOW},
                {"reject_connection", POLICY_ALLOW}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w = {0};
        struct diag d = {0};
        AUTO_FREE char *yaml = mem_printf(HEAD "downstream_mtls: {ca_file: x, enforcement: %s}\n%s",
                                          rows[i].enforcement, examples[2].routes);
        must_load(&w, CONFIG_AUTHORIZE, yaml);
        struct snapshot *s = snapshot_new(w.c, NULL, &d);
        assert_non_null(s);
        const struct snapshot_route *r =
            snapshot_tunnel(s, ROUTE_TCP, VIEW("redis.internal.example.com:6379"));
        assert_int_equal(judge(r, "ann@example.com", "x"), rows[i].outcome);
        snapshot_unref(s);
        diag_fini(&d);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_client_certificates_are_demanded),
    };
    return RUN(tests);
}
