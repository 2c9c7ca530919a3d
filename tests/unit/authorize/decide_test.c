/* The decision on a state that is filled by hand. */
#include "tests/unit/authorize/fixture.h"

static const char yaml[] = SHARED "routes:\n"
                                  "  - from: ssh://web1\n"
                                  "    to: ssh://127.0.0.1:2022\n"
                                  "    policy:\n"
                                  "      - allow: {and: [email: ann@example.test]}\n"
                                  "      - deny: {or: [ssh_username: root]}\n"
                                  "  - from: ssh://public\n"
                                  "    to: ssh://127.0.0.1:2023\n"
                                  "    allow_public_unauthenticated_access: true\n"
                                  "  - from: ssh://groups\n"
                                  "    to: ssh://127.0.0.1:2023\n"
                                  "    policy: {allow: {and: [groups: ops]}}\n"
                                  "  - from: ssh://nobody\n"
                                  "    to: ssh://127.0.0.1:2024\n";

static struct decision ask(struct fixture *f, const char *login, const char *route, uint64_t now)
{
    struct decision d;
    struct ask a = {.login = login, .route = route, .source = "192.0.2.7", .key = &f->key};
    decide(f->snapshot, &f->state, &a, now, &d);
    return d;
}

#define CHECK_DECISION(f, login, route, now, want_kind, want_why)                                  \
    do {                                                                                           \
        struct decision d_ = ask(f, login, route, now);                                            \
        if (d_.kind != (want_kind) || d_.why != (want_why))                                        \
            fail_msg("%s:%d: %s because of %s", __FILE__, __LINE__, decision_kind_name(d_.kind),   \
                     decision_why_name(d_.why));                                                   \
    } while (0)

static void test_signed_in(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    struct decision d = ask(&f, "dev", "web1", 1000);
    assert_int_equal(d.kind, DECISION_ALLOW);
    assert_string_equal(d.session->id, "s1");
    assert_string_equal(d.email, "ann@example.test");
    assert_string_equal(d.route->route->to.address, "127.0.0.1:2022");
    assert_int_equal(d.expires_ms, 2000);
    /* Names of routes: case and port do not count. */
    CHECK_DECISION(&f, "dev", "WEB1:22", 1000, DECISION_ALLOW, WHY_ALLOWED);
    CHECK_DECISION(&f, "dev", "web1:x", 1000, DECISION_DENY, WHY_ROUTE_UNKNOWN);
    CHECK_DECISION(&f, "root", "web1", 1000, DECISION_DENY, WHY_POLICY);
    CHECK_DECISION(&f, "dev", "nobody", 1000, DECISION_DENY, WHY_POLICY);
    CHECK_DECISION(&f, "dev", "public", 1000, DECISION_ALLOW, WHY_ALLOWED);
    CHECK_DECISION(&f, "dev", "none", 1000, DECISION_DENY, WHY_ROUTE_UNKNOWN);
    teardown(&f);
}

/* No route: the management shell, for whoever is signed in. */
static void test_shell(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    struct decision d = ask(&f, "dev", "", 1000);
    assert_int_equal(d.kind, DECISION_LOGIN);
    assert_int_equal(d.why, WHY_NOT_BOUND);
    assert_true(d.shell);
    sign_in(&f, "bob@example.test"); /* whom no policy lets in anywhere */
    d = ask(&f, "nobody", "", 1000);
    assert_int_equal(d.kind, DECISION_ALLOW);
    assert_true(d.shell);
    assert_null(d.route);
    assert_string_equal(d.session->id, "s1");
    assert_int_equal(d.expires_ms, 2000);
    d = ask(&f, "dev", "", 2000);
    assert_int_equal(d.kind, DECISION_LOGIN);
    assert_false(ask(&f, "dev", "web1", 1000).shell);
    teardown(&f);
}

static void test_other_user(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "bob@example.test");
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_DENY, WHY_POLICY);
    teardown(&f);
}

/* Whatever is missing on the way from the key to a person leads to the browser. */
static void test_not_signed_in(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_NOT_BOUND);
    /* SSH asks for a login where the web would not. */
    CHECK_DECISION(&f, "dev", "public", 1000, DECISION_LOGIN, WHY_NOT_BOUND);
    /* A stranger does not learn what exists. */
    CHECK_DECISION(&f, "dev", "none", 1000, DECISION_LOGIN, WHY_NOT_BOUND);
    CHECK_DECISION(&f, "dev", "nobody", 1000, DECISION_LOGIN, WHY_NOT_BOUND);
    sign_in(&f, "ann@example.test");
    CHECK_DECISION(&f, "dev", "web1", 1999, DECISION_ALLOW, WHY_ALLOWED);
    CHECK_DECISION(&f, "dev", "web1", 2000, DECISION_LOGIN, WHY_SESSION_EXPIRED);
    CHECK_DECISION(&f, "dev", "web1", 3000, DECISION_LOGIN, WHY_BINDING_EXPIRED);
    add_binding(&f, "tcp", 3000);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_NOT_BOUND);
    add_binding(&f, "ssh", STATE_NEVER);
    state_put(&f.state, STATE_USER, "u1", NULL);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_USER_GONE);
    add_user(&f, "u1", "ann@example.test");
    add_user(&f, "u2", "ann@example.test");
    add_session(&f, "u2", 2000);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_USER_GONE);
    state_put(&f.state, STATE_SESSION, "s1", NULL);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_SESSION_GONE);
    teardown(&f);
}

static void test_reveal_to_anyone(void **state)
{
    (void)state;
    struct fixture f;
    AUTO_FREE char *text = mem_printf("ssh_reveal_routes: anyone\n%s", yaml);
    setup(&f, text);
    CHECK_DECISION(&f, "dev", "none", 1000, DECISION_DENY, WHY_ROUTE_UNKNOWN);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_NOT_BOUND);
    teardown(&f);
}

static void test_directory(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@old.test");
    CHECK_DECISION(&f, "dev", "groups", 1000, DECISION_DENY, WHY_POLICY);
    struct directory_user *u = mem_zalloc(sizeof *u);
    u->id = mem_strdup("u1");
    u->email = mem_strdup("ann@example.test");
    u->groups = mem_zalloc_array(1, sizeof(char *));
    u->groups[0] = mem_strdup("ops");
    u->group_count = 1;
    state_put(&f.state, STATE_DIRECTORY, "u1", u);
    CHECK_DECISION(&f, "dev", "groups", 1000, DECISION_ALLOW, WHY_ALLOWED);
    /* Its address goes before the user record's. */
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_ALLOW, WHY_ALLOWED);
    teardown(&f);
}

/* A key that the policy rules out is sent neither to the browser nor away for good. */
static void test_ruled_out_key(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, SHARED "routes:\n"
                     "  - from: ssh://keyed\n"
                     "    to: ssh://127.0.0.1:2022\n"
                     "    policy:\n"
                     "      - allow:\n"
                     "          and:\n"
                     "            - email: ann@example.test\n"
                     "            - ssh_publickey: ssh-ed25519 "
                     "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\n");
    CHECK_DECISION(&f, "dev", "keyed", 1000, DECISION_TRY_NEXT_KEY, WHY_KEY_RULED_OUT);
    sign_in(&f, "ann@example.test");
    CHECK_DECISION(&f, "dev", "keyed", 1000, DECISION_TRY_NEXT_KEY, WHY_KEY_RULED_OUT);
    struct decision d = ask(&f, "dev", "keyed", 1000);
    struct ask a = {.login = "dev", .route = "keyed", .source = "192.0.2.7", .key = &f.key};
    AUTO_FREE char *sentence = decision_sentence(&d, &a);
    assert_non_null(strstr(sentence, f.key.fingerprint));
    teardown(&f);
}

/* Old records stay in force until the new picture is complete. */
static void test_new_picture(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "ann@example.test");
    struct state_changes changes = state_take_changes(&f.state);
    assert_true(state_changes_any(&changes));
    assert_false(changes.all);
    assert_int_equal(map_count(&changes.kind[STATE_SESSION]), 1);
    state_changes_fini(&changes);

    state_clear(&f.state);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_ALLOW, WHY_ALLOWED);
    add_user(&f, "u1", "ann@example.test");
    add_binding(&f, "ssh", 3000);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_ALLOW, WHY_ALLOWED);
    changes = state_take_changes(&f.state);
    assert_false(state_changes_any(&changes));
    state_changes_fini(&changes);
    state_complete(&f.state);
    CHECK_DECISION(&f, "dev", "web1", 1000, DECISION_LOGIN, WHY_SESSION_GONE);
    changes = state_take_changes(&f.state);
    assert_true(changes.all);
    state_changes_fini(&changes);
    teardown(&f);
}

static struct decision ask_from(struct fixture *f, const char *source)
{
    struct decision d;
    struct ask a = {.login = "dev", .route = "placed", .source = source, .key = &f->key};
    decide(f->snapshot, &f->state, &a, 1000, &d);
    return d;
}

/* A rule that denies an address is dodged by no way to write it. */
static void test_source(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum decision_kind kind;
        enum decision_why why;
    } rows[] = {
        {"198.51.100.7", DECISION_ALLOW, WHY_ALLOWED},
        {"2001:db8::7", DECISION_ALLOW, WHY_ALLOWED},
        {"fe81::1%2", DECISION_ALLOW, WHY_ALLOWED},
        {"192.0.2.7", DECISION_DENY, WHY_POLICY},
        {"::ffff:192.0.2.7", DECISION_DENY, WHY_POLICY},
        {"2001:db8:bad::7", DECISION_DENY, WHY_POLICY},
        {"2001:0DB8:0bad:0:0::7", DECISION_DENY, WHY_POLICY},
        {"fe80::1", DECISION_DENY, WHY_POLICY},
        {"fe80::1%2", DECISION_DENY, WHY_POLICY},
        {"fe80::1%eth0", DECISION_DENY, WHY_POLICY},
        {"unknown", DECISION_DENY, WHY_SOURCE_UNREADABLE},
        {"", DECISION_DENY, WHY_SOURCE_UNREADABLE},
        {"192.0.2.7:22", DECISION_DENY, WHY_SOURCE_UNREADABLE},
        {"[fe80::1]", DECISION_DENY, WHY_SOURCE_UNREADABLE},
        {"fe80::1%", DECISION_DENY, WHY_SOURCE_UNREADABLE},
        {"192.0.2.7, 198.51.100.7", DECISION_DENY, WHY_SOURCE_UNREADABLE},
    };
    struct fixture f;
    setup(&f, SHARED "routes:\n"
                     "  - from: ssh://placed\n"
                     "    to: ssh://127.0.0.1:2022\n"
                     "    policy:\n"
                     "      - allow: {and: [email: ann@example.test]}\n"
                     "      - deny: {or: [source_ip: [192.0.2.0/24, '2001:db8:bad::/48', "
                     "'fe80::/64']]}\n");
    sign_in(&f, "ann@example.test");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct decision d = ask_from(&f, rows[i].source);
        if (d.kind != rows[i].kind || d.why != rows[i].why)
            fail_msg("%s: %s because of %s", rows[i].source, decision_kind_name(d.kind),
                     decision_why_name(d.why));
    }
    teardown(&f);
}

static void test_sentences(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, yaml);
    sign_in(&f, "bob@example.test");
    struct ask a = {.login = "dev", .route = "web1", .source = "192.0.2.7", .key = &f.key};
    struct decision d = ask(&f, "dev", "web1", 1000);
    AUTO_FREE char *denied = decision_sentence(&d, &a);
    assert_string_equal(denied, "You are signed in as bob@example.test, and the policy of route "
                                "\"web1\" does not let you in.");
    AUTO_FREE char *cut = decision_cut_sentence(&d, "web1");
    assert_string_equal(cut, "The policy of route \"web1\" no longer lets you in.");
    d = ask(&f, "dev", "web1", 2500);
    AUTO_FREE char *none = decision_sentence(&d, &a);
    assert_string_equal(none, "");
    AUTO_FREE char *expired = decision_cut_sentence(&d, "web1");
    assert_string_equal(expired, "Your session has expired; connect again to sign in.");
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shell),
        cmocka_unit_test(test_signed_in),
        cmocka_unit_test(test_other_user),
        cmocka_unit_test(test_not_signed_in),
        cmocka_unit_test(test_reveal_to_anyone),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_ruled_out_key),
        cmocka_unit_test(test_new_picture),
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_source),
    };
    return RUN(tests);
}
