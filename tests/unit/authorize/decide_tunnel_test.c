/* The decision on tunnels, and on requests that no tunnel comes of. */
#include "tests/unit/authorize/fixture.h"

#include "common/jose/jws.h"

static const char yaml[] =
    SHARED "shared_secret_previous: AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"
           "routes:\n"
           "  - from: tcp+https://db.test:5432\n"
           "    to: tcp://127.0.0.1:5432\n"
           "    policy:\n"
           "      - allow: {and: [email: ann@example.test]}\n"
           "      - deny: {or: [source_ip: 198.51.100.0/24]}\n"
           "  - from: udp+https://dns.test:53\n"
           "    to: udp://127.0.0.1:53\n"
           "    allow_any_authenticated_user: true\n"
           "  - from: tcp+https://public.test:80\n"
           "    to: tcp://127.0.0.1:80\n"
           "    allow_public_unauthenticated_access: true\n"
           "  - from: tcp+https://robots.test:1\n"
           "    to: tcp://127.0.0.1:1\n"
           "    policy: {allow: {and: [user: robot]}}\n"
           "  - from: tcp+https://placed.test:1\n"
           "    to: tcp://127.0.0.1:1\n"
           "    policy: {allow: {and: [source_ip: 203.0.113.0/24]}}\n"
           "  - from: tcp+https://mtls.test:1\n"
           "    to: tcp://127.0.0.1:1\n"
           "    policy:\n"
           "      - allow: {and: [authenticated_user: true]}\n"
           "      - deny: {or: [invalid_client_certificate: true]}\n"
           "  - from: ssh://web1\n"
           "    to: ssh://127.0.0.1:2022\n"
           "    allow_any_authenticated_user: true\n";

/* The two secrets of that. */
static const uint8_t secret[32];
static const uint8_t previous[32] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
                                     1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

static char *sign(const char *claims, const uint8_t *key)
{
    struct buf out;
    buf_init(&out, JWS_MAX);
    CHECK_OK(jws_sign_hs256(view_str(claims), "JWT", NULL, view_of(key, 32), &out));
    char *text = buf_to_str(&out);
    buf_fini(&out);
    return text;
}

static struct decision ask_with(struct fixture *f, enum protocol protocol, const char *where,
                                const char *token, const char *source)
{
    struct decision d;
    struct stream_tunnel m = {.authority = where,
                              .method = "CONNECT",
                              .path = protocol == PROTOCOL_HTTP ? where : "",
                              .token = view_str(token)};
    struct tunnel_ask *t = tunnel_ask_new(&m);
    struct ask a = {.protocol = protocol, .source = source, .route = where, .tunnel = t};
    decide(f->snapshot, &f->state, &a, 1000, &d);
    tunnel_ask_free(t);
    return d;
}

/* At second 1, from 192.0.2.7. `claims` NULL: nothing is presented. */
static struct decision ask(struct fixture *f, enum protocol protocol, const char *where,
                           const char *claims)
{
    AUTO_FREE char *token = claims ? sign(claims, secret) : mem_strdup("");
    return ask_with(f, protocol, where, token, "192.0.2.7");
}

#define CHECK_DECISION(d, want_kind, want_why)                                                     \
    do {                                                                                           \
        struct decision d_ = (d);                                                                  \
        if (d_.kind != (want_kind) || d_.why != (want_why))                                        \
            fail_msg("%s:%d: %s because of %s", __FILE__, __LINE__, decision_kind_name(d_.kind),   \
                     decision_why_name(d_.why));                                                   \
    } while (0)

static void add_account(struct fixture *f, const char *id, const char *user, uint64_t expires_ms)
{
    struct service_account *a = mem_zalloc(sizeof *a);
    a->id = mem_strdup(id);
    a->user_id = mem_strdup(user);
    a->description = mem_strdup("");
    a->expires_ms = expires_ms;
    state_put(&f->state, STATE_SERVICE_ACCOUNT, id, a);
}

#define ANN "{\"jti\":\"s1\",\"sub\":\"u1\"}"
#define ROBOT "{\"jti\":\"a1\",\"sub\":\"robot\"}"

static void test_signed_in(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    struct decision d = ask(&f, PROTOCOL_TCP, "DB.test:5432", ANN);
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    assert_string_equal(d.session->id, "s1");
    assert_string_equal(d.user_id, "u1");
    assert_string_equal(d.email, "ann@example.test");
    assert_null(d.account);
    assert_null(d.binding);
    assert_int_equal(d.expires_ms, 2000);
    /* The token's end counts where it is earlier. */
    d = ask(&f, PROTOCOL_UDP, "dns.test:53", "{\"jti\":\"s1\",\"sub\":\"u1\",\"exp\":2}");
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    add_session(&f, "u1", STATE_NEVER);
    d = ask(&f, PROTOCOL_UDP, "dns.test:53", "{\"jti\":\"s1\",\"sub\":\"u1\",\"exp\":2}");
    assert_int_equal(d.expires_ms, 2000);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "robots.test:1", ANN), DECISION_DENY, WHY_POLICY);
    teardown(&f);
}

static void test_which_route(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    static const struct {
        enum protocol protocol;
        const char *where;
    } unknown[] = {
        {PROTOCOL_UDP, "db.test:5432"},
        {PROTOCOL_TCP, "dns.test:53"},
        {PROTOCOL_TCP, "db.test"},
        {PROTOCOL_TCP, "db.test:5433"},
        {PROTOCOL_TCP, "web1"},
        {PROTOCOL_TCP, "web1:22"},
        {PROTOCOL_TCP, ""},
        {PROTOCOL_TCP, "a b:1"},
    };
    /* For everybody, whoever it is. */
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        CHECK_DECISION(ask(&f, unknown[i].protocol, unknown[i].where, NULL), DECISION_DENY,
                       WHY_ROUTE_UNKNOWN);
    sign_in(&f, "ann@example.test");
    for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
        CHECK_DECISION(ask(&f, unknown[i].protocol, unknown[i].where, ANN), DECISION_DENY,
                       WHY_ROUTE_UNKNOWN);
    teardown(&f);
}

static void test_nothing_presented(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "db.test:5432", NULL), DECISION_LOGIN, WHY_NO_TOKEN);
    CHECK_DECISION(ask(&f, PROTOCOL_UDP, "dns.test:53", NULL), DECISION_LOGIN, WHY_NO_TOKEN);
    /* A policy that does not look at who it is answers without. */
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "placed.test:1", NULL), DECISION_DENY, WHY_POLICY);
    struct decision d = ask_with(&f, PROTOCOL_TCP, "placed.test:1", "", "203.0.113.9");
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    assert_null(d.user_id);
    teardown(&f);
}

static void test_public(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    struct decision d = ask(&f, PROTOCOL_TCP, "public.test:80", NULL);
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    assert_null(d.user_id);
    assert_int_equal(d.who, WHY_NO_TOKEN);
    d = ask(&f, PROTOCOL_TCP, "public.test:80", ANN);
    assert_string_equal(d.user_id, "u1");
    assert_int_equal(d.expires_ms, 2000);
    /* A token that is no good is none. */
    d = ask_with(&f, PROTOCOL_TCP, "public.test:80", "x", "192.0.2.7");
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    assert_null(d.user_id);
    assert_int_equal(d.who, WHY_TOKEN_INVALID);
    teardown(&f);
}

/* Whatever is wrong with a token or what it names: 401, and nobody is let in. */
static void test_bad_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        enum decision_why why;
    } rows[] = {
        {"{\"jti\":\"s1\",\"sub\":\"u2\"}", WHY_TOKEN_INVALID}, /* the session is another's */
        {"{\"jti\":\"s1\"}", WHY_TOKEN_INVALID},
        {"{\"sub\":\"u1\"}", WHY_TOKEN_INVALID},
        {"{\"jti\":\"s1\",\"sub\":\"u1\",\"exp\":1}", WHY_TOKEN_EXPIRED},
        {"{\"jti\":\"s1\",\"sub\":\"u1\",\"nbf\":62}", WHY_TOKEN_INVALID},
        {"{\"jti\":\"gone\",\"sub\":\"u1\"}", WHY_SESSION_GONE},
        {"{\"jti\":\"u1\",\"sub\":\"u1\"}", WHY_SESSION_GONE}, /* a user's id */
        {"{\"jti\":\"over\",\"sub\":\"u1\"}", WHY_SESSION_EXPIRED},
        {"{\"jti\":\"orphan\",\"sub\":\"u9\"}", WHY_USER_GONE},
        {"{\"jti\":\"a2\",\"sub\":\"robot\"}", WHY_ACCOUNT_EXPIRED},
        {"{\"jti\":\"a1\",\"sub\":\"u1\"}", WHY_TOKEN_INVALID}, /* the account is another's */
    };
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    put_session(&f, "over", "u1", 1000);
    put_session(&f, "orphan", "u9", 2000);
    add_account(&f, "a1", "robot", STATE_NEVER);
    add_account(&f, "a2", "robot", 1000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decision d = ask(&f, PROTOCOL_UDP, "dns.test:53", rows[i].claims);
        if (d.kind != DECISION_LOGIN || d.why != rows[i].why || d.user_id || d.session || d.account)
            fail_msg("%s: %s because of %s", rows[i].claims, decision_kind_name(d.kind),
                     decision_why_name(d.why));
    }
    /* The id of a binding is none of a session. */
    AUTO_FREE char *binding = mem_printf("{\"jti\":\"%s\",\"sub\":\"u1\"}", f.key.binding);
    CHECK_DECISION(ask(&f, PROTOCOL_UDP, "dns.test:53", binding), DECISION_LOGIN, WHY_SESSION_GONE);
    teardown(&f);
}

static void test_secrets(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t foreign[32] = {7};
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    AUTO_FREE char *old = sign(ANN, previous);
    AUTO_FREE char *wrong = sign(ANN, foreign);
    CHECK_DECISION(ask_with(&f, PROTOCOL_TCP, "db.test:5432", old, "192.0.2.7"), DECISION_ALLOW,
                   WHY_ALLOWED);
    CHECK_DECISION(ask_with(&f, PROTOCOL_TCP, "db.test:5432", wrong, "192.0.2.7"), DECISION_LOGIN,
                   WHY_TOKEN_INVALID);
    teardown(&f);
}

static void test_service_account(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    add_account(&f, "a1", "robot", 5000);
    struct decision d = ask(&f, PROTOCOL_TCP, "robots.test:1", ROBOT);
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    assert_string_equal(d.account->id, "a1");
    assert_string_equal(d.user_id, "robot");
    assert_string_equal(d.email, "");
    assert_null(d.session);
    assert_null(d.user);
    assert_int_equal(d.expires_ms, 5000);
    CHECK_DECISION(ask(&f, PROTOCOL_UDP, "dns.test:53", ROBOT), DECISION_ALLOW, WHY_ALLOWED);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "db.test:5432", ROBOT), DECISION_DENY, WHY_POLICY);
    /* What is known of its user counts. */
    add_user(&f, "robot", "ann@example.test");
    d = ask(&f, PROTOCOL_TCP, "db.test:5432", ROBOT);
    CHECK_DECISION(d, DECISION_ALLOW, WHY_ALLOWED);
    assert_string_equal(d.email, "ann@example.test");
    state_put(&f.state, STATE_SERVICE_ACCOUNT, "a1", NULL);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "robots.test:1", ROBOT), DECISION_LOGIN, WHY_SESSION_GONE);
    teardown(&f);
}

/* Policies can tell the two kinds of identity apart. */
static void test_kind_of_identity(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, SHARED "routes:\n"
                     "  - from: tcp+https://people.test:1\n"
                     "    to: tcp://127.0.0.1:1\n"
                     "    policy:\n"
                     "      - allow: {and: [authenticated_user: true]}\n"
                     "      - deny: {or: [identity: service_account]}\n");
    sign_in(&f, "ann@example.test");
    add_account(&f, "a1", "robot", 5000);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "people.test:1", ANN), DECISION_ALLOW, WHY_ALLOWED);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "people.test:1", ROBOT), DECISION_DENY, WHY_POLICY);
    teardown(&f);
}

static void test_sources(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    AUTO_FREE char *token = sign(ANN, secret);
    CHECK_DECISION(ask_with(&f, PROTOCOL_TCP, "db.test:5432", token, "198.51.100.1"), DECISION_DENY,
                   WHY_POLICY);
    CHECK_DECISION(ask_with(&f, PROTOCOL_TCP, "db.test:5432", token, "x"), DECISION_DENY,
                   WHY_SOURCE_UNREADABLE);
    CHECK_DECISION(ask_with(&f, PROTOCOL_TCP, "public.test:80", "", ""), DECISION_DENY,
                   WHY_SOURCE_UNREADABLE);
    teardown(&f);
}

/* Before anything else, also before a login. */
static void test_client_certificate(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "mtls.test:1", ANN), DECISION_DENY,
                   WHY_CLIENT_CERTIFICATE);
    CHECK_DECISION(ask(&f, PROTOCOL_TCP, "mtls.test:1", NULL), DECISION_DENY,
                   WHY_CLIENT_CERTIFICATE);
    teardown(&f);
}

static void test_http(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    add_account(&f, "a1", "robot", 5000);
    static const char *const paths[] = {DECIDE_PATH_HEALTH, DECIDE_PATH_ROUTES};
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        CHECK_DECISION(ask(&f, PROTOCOL_HTTP, paths[i], ANN), DECISION_ALLOW, WHY_ALLOWED);
        CHECK_DECISION(ask(&f, PROTOCOL_HTTP, paths[i], ROBOT), DECISION_ALLOW, WHY_ALLOWED);
        CHECK_DECISION(ask(&f, PROTOCOL_HTTP, paths[i], NULL), DECISION_LOGIN, WHY_NO_TOKEN);
        CHECK_DECISION(ask(&f, PROTOCOL_HTTP, paths[i], "{}"), DECISION_LOGIN, WHY_TOKEN_INVALID);
    }
    CHECK_DECISION(ask(&f, PROTOCOL_HTTP, "/", ANN), DECISION_DENY, WHY_ROUTE_UNKNOWN);
    CHECK_DECISION(ask(&f, PROTOCOL_HTTP, "/healthz/", ANN), DECISION_DENY, WHY_ROUTE_UNKNOWN);
    teardown(&f);
}

static void check_sentence(struct fixture *f, const char *where, const char *claims,
                           const char *expected)
{
    struct decision d = ask(f, PROTOCOL_TCP, where, claims);
    struct ask a = {.protocol = PROTOCOL_TCP, .route = where};
    AUTO_FREE char *sentence = decision_sentence(&d, &a);
    assert_string_equal(sentence, expected);
}

static void test_sentences(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "bob@example.test");
    add_account(&f, "a1", "robot", 5000);
    check_sentence(&f, "public.test:80", NULL, "");
    check_sentence(&f, "db.test:5432", NULL, "You are not signed in.");
    check_sentence(&f, "db.test:5432", "{}", "Your sign-in is no longer valid; sign in again.");
    check_sentence(&f, "none:1", ANN, "There is no route to \"none:1\" here.");
    check_sentence(&f, "db.test:5432", ANN,
                   "You are signed in as bob@example.test, and the policy of route "
                   "\"tcp+https://db.test:5432\" does not let you in.");
    check_sentence(&f, "db.test:5432", ROBOT,
                   "You are signed in as robot, and the policy of route "
                   "\"tcp+https://db.test:5432\" does not let you in.");
    check_sentence(&f, "placed.test:1", NULL,
                   "The policy of route \"tcp+https://placed.test:1\" does not let you in.");
    check_sentence(&f, "mtls.test:1", NULL,
                   "Route \"tcp+https://mtls.test:1\" asks for a client certificate that is valid "
                   "here.");
    teardown(&f);
}

/* --- a tunnel is never let in where SSH would not be --- */

static const char *const criteria[] = {
    "accept: true",
    "reject: true",
    "authenticated_user: true",
    "email: ann@example.test",
    "email: {ends_with: '@example.test'}",
    "domain: other.test",
    "user: u1",
    "claim/team: ops",
    "groups: ops",
    "source_ip: 192.0.2.0/24",
    "source_ip: 203.0.113.0/24",
};
static const char *const operators[] = {"and", "or", "not", "nor"};

static uint32_t next(uint32_t *seed, uint32_t n)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 8) % n;
}

static void write_rule(struct buf *out, const char *action, uint32_t *seed)
{
    CHECK_OK(buf_printf(out, "      - %s: {%s: [", action, operators[next(seed, 4)]));
    for (uint32_t n = next(seed, 3) + 1; n > 0; n--)
        CHECK_OK(buf_printf(out, "{%s}%s", criteria[next(seed, ARRAY_LEN(criteria))],
                            n > 1 ? ", " : ""));
    CHECK_OK(buf_append_str(out, "]}\n"));
}

enum { PAIRS = 300 };

/* Routes r0, r1, …, each for SSH and for TCP with the same policy. */
static char *write_pairs(uint32_t seed)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    CHECK_OK(buf_append_str(&out, SHARED "routes:\n"));
    for (unsigned i = 0; i < PAIRS; i++) {
        struct buf policy;
        buf_init(&policy, 4096);
        write_rule(&policy, "allow", &seed);
        if (next(&seed, 2))
            write_rule(&policy, next(&seed, 2) ? "deny" : "allow", &seed);
        CHECK_OK(buf_printf(&out,
                            "  - from: ssh://r%u\n    to: ssh://127.0.0.1:1\n    policy:\n"
                            "%.*s"
                            "  - from: tcp+https://r%u:1\n    to: tcp://127.0.0.1:1\n"
                            "    policy:\n%.*s",
                            i, VIEW_FMT(buf_view(&policy)), i, VIEW_FMT(buf_view(&policy))));
        buf_fini(&policy);
    }
    char *text = buf_to_str(&out);
    buf_fini(&out);
    return text;
}

/* How many of the pairs both let in; fails where they differ for somebody who is signed in. */
static unsigned compare_pairs(struct fixture *f, const char *source)
{
    unsigned allowed = 0;
    AUTO_FREE char *token = sign(ANN, secret);
    for (unsigned i = 0; i < PAIRS; i++) {
        struct decision ssh;
        AUTO_FREE char *name = mem_printf("r%u", i);
        AUTO_FREE char *target = mem_printf("r%u:1", i);
        struct ask a = {.login = "dev", .route = name, .source = source, .key = &f->key};
        decide(f->snapshot, &f->state, &a, 1000, &ssh);
        struct decision tcp = ask_with(f, PROTOCOL_TCP, target, token, source);
        if (ssh.kind != tcp.kind)
            fail_msg("%s from %s: ssh %s, tcp %s", name, source, decision_kind_name(ssh.kind),
                     decision_kind_name(tcp.kind));
        /* A stranger is let in by no policy that looks at who he is, but by a public one. */
        struct decision anybody = ask_with(f, PROTOCOL_TCP, target, "", source);
        if (anybody.kind == DECISION_ALLOW && tcp.kind != DECISION_ALLOW)
            fail_msg("%s from %s: better without a token", name, source);
        allowed += tcp.kind == DECISION_ALLOW;
    }
    return allowed;
}

static void test_as_strict_as_ssh(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 4; seed++) {
        struct fixture f;
        AUTO_FREE char *text = write_pairs(seed);
        setup(&f, text);
        sign_in(&f, seed % 2 ? "ann@example.test" : "bob@other.test");
        unsigned near = compare_pairs(&f, "192.0.2.7");
        unsigned far = compare_pairs(&f, "2001:db8::1");
        assert_true(near > 0 && near < PAIRS);
        assert_true(far > 0 && far < PAIRS);
        teardown(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_in),
        cmocka_unit_test(test_which_route),
        cmocka_unit_test(test_nothing_presented),
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_bad_tokens),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_service_account),
        cmocka_unit_test(test_kind_of_identity),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_client_certificate),
        cmocka_unit_test(test_http),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_as_strict_as_ssh),
    };
    return RUN(tests);
}
