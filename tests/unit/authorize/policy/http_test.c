/* Criteria on requests of the HTTPS listener: tables of policies and outcomes. */
#include "tests/support/test.h"

#include "authorize/policy/policy.h"
#include "common/base/check.h"

#define HASH_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HASH_A_COLONS                                                                              \
    "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:"                                             \
    "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA"
#define HASH_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define SPKI "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=" /* 32 times "A" */

static const char *const emails[] = {"ann@example.test", "a2@example.test"};
static const char *const dns[] = {"laptop.example.test"};
static const char *const uris[] = {"spiffe://example.test/ann"};
static uint8_t fingerprint[32];
static uint8_t spki[32];
static struct facts_client good;
static struct facts_client bad;

enum who { NOBODY, ANN, ROBOT, SSH, CERT, BAD_CERT, NOBODY_BAD_CERT };

static struct facts facts_for(enum who who)
{
    struct facts f = {.is_http = who != SSH, .now_s = 1000};
    CHECK_OK(ip_parse(VIEW("192.0.2.7"), &f.source));
    if (who == SSH)
        f.login = VIEW("ann");
    else
        f.method = VIEW("CONNECT");
    if (who == CERT)
        f.client = &good;
    if (who == BAD_CERT || who == NOBODY_BAD_CERT)
        f.client = &bad;
    if (who == NOBODY || who == NOBODY_BAD_CERT)
        return f;
    f.has_session = true;
    f.is_service_account = who == ROBOT;
    f.user_id = VIEW("u1");
    f.email = VIEW("ann@example.test");
    return f;
}

static void setup(void)
{
    memset(fingerprint, 0xaa, sizeof fingerprint);
    memset(spki, 'A', sizeof spki);
    good = (struct facts_client){
        .presented = true,
        .valid = true,
        .fingerprint = view_of(fingerprint, sizeof fingerprint),
        .spki_hash = view_of(spki, sizeof spki),
        .emails = {emails, ARRAY_LEN(emails)},
        .dns = {dns, ARRAY_LEN(dns)},
        .uris = {uris, ARRAY_LEN(uris)},
    };
    bad = good;
    bad.valid = false;
}

static struct policy *compile(const char *yaml, struct diag *d)
{
    struct policy *p = policy_new();
    struct tree *tree = NULL;
    CHECK_OK(tree_parse(view_str(yaml), "policy.yaml", d, &tree));
    policy_add(p, tree->root, "policy", d);
    tree_free(tree);
    return p;
}

struct row {
    const char *policy;
    enum who who;
    enum policy_outcome outcome;
    enum reason allow; /* REASON_COUNT: not looked at */
    enum reason deny;
};

#define ALLOW(c) "allow: {and: [" c "]}"
#define DENY(c) "[{allow: {or: [accept: 1]}}, {deny: {or: [" c "]}}]"
#define ANY REASON_COUNT

static const struct row rows[] = {
    /* Of the request. */
    {ALLOW("http_method: CONNECT"), NOBODY, POLICY_ALLOW, REASON_HTTP_METHOD_OK, ANY},
    {ALLOW("http_method: {in: [GET, POST]}"), NOBODY, POLICY_NO_MATCH,
     REASON_HTTP_METHOD_UNAUTHORIZED, ANY},
    {ALLOW("http_path: {is: ''}"), NOBODY, POLICY_ALLOW, REASON_HTTP_PATH_OK, ANY},
    {ALLOW("http_path: {starts_with: /x}"), ANN, POLICY_NO_MATCH, REASON_HTTP_PATH_UNAUTHORIZED,
     ANY},
    {ALLOW("cors_preflight: 1"), ANN, POLICY_NO_MATCH, REASON_NON_CORS_REQUEST, ANY},
    /* What one protocol has, the other has not, whatever the matcher. */
    {ALLOW("http_method: {not: GET}"), SSH, POLICY_NO_MATCH, REASON_HTTP_METHOD_UNAUTHORIZED, ANY},
    {ALLOW("ssh_username: {not: root}"), ANN, POLICY_NO_MATCH, REASON_SSH_USERNAME_UNAUTHORIZED,
     ANY},
    {ALLOW("ssh_username: {not: root}"), SSH, POLICY_ALLOW, REASON_SSH_USERNAME_OK, ANY},
    {ALLOW("ssh_username_matches_email: 1"), ANN, POLICY_NO_MATCH, REASON_SSH_USERNAME_UNAUTHORIZED,
     ANY},
    {DENY("ssh_username: {not: root}"), ANN, POLICY_ALLOW, ANY, REASON_SSH_USERNAME_UNAUTHORIZED},
    /* What kind of identity. */
    {ALLOW("identity: user"), ANN, POLICY_ALLOW, REASON_IDENTITY_OK, ANY},
    {ALLOW("identity: user"), SSH, POLICY_ALLOW, REASON_IDENTITY_OK, ANY},
    {ALLOW("identity: user"), ROBOT, POLICY_NO_MATCH, REASON_IDENTITY_UNAUTHORIZED, ANY},
    {ALLOW("identity: {is: service_account}"), ROBOT, POLICY_ALLOW, REASON_IDENTITY_OK, ANY},
    {ALLOW("identity: {not_in: [service_account]}"), ROBOT, POLICY_NO_MATCH,
     REASON_IDENTITY_UNAUTHORIZED, ANY},
    {ALLOW("identity: user"), NOBODY, POLICY_LOGIN, REASON_USER_UNAUTHENTICATED, ANY},
    {DENY("identity: service_account"), ROBOT, POLICY_DENY, ANY, REASON_IDENTITY_OK},
    /* Client certificates by what they are. */
    {ALLOW("client_certificate: {fingerprint: " HASH_A "}"), CERT, POLICY_ALLOW,
     REASON_CLIENT_CERTIFICATE_OK, ANY},
    {ALLOW("client_certificate: {fingerprint: '" HASH_A_COLONS "'}"), CERT, POLICY_ALLOW,
     REASON_CLIENT_CERTIFICATE_OK, ANY},
    {ALLOW("client_certificate: {fingerprint: [" HASH_B ", " HASH_A "]}"), CERT, POLICY_ALLOW,
     REASON_CLIENT_CERTIFICATE_OK, ANY},
    {ALLOW("client_certificate: {fingerprint: " HASH_B "}"), CERT, POLICY_NO_MATCH,
     REASON_CLIENT_CERTIFICATE_UNAUTHORIZED, ANY},
    {ALLOW("client_certificate: {spki_hash: " SPKI "}"), CERT, POLICY_ALLOW,
     REASON_CLIENT_CERTIFICATE_OK, ANY},
    {ALLOW("client_certificate: {spki_hash: " SPKI ", fingerprint: " HASH_B "}"), CERT,
     POLICY_NO_MATCH, REASON_CLIENT_CERTIFICATE_UNAUTHORIZED, ANY},
    {ALLOW("client_certificate: {san_email: a2@example.test}"), CERT, POLICY_ALLOW,
     REASON_CLIENT_CERTIFICATE_OK, ANY},
    {ALLOW("client_certificate: {san_email: eve@example.test}"), CERT, POLICY_NO_MATCH,
     REASON_CLIENT_CERTIFICATE_UNAUTHORIZED, ANY},
    {ALLOW("client_certificate: {san_dns: {ends_with: .example.test}, san_uri: {starts_with: "
           "'spiffe://'}}"),
     CERT, POLICY_ALLOW, REASON_CLIENT_CERTIFICATE_OK, ANY},
    /* One that downstream_mtls does not take says nothing, and neither does none. */
    {ALLOW("client_certificate: {fingerprint: " HASH_A "}"), BAD_CERT, POLICY_NO_MATCH,
     REASON_CLIENT_CERTIFICATE_UNAUTHORIZED, ANY},
    {ALLOW("client_certificate: {san_email: a2@example.test}"), ANN, POLICY_NO_MATCH,
     REASON_CLIENT_CERTIFICATE_UNAUTHORIZED, ANY},
    {ALLOW("client_certificate: {san_email: a2@example.test}"), SSH, POLICY_NO_MATCH,
     REASON_CLIENT_CERTIFICATE_UNAUTHORIZED, ANY},
    /* invalid_client_certificate; before the login, since no login would help. */
    {DENY("invalid_client_certificate: 1"), CERT, POLICY_ALLOW, ANY,
     REASON_VALID_CLIENT_CERTIFICATE},
    {DENY("invalid_client_certificate: 1"), ANN, POLICY_CLIENT_CERTIFICATE, ANY,
     REASON_CLIENT_CERTIFICATE_REQUIRED},
    {DENY("invalid_client_certificate: 1"), BAD_CERT, POLICY_CLIENT_CERTIFICATE, ANY,
     REASON_INVALID_CLIENT_CERTIFICATE},
    {"[{allow: {or: [authenticated_user: 1]}}, {deny: {or: [invalid_client_certificate: 1]}}]",
     NOBODY_BAD_CERT, POLICY_CLIENT_CERTIFICATE, REASON_USER_UNAUTHENTICATED,
     REASON_INVALID_CLIENT_CERTIFICATE},
    {ALLOW("invalid_client_certificate: 1"), ANN, POLICY_ALLOW, REASON_CLIENT_CERTIFICATE_REQUIRED,
     ANY},
};

static bool is_why(struct reasons why, enum reason r)
{
    return r == REASON_COUNT || why.bits == reasons_of(r).bits;
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diag d = {0};
        struct policy *p = compile(rows[i].policy, &d);
        if (d.errors)
            fail_msg("%s: %s", rows[i].policy, d.items[0].text);
        struct facts f = facts_for(rows[i].who);
        struct verdict v = policy_evaluate(p, &f);
        if (verdict_outcome(&v) != rows[i].outcome || !is_why(v.allow.why, rows[i].allow) ||
            !is_why(v.deny.why, rows[i].deny))
            fail_msg("%s (who %d): outcome %d, allow %llx, deny %llx", rows[i].policy, rows[i].who,
                     verdict_outcome(&v), (unsigned long long)v.allow.why.bits,
                     (unsigned long long)v.deny.why.bits);
        policy_free(p);
        diag_fini(&d);
    }
}

/* What downstream_mtls adds to each route. */
static void test_implicit_deny(void **state)
{
    (void)state;
    static const struct {
        enum who who;
        enum policy_outcome outcome;
    } outcomes[] = {{CERT, POLICY_ALLOW},
                    {BAD_CERT, POLICY_CLIENT_CERTIFICATE},
                    {ANN, POLICY_CLIENT_CERTIFICATE},
                    {NOBODY, POLICY_CLIENT_CERTIFICATE}};
    struct diag d = {0};
    struct policy *p = compile("allow: {or: [accept: 1]}", &d);
    policy_deny_invalid_client_certificate(p);
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        struct facts f = facts_for(outcomes[i].who);
        struct verdict v = policy_evaluate(p, &f);
        assert_int_equal(verdict_outcome(&v), outcomes[i].outcome);
    }
    policy_free(p);
    diag_fini(&d);
}

static void test_errors(void **state)
{
    (void)state;
    static const char *const errors[][2] = {
        {"client_certificate: x", "expected a map with some of fingerprint, spki_hash, san_email"},
        {"client_certificate: {}", "expected a map with some of"},
        {"client_certificate: {serial: 1}", "unknown part \"serial\" of client_certificate"},
        {"client_certificate: {fingerprint: []}", "an empty list would match every certificate"},
        {"client_certificate: {fingerprint: abc}", "expected the SHA-256 of a certificate"},
        {"client_certificate: {fingerprint: {is: x}}", "expected the SHA-256 of a certificate"},
        {"client_certificate: {fingerprint: 'AA:aa'}", "expected the SHA-256 of a certificate"},
        {"client_certificate: {spki_hash: QUFB}", "expected the SHA-256 of a public key in base64"},
        {"client_certificate: {san_dns: {has: x}}", "unknown operator \"has\""},
        {"device: {is: x}", "criterion \"device\" is not supported: there is no device identity"},
        {"identity: robot", "expected user or service_account"},
        {"identity: {not_in: [service-account]}", "expected user or service_account"},
        {"http_path/x: y", "http_path takes no path"},
    };
    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        struct diag d = {0};
        char yaml[300];
        (void)snprintf(yaml, sizeof yaml, "allow: {and: [{%s}]}", errors[i][0]);
        policy_free(compile(yaml, &d));
        if (d.errors != 1 || !strstr(d.items[0].text, errors[i][1]))
            fail_msg("%s: %zu errors, %s", errors[i][0], d.errors,
                     d.errors ? d.items[0].text : "none");
        diag_fini(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_implicit_deny),
        cmocka_unit_test(test_errors),
    };
    setup();
    return RUN(tests);
}
