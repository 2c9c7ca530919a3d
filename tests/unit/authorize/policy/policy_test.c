#include "tests/support/test.h"

#include "authorize/policy/policy.h"
#include "common/base/text.h"

/* Two keys, a CA, as policies write them and as they are offered. */
#define KEY_A "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
#define KEY_B "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgIC"
#define CA "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMD"

static struct view blob_of(const char *line)
{
    static struct buf blobs[8];
    static const char *lines[8];
    size_t i = 0;
    while (lines[i] && strcmp(lines[i], line) != 0)
        i++;
    if (!lines[i]) {
        lines[i] = line;
        buf_init(&blobs[i], 1024);
        CHECK_OK(text_unbase64(view_str(strchr(line, ' ') + 1), &blobs[i]));
    }
    return buf_view(&blobs[i]);
}

static const char *const group_values[] = {"dev", "ops"};
static const char *const one_value[] = {"staff"};
static const char *const nested_values[] = {"x", "5", "true"};
static const char *const login_values[] = {"root", "ann"};
static const char *const directory_groups[] = {"admins"};
static const struct claim user_claims[] = {{"kind", one_value, 1}};
static const struct claim session_claims[] = {
    {"groups", group_values, 2},
    {"kind", group_values, 2},
    {"a.b", nested_values, 3},
    {"https://example.test/logins", login_values, 2},
};

/* Which facts a row of the table starts from. */
enum who { NOBODY, ANN, ANN_IN_DIRECTORY };

static struct facts facts_for(enum who who)
{
    struct facts f = {
        .login = VIEW("ann"),
        .key = blob_of(KEY_A),
        .now_s = 1000,
    };
    CHECK_OK(ip_parse(VIEW("192.0.2.7"), &f.source));
    if (who == NOBODY)
        return f;
    f.has_session = true;
    f.user_id = VIEW("local/ann@example.test");
    f.email = VIEW("ann@example.test");
    f.user_claims = (struct claims){user_claims, ARRAY_LEN(user_claims)};
    f.session_claims = (struct claims){session_claims, ARRAY_LEN(session_claims)};
    if (who == ANN_IN_DIRECTORY) {
        f.has_directory = true;
        f.directory_groups = directory_groups;
        f.directory_group_count = 1;
    }
    return f;
}

static struct policy *compile(const char *yaml, struct diag *d)
{
    struct policy *p = policy_new();
    struct tree *tree = NULL;
    assert_int_equal(tree_parse(view_str(yaml), "policy.yaml", d, &tree), OK);
    policy_add(p, tree->root, "policy", d);
    tree_free(tree);
    return p;
}

static struct policy *compile_ok(const char *yaml)
{
    struct diag d = {0};
    struct policy *p = compile(yaml, &d);
    if (d.errors)
        fail_msg("%s: %s", yaml, d.items[0].text);
    diag_fini(&d);
    return p;
}

static const char *reasons_line(struct reasons set, char out[512])
{
    const char *texts[REASON_COUNT];
    size_t n = reasons_texts(set, texts);
    out[0] = '\0';
    for (size_t i = 0; i < n; i++)
        (void)snprintf(out + strlen(out), 512 - strlen(out), "%s%s", i ? " " : "", texts[i]);
    return out;
}

struct row {
    const char *policy;
    enum who who;
    enum policy_outcome outcome;
    const char *allow_why;
    const char *deny_why;
};

static void check_row(const struct row *row)
{
    char allow[512];
    char deny[512];
    struct policy *p = compile_ok(row->policy);
    struct facts f = facts_for(row->who);
    struct verdict v = policy_evaluate(p, &f);
    reasons_line(v.allow.why, allow);
    reasons_line(v.deny.why, deny);
    if (verdict_outcome(&v) != row->outcome || strcmp(allow, row->allow_why) != 0 ||
        strcmp(deny, row->deny_why) != 0)
        fail_msg("%s (who %d): outcome %d, allow %d because \"%s\", deny %d because \"%s\"",
                 row->policy, row->who, verdict_outcome(&v), v.allow.hit, allow, v.deny.hit, deny);
    policy_free(p);
}

static const struct row logic[] = {
    /* No rule at all. */
    {"[]", ANN, POLICY_NO_MATCH, "", ""},
    {"", NOBODY, POLICY_NO_MATCH, "", ""},
    /* accept and reject: reject is false, so it neither allows nor denies. */
    {"allow: {and: [accept: 1]}", NOBODY, POLICY_ALLOW, "accept", ""},
    {"allow: {and: [reject: 1]}", ANN, POLICY_NO_MATCH, "reject", ""},
    {"[{allow: {or: [accept: 1]}}, {deny: {or: [reject: 1]}}]", ANN, POLICY_ALLOW, "accept",
     "reject"},
    {"[{allow: {or: [accept: 1]}}, {deny: {or: [accept: 1]}}]", ANN, POLICY_DENY, "accept",
     "accept"},
    /* A rule may have both actions. */
    {"{allow: {or: [accept: 1]}, deny: {or: [accept: 1]}}", ANN, POLICY_DENY, "accept", "accept"},
    /* and: true by all, their reasons; false by the false ones. */
    {"allow: {and: [email: ann@example.test, ssh_username: ann]}", ANN, POLICY_ALLOW,
     "email-ok ssh-username-ok", ""},
    {"allow: {and: [email: ann@example.test, ssh_username: bob, domain: x]}", ANN, POLICY_NO_MATCH,
     "domain-unauthorized ssh-username-unauthorized", ""},
    /* or: true by the true ones; false by all. */
    {"allow: {or: [email: bob@example.test, ssh_username: ann]}", ANN, POLICY_ALLOW,
     "ssh-username-ok", ""},
    {"allow: {or: [email: bob@example.test, ssh_username: bob]}", ANN, POLICY_NO_MATCH,
     "email-unauthorized ssh-username-unauthorized", ""},
    /* not: none; nor: not all; inversion keeps the reasons. */
    {"allow: {not: [email: bob@example.test, ssh_username: bob]}", ANN, POLICY_ALLOW,
     "email-unauthorized ssh-username-unauthorized", ""},
    {"allow: {not: [email: bob@example.test, ssh_username: ann]}", ANN, POLICY_NO_MATCH,
     "ssh-username-ok", ""},
    {"allow: {nor: [email: bob@example.test, ssh_username: ann]}", ANN, POLICY_ALLOW,
     "email-unauthorized", ""},
    {"allow: {nor: [email: ann@example.test, ssh_username: ann]}", ANN, POLICY_NO_MATCH,
     "email-ok ssh-username-ok", ""},
    /* Several operators, and several rules, are or'ed. */
    {"allow: {and: [ssh_username: bob], or: [email: ann@example.test]}", ANN, POLICY_ALLOW,
     "email-ok", ""},
    {"[{allow: {and: [ssh_username: bob]}}, {allow: {and: [domain: example.test]}}]", ANN,
     POLICY_ALLOW, "domain-ok", ""},
    {"[{allow: {and: [ssh_username: bob]}}, {allow: {and: [domain: x]}}]", ANN, POLICY_NO_MATCH,
     "domain-unauthorized ssh-username-unauthorized", ""},
    {"[{allow: {and: [accept: 1]}}, {deny: {and: [ssh_username: bob]}},"
     " {deny: {and: [ssh_username: ann]}}]",
     ANN, POLICY_DENY, "accept", "ssh-username-ok"},
    /* Nobody signed in: every side that depends on it leads to the login. */
    {"allow: {and: [email: ann@example.test]}", NOBODY, POLICY_LOGIN, "user-unauthenticated", ""},
    {"allow: {not: [email: ann@example.test]}", NOBODY, POLICY_LOGIN, "user-unauthenticated", ""},
    {"[{allow: {and: [accept: 1]}}, {deny: {not: [groups: ops]}}]", NOBODY, POLICY_LOGIN, "accept",
     "user-unauthenticated"},
    {"allow: {and: [email: x, source_ip: 10.0.0.0/8]}", NOBODY, POLICY_LOGIN,
     "user-unauthenticated source-ip-unauthorized", ""},
    /* A deny that is certain does not come before the login. */
    {"[{allow: {and: [user: x]}}, {deny: {or: [accept: 1]}}]", NOBODY, POLICY_LOGIN,
     "user-unauthenticated", "accept"},
    /* As text. */
    {"\"{\\\"allow\\\": {\\\"and\\\": [{\\\"email\\\": \\\"ann@example.test\\\"}]}}\"", ANN,
     POLICY_ALLOW, "email-ok", ""},
    {"|\n  - allow:\n      and:\n        - email:\n            is: ann@example.test\n", ANN,
     POLICY_ALLOW, "email-ok", ""},
};

static void test_logic(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(logic); i++)
        check_row(&logic[i]);
}

/* Criteria: each alone in an allow rule; `hit` is whether it allows Ann. */
static const struct {
    const char *criterion;
    enum who who;
    bool hit;
} criteria[] = {
    {"authenticated_user: 1", ANN, true},
    {"authenticated_user: false", ANN, true},
    {"user: local/ann@example.test", ANN, true},
    {"user: ann@example.test", ANN, false},
    {"email: ann@example.test", ANN, true},
    {"email: Ann@example.test", ANN, false},
    {"email: {is: ann@example.test}", ANN, true},
    {"email: {not: ann@example.test}", ANN, false},
    {"email: {not: bob@example.test}", ANN, true},
    {"email: {contains: '@example'}", ANN, true},
    {"email: {contains: '@sample'}", ANN, false},
    {"email: {starts_with: ann@}", ANN, true},
    {"email: {starts_with: nn@}", ANN, false},
    {"email: {ends_with: .test}", ANN, true},
    {"email: {ends_with: .tes}", ANN, false},
    {"email: {in: [a, ann@example.test]}", ANN, true},
    {"email: {in: []}", ANN, false},
    {"email: {not_in: [a, ann@example.test]}", ANN, false},
    {"email: {not_in: [a, b]}", ANN, true},
    {"email: {starts_with: ann, ends_with: .test}", ANN, true},
    {"email: {starts_with: ann, ends_with: .com}", ANN, false},
    {"domain: example.test", ANN, true},
    {"domain: {is: ann}", ANN, false},
    {"claim/kind: staff", ANN, true}, /* the user's claim hides the session's */
    {"claim/kind: dev", ANN, false},
    {"claim/a.b: x", ANN, true},
    {"claim/a/b: 5", ANN, true},
    {"claim/a/b: true", ANN, true},
    {"claim/a: x", ANN, false},
    {"claim/none: x", ANN, false},
    {"claim/none: {exclude: x}", ANN, true},
    {"claim/https://example.test/logins: root", ANN, true},
    {"groups: ops", ANN, true},
    {"groups: {has: ops}", ANN, true},
    {"groups: {is: ops}", ANN, false}, /* there are two */
    {"groups: {exclude: ops}", ANN, false},
    {"groups: {has: ops, exclude: admins}", ANN, true},
    {"groups: ops", ANN_IN_DIRECTORY, false},
    {"groups: admins", ANN_IN_DIRECTORY, true},
    {"groups: {is: admins}", ANN_IN_DIRECTORY, true},
    {"source_ip: 192.0.2.7", NOBODY, true},
    {"source_ip: 192.0.2.8", NOBODY, false},
    {"source_ip: [10.0.0.0/8, 192.0.2.0/24]", NOBODY, true},
    {"source_ip: ['::/0']", NOBODY, false},
    {"source_ip: '::ffff:192.0.2.0/120'", NOBODY, true},
    {"source_ip: 0.0.0.0/0", NOBODY, true},
    {"ssh_publickey: " KEY_A " ann@laptop", NOBODY, true},
    {"ssh_publickey: [" KEY_B ", " KEY_A "]", NOBODY, true},
    {"ssh_publickey: " KEY_B, NOBODY, false},
    {"ssh_publickey: |\n        # keys\n        " KEY_B "\n        " KEY_A "\n", NOBODY, true},
    {"ssh_ca: " KEY_A, NOBODY, false}, /* a plain key is nobody's certificate */
    {"ssh_username: ann", NOBODY, true},
    {"ssh_username: {in: [root]}", NOBODY, false},
    {"ssh_username_matches_email: 1", ANN, true},
    {"ssh_username_matches_claim: https://example.test/logins", ANN, true},
    {"ssh_username_matches_claim: groups", ANN, false},
    {"ssh_username_matches_claim: none", ANN, false},
};

static void test_criteria(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(criteria); i++) {
        AUTO_FREE char *yaml = mem_printf("allow:\n  and:\n    - %s\n", criteria[i].criterion);
        struct policy *p = compile_ok(yaml);
        struct facts f = facts_for(criteria[i].who);
        struct verdict v = policy_evaluate(p, &f);
        if (v.allow.hit != criteria[i].hit)
            fail_msg("%s gave %d", criteria[i].criterion, v.allow.hit);
        assert_false(v.deny.hit);
        policy_free(p);
    }
}

static void test_login_must_equal_local_part(void **state)
{
    (void)state;
    struct policy *p = compile_ok("allow: {and: [ssh_username_matches_email: 1]}");
    static const struct {
        const char *login;
        const char *email;
        bool hit;
    } rows[] = {
        {"ann", "ann@example.test", true},
        {"an", "ann@example.test", false},
        {"annx", "ann@example.test", false},
        {"", "@example.test", false},
        {"ann", "ann", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct facts f = facts_for(ANN);
        f.login = view_str(rows[i].login);
        f.email = view_str(rows[i].email);
        assert_int_equal(policy_evaluate(p, &f).allow.hit, rows[i].hit);
    }
    policy_free(p);
}

/* --- certificates --- */

static const struct view principals[] = {{(const uint8_t *)"root", 4}, {(const uint8_t *)"ann", 3}};

static struct facts_certificate certificate(void)
{
    return (struct facts_certificate){
        .is_user = true,
        .is_verified = true,
        .ca_key = blob_of(CA),
        .valid_after_s = 1000,
        .valid_before_s = 1001,
        .principals = principals,
        .principal_count = 2,
    };
}

static bool is_allowed(const struct policy *p, const struct facts_certificate *cert)
{
    struct facts f = facts_for(NOBODY);
    f.certificate = cert;
    return policy_evaluate(p, &f).allow.hit;
}

static void test_certificates(void **state)
{
    (void)state;
    struct policy *p = compile_ok("allow: {and: [ssh_ca: [" KEY_B ", " CA "]]}");
    struct facts_certificate good = certificate();
    assert_true(is_allowed(p, &good));
    struct facts_certificate c = good;
    c.is_user = false;
    assert_false(is_allowed(p, &c));
    c = good;
    c.is_verified = false;
    assert_false(is_allowed(p, &c));
    c = good;
    c.ca_key = blob_of(KEY_A);
    assert_false(is_allowed(p, &c));
    c = good;
    c.valid_after_s = 1001;
    assert_false(is_allowed(p, &c));
    c = good;
    c.valid_before_s = 1000; /* the first second that it is no longer good */
    assert_false(is_allowed(p, &c));
    c = good;
    c.principal_count = 1;
    assert_false(is_allowed(p, &c));
    c.principal_count = 0;
    assert_false(is_allowed(p, &c));
    policy_free(p);
}

static void test_critical_options(void **state)
{
    (void)state;
    struct policy *p = compile_ok("allow: {and: [ssh_ca: " CA "]}");
    static const struct {
        const char *name;
        const char *value;
        bool hit;
    } rows[] = {
        {"source-address", "192.0.2.7", true},
        {"source-address", "10.0.0.0/8,192.0.2.0/24", true},
        {"source-address", "10.0.0.0/8", false},
        {"source-address", "192.0.2.7,nonsense", false},
        {"source-address", "", false},
        {"force-command", "id", false},
        {"verify-required", "", false},
        {"made-up", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct facts_option option = {view_str(rows[i].name), view_str(rows[i].value)};
        struct facts_certificate c = certificate();
        c.critical = &option;
        c.critical_count = 1;
        if (is_allowed(p, &c) != rows[i].hit)
            fail_msg("%s=%s", rows[i].name, rows[i].value);
    }
    policy_free(p);
}

/* --- keys that the policy rules out before anybody signs in --- */

static void test_rules_out_key(void **state)
{
    (void)state;
    static const struct {
        const char *policy;
        bool ruled_out;
    } rows[] = {
        {"allow: {and: [email: x, ssh_publickey: " KEY_B "]}", true},
        {"allow: {and: [email: x, ssh_publickey: " KEY_A "]}", false},
        {"allow: {and: [ssh_publickey: " KEY_B "]}", true},
        {"allow: {or: [email: x, ssh_publickey: " KEY_B "]}", false},
        {"[{allow: {and: [email: x, ssh_publickey: " KEY_B "]}}, {allow: {and: [user: y]}}]",
         false},
        {"[{allow: {and: [email: x, ssh_publickey: " KEY_B "]}},"
         " {allow: {and: [user: y, ssh_ca: " CA "]}}]",
         true},
        {"allow: {not: [ssh_publickey: " KEY_A "]}", true},
        {"allow: {not: [ssh_publickey: " KEY_B ", email: x]}", false},
        {"allow: {nor: [ssh_publickey: " KEY_A ", email: x]}", false},
        {"[{allow: {and: [email: x]}}, {deny: {or: [ssh_publickey: " KEY_A "]}}]", true},
        {"[{allow: {and: [email: x]}}, {deny: {or: [ssh_publickey: " KEY_B "]}}]", false},
        /* Where and as whom is not the key's fault, nor is a policy that allows nobody. */
        {"allow: {and: [email: x, source_ip: 10.0.0.1, ssh_username: bob]}", false},
        {"[]", false},
        {"[{allow: {and: [ssh_publickey: " KEY_B "]}}, {deny: {or: [accept: 1]}}]", false},
        {"allow: {and: [reject: 1, ssh_publickey: " KEY_B "]}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = compile_ok(rows[i].policy);
        for (int who = NOBODY; who <= ANN; who++) {
            struct facts f = facts_for((enum who)who);
            if (policy_rules_out_key(p, &f) != rows[i].ruled_out)
                fail_msg("%s (who %d)", rows[i].policy, who);
        }
        policy_free(p);
    }
}

/* --- errors --- */

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *policy;
        const char *error;
    } rows[] = {
        {"5", "policy.yaml:1:1: policy: expected a rule or a list of rules, not a value"},
        {"[5]", "policy.yaml:1:2: policy: a rule is a map with allow or deny, not a value"},
        {"{}", "an empty one"},
        {"permit: {and: [accept: 1]}", "1:1: policy: unknown action \"permit\""},
        {"allow: [accept: 1]", "\"allow\" wants a map of and, or, not, nor, not a list"},
        {"allow: {}", "an empty one"},
        {"allow: {xor: [accept: 1]}", "1:9: policy: unknown operator \"xor\""},
        {"allow: {and: {accept: 1}}", "\"and\" wants a list of criteria, not a map"},
        {"allow: {and: []}", "an empty one"},
        {"allow: {and: [accept]}", "a criterion is a map with exactly one key"},
        {"allow: {and: [{accept: 1, reject: 1}]}", "a criterion is a map with exactly one key"},
        {"allow:\n  and:\n    - record: {is: x}\n",
         "policy.yaml:3:7: policy: unknown criterion \"record\""},
        {"allow: {and: [pomerium_routes: 1]}", "unknown criterion \"pomerium_routes\""},
        {"allow: {and: [email/x: y]}", "email takes no path"},
        {"allow: {and: [claim: y]}", "\"claim\" wants a path"},
        {"allow: {and: [claim/: y]}", "wants a path"},
        {"allow: {and: [email: {equals: y}]}", "unknown operator \"equals\"; known are is, not"},
        {"allow: {and: [email: {is: [y]}]}", "\"is\" wants a value, not a list"},
        {"allow: {and: [email: {in: y}]}", "\"in\" wants a list, not a value"},
        {"allow: {and: [email: {in: [[y]]}]}", "\"in\" wants a list of values"},
        {"allow: {and: [email: [y]]}", "expected a value or a map of operators"},
        {"allow: {and: [email: {}]}", "an empty map"},
        {"allow: {and: [email: null]}", "not nothing"},
        {"allow: {and: [groups: {contains: y}]}", "known are has, is, exclude"},
        {"allow: {and: [source_ip: 10.0.0.0/33]}", "expected an IP address or a network"},
        {"allow: {and: [source_ip: [10.0.0.300]]}", "expected an IP address or a network"},
        {"allow: {and: [source_ip: {is: 10.0.0.1}]}", "expected an IP address or a network"},
        {"allow: {and: [ssh_publickey: 5]}", "\"5\" is no public key type"},
        {"allow: {and: [ssh_publickey: '']}", "found none"},
        {"allow: {and: [ssh_publickey: ssh-ed25519 AAAA]}", "the public key is malformed"},
        {"allow: {and: [ssh_publickey: ssh-rsa "
         "AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB]}",
         "the public key is malformed"},
        {"allow: {and: [ssh_publickey: ssh-dss AAAA]}", "is no public key type"},
        {"allow: {and: [ssh_publickey: {is: x}]}", "expected a public key or a list"},
        {"allow: {and: [ssh_ca: ssh-ed25519-cert-v01@openssh.com AAAA]}",
         "expected the public key of a CA, not a certificate"},
        {"allow: {and: [ssh_username_matches_claim: [x]]}", "expected the name of a claim"},
        {"\"allow: {and: [nonsense: 1]}\"", "policy.yaml:1 (policy):1:15: policy: unknown crit"},
        {"\"allow: {and\"", "policy.yaml:1 (policy)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        struct policy *p = compile(rows[i].policy, &d);
        if (d.errors == 0 || !strstr(d.items[0].text, rows[i].error))
            fail_msg("%s: %s", rows[i].policy, d.errors ? d.items[0].text : "no error");
        diag_fini(&d);
        policy_free(p);
    }
}

/* All errors are told in one run. */
static void test_all_errors(void **state)
{
    (void)state;
    struct diag d = {0};
    policy_free(compile("- allow: {and: [x: 1, {y: 1}, email: {z: 1, in: 1}]}\n- no: 1\n", &d));
    assert_int_equal(d.errors, 5);
    diag_fini(&d);
}

/* --- route keys --- */

static struct config_item items[] = {{.text = "ann@example.test"}, {.text = "u2"}};
static struct config_item domains[] = {{.text = "example.test"}};

static void test_shorthand(void **state)
{
    (void)state;
    struct diag d = {0};
    struct facts f = facts_for(ANN);
    struct route none = {0};
    struct route by_user = {.allowed_users = {items, 2}};
    struct route by_domain = {.allowed_domains = {domains, 1}};
    struct route any = {.allow_any_authenticated_user = true};
    struct route public = {.allow_public_unauthenticated_access = true};
    struct tree *tree = NULL;
    CHECK_OK(tree_parse(view_str("{groups: [x, ops], kind: other}"), "f", &d, &tree));
    struct route by_claim = {.allowed_idp_claims = tree->root};
    const struct {
        const struct route *route;
        enum policy_outcome ann;
        enum policy_outcome nobody;
    } rows[] = {
        {&none, POLICY_NO_MATCH, POLICY_NO_MATCH}, {&by_user, POLICY_ALLOW, POLICY_LOGIN},
        {&by_domain, POLICY_ALLOW, POLICY_LOGIN},  {&any, POLICY_ALLOW, POLICY_LOGIN},
        {&public, POLICY_ALLOW, POLICY_ALLOW},     {&by_claim, POLICY_ALLOW, POLICY_LOGIN},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = policy_new();
        policy_add_route(p, rows[i].route, &d);
        assert_int_equal(d.errors, 0);
        f = facts_for(ANN);
        struct verdict v = policy_evaluate(p, &f);
        assert_int_equal(verdict_outcome(&v), rows[i].ann);
        f.email = VIEW("eve@other.test");
        f.user_id = VIEW("u2");
        v = policy_evaluate(p, &f);
        assert_int_equal(v.allow.hit, rows[i].route != &by_domain && rows[i].route != &none);
        f = facts_for(NOBODY);
        v = policy_evaluate(p, &f);
        assert_int_equal(verdict_outcome(&v), rows[i].nobody);
        policy_free(p);
    }
    tree_free(tree);
    diag_fini(&d);
}

/* The policy and the shorthand keys are or'ed; a deny of the policy wins over both. */
static void test_shorthand_with_policy(void **state)
{
    (void)state;
    struct diag d = {0};
    struct tree *tree = NULL;
    CHECK_OK(tree_parse(view_str("deny: {or: [ssh_username: root]}"), "f", &d, &tree));
    struct route route = {.allowed_domains = {domains, 1}, .policy = tree->root};
    struct policy *p = policy_new();
    policy_add_route(p, &route, &d);
    struct facts f = facts_for(ANN);
    struct verdict v = policy_evaluate(p, &f);
    assert_int_equal(verdict_outcome(&v), POLICY_ALLOW);
    f.login = VIEW("root");
    v = policy_evaluate(p, &f);
    assert_int_equal(verdict_outcome(&v), POLICY_DENY);
    policy_free(p);
    tree_free(tree);
    diag_fini(&d);
}

static void test_contradictions(void **state)
{
    (void)state;
    const struct route rows[] = {
        {.allow_public_unauthenticated_access = true, .allow_any_authenticated_user = true},
        {.allow_public_unauthenticated_access = true, .allowed_users = {items, 1}},
        {.allow_any_authenticated_user = true, .allowed_domains = {domains, 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        struct policy *p = policy_new();
        policy_add_route(p, &rows[i], &d);
        assert_int_equal(d.errors, 1);
        policy_free(p);
        diag_fini(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logic),
        cmocka_unit_test(test_criteria),
        cmocka_unit_test(test_login_must_equal_local_part),
        cmocka_unit_test(test_certificates),
        cmocka_unit_test(test_critical_options),
        cmocka_unit_test(test_rules_out_key),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_all_errors),
        cmocka_unit_test(test_shorthand),
        cmocka_unit_test(test_shorthand_with_policy),
        cmocka_unit_test(test_contradictions),
    };
    return RUN(tests);
}
