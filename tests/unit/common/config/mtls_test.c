/* downstream_mtls. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "tests/unit/common/config/world.h"

static const struct pairs files[] = {
    {"ca.pem", "-----BEGIN CA\n"}, {"crl.pem", "-----BEGIN CRL\n"}, {0}};

static struct world load_mtls(enum config_service service, const char *parts)
{
    struct world w = {.files = files};
    AUTO_FREE char *yaml = mem_printf(MINIMAL "downstream_mtls: {%s}\n", parts);
    must_load(&w, service, yaml);
    return w;
}

static void expect_refused(const char *parts, const char *error)
{
    struct world w = {.files = files};
    AUTO_FREE char *yaml = mem_printf(MINIMAL "downstream_mtls: {%s}\n", parts);
    AUTO_FREE char *whole = mem_printf("p.yaml:8:%s", error);
    refused(&w, CONFIG_PROXY, yaml, whole);
}

static void test_all_parts(void **state)
{
    (void)state;
    struct world w =
        load_mtls(CONFIG_PROXY, "ca_file: ca.pem, crl_file: crl.pem, enforcement: "
                                "reject_connection, max_verify_depth: 0, match_subject_alt_names: "
                                "[{email: '.*@example[.]test'}, {user_principal_name: 'a|b'}]");
    const struct config_mtls *m = &w.c->downstream_mtls;
    assert_true(m->given);
    assert_string_equal((const char *)m->ca.text.data, "-----BEGIN CA\n");
    assert_string_equal((const char *)m->crl.text.data, "-----BEGIN CRL\n");
    assert_string_equal(m->crl.file, "crl.pem");
    assert_int_equal(m->enforcement, MTLS_REJECT_CONNECTION);
    assert_int_equal(m->max_verify_depth, 0);
    assert_int_equal(m->match_count, 2);
    assert_string_equal(m->matches[0].kind, "email");
    assert_string_equal(m->matches[0].pattern, ".*@example[.]test");
    assert_string_equal(m->matches[1].kind, "user_principal_name");
    assert_int_equal(w.c->files.count, 2);
    world_fini(&w);
}

static void test_defaults(void **state)
{
    (void)state;
    struct world w = {0};
    must_load(&w, CONFIG_PROXY, MINIMAL);
    assert_false(w.c->downstream_mtls.given);
    world_fini(&w);
    /* base64 of "-----BEGIN X-----", as Pomerium wants it. */
    w = load_mtls(CONFIG_PROXY, "ca: LS0tLS1CRUdJTiBYLS0tLS0=");
    assert_string_equal((const char *)w.c->downstream_mtls.ca.text.data, "-----BEGIN X-----\n");
    assert_int_equal(w.c->downstream_mtls.enforcement, MTLS_POLICY_WITH_DEFAULT_DENY);
    assert_int_equal(w.c->downstream_mtls.max_verify_depth, 1);
    world_fini(&w);
    w = load_mtls(CONFIG_PROXY, "");
    assert_false(w.c->downstream_mtls.given);
    world_fini(&w);
}

/* Only the proxy opens the files; authorize learns what follows for policies. */
static void test_readers(void **state)
{
    (void)state;
    struct world w = load_mtls(CONFIG_AUTHORIZE, "ca_file: elsewhere, enforcement: policy");
    assert_true(w.c->downstream_mtls.given);
    assert_int_equal(w.c->downstream_mtls.enforcement, MTLS_POLICY);
    assert_int_equal(w.opened.len, 0);
    world_fini(&w);
    w = load_mtls(CONFIG_DATABROKER, "ca_file: elsewhere");
    assert_false(w.c->downstream_mtls.given);
    assert_int_equal(w.opened.len, 0);
    world_fini(&w);
}

static void test_refusals(void **state)
{
    (void)state;
    static const char missing[] = "18: downstream_mtls: ca or ca_file is missing: whose "
                                  "certificates are good?";
    expect_refused("enforcement: policy", missing);
    expect_refused("crl_file: crl.pem", missing);
    expect_refused("ca_file: none", "28: downstream_mtls.ca_file: config: invalid downstream_mtls "
                                    "file none: No such file or directory");
    expect_refused("ca: Zm9v", "23: downstream_mtls.ca: expected PEM in base64");
    expect_refused("ca: [x]", "23: downstream_mtls.ca: expected PEM in base64, got a list");
    expect_refused("ca_file: ca.pem, enforcement: strict",
                   "49: downstream_mtls.enforcement: expected one of policy_with_default_deny, "
                   "policy, reject_connection");
    expect_refused("ca_file: ca.pem, max_verify_depth: -1",
                   "54: downstream_mtls.max_verify_depth: expected a number up to 100");
    expect_refused("ca_file: ca.pem, enforcment: policy",
                   "36: downstream_mtls: unknown key enforcment, did you mean enforcement?");
    struct world w = {0};
    refused(&w, CONFIG_PROXY, MINIMAL "downstream_mtls: yes\n",
            "p.yaml:8:18: downstream_mtls: expected a map such as {ca_file: FILE}, got \"yes\"");
    w.files = files;
    refused(&w, CONFIG_PROXY, MINIMAL "downstream_mtls: {ca_file: ca.pem}\ninsecure_server: true\n",
            "p.yaml:8:18: downstream_mtls: there are no client certificates on a listener without "
            "TLS (insecure_server)");
}

static void expect_bad_match(const char *match, const char *error)
{
    AUTO_FREE char *parts = mem_printf("ca_file: ca.pem, match_subject_alt_names: %s", match);
    expect_refused(parts, error);
}

static void test_matches(void **state)
{
    (void)state;
    static const char name[] = "downstream_mtls.match_subject_alt_names: ";
    static const struct {
        const char *match;
        unsigned column;
        const char *error;
    } rows[] = {
        {"{dns: x}", 61, "expected a list of at most 64 such as [{email: '.*@example[.]com'}]"},
        {"[x]", 62, "expected a map of one kind of name to an expression"},
        {"[{dns: x, uri: y}]", 62, "expected a map of one kind of name to an expression"},
        {"[{cn: x}]", 63,
         "unknown kind cn; known are dns, email, ip_address, uri, user_principal_name"},
        {"[{dns: 'a('}]", 68, "no POSIX extended regular expression: Unmatched ( or \\("},
        {"[{dns: '\\d+'}]", 68, "\\d is not known here: write [0-9]"},
        {"[{dns: 'x\\pL'}]", 68, "a \\ before this letter or digit is not known here"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_FREE char *error = mem_printf("%u: %s%s", rows[i].column, name, rows[i].error);
        expect_bad_match(rows[i].match, error);
    }
    struct world w = load_mtls(
        CONFIG_PROXY, "ca_file: ca.pem, match_subject_alt_names: [{uri: '\\w+\\.x\\\\d'}]");
    assert_int_equal(w.c->downstream_mtls.match_count, 1);
    world_fini(&w);
}

static void test_both_forms(void **state)
{
    (void)state;
    struct world w = {.files = files};
    warned(&w, CONFIG_PROXY, MINIMAL "downstream_mtls: {ca: Zm9v, ca_file: ca.pem}\n",
           "p.yaml:8:23: downstream_mtls.ca: ignored: ca_file is given too");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_parts), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_readers),   cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_matches),   cmocka_unit_test(test_both_forms),
    };
    return RUN(tests);
}
