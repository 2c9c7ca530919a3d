/* A policy out of a file: parsed, compiled, evaluated with and without a session. */
#include <stdint.h>

#include "authorize/policy/policy.h"
#include "common/base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const values[] = {"ops", "ann"};
static const struct claim claims[] = {{"groups", values, 2}, {"a.b", values, 1}};
static const struct view principals[] = {{(const uint8_t *)"ann", 3}};

/* The same person at the HTTPS listener, with and without a certificate. */
static void evaluate_request(struct policy *p, struct facts f)
{
    const struct facts_client client = {.presented = true,
                                        .valid = true,
                                        .fingerprint = VIEW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                        .spki_hash = VIEW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
                                        .emails = {values, 2},
                                        .dns = {values, 1}};
    f.is_http = true;
    f.method = VIEW("CONNECT");
    struct verdict v = policy_evaluate(p, &f);
    CHECK(verdict_outcome(&v) != POLICY_LOGIN);
    policy_deny_invalid_client_certificate(p);
    v = policy_evaluate(p, &f);
    CHECK(verdict_outcome(&v) == POLICY_CLIENT_CERTIFICATE);
    f.client = &client;
    v = policy_evaluate(p, &f);
    CHECK(verdict_outcome(&v) != POLICY_LOGIN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct diag d = {0};
    struct tree *tree = NULL;
    if (tree_parse(view_of(data, size), "fuzz", &d, &tree) == OK) {
        struct policy *p = policy_new();
        policy_add(p, tree->root, "policy", &d);
        tree_free(tree);
        struct facts_certificate cert = {
            .is_user = true,
            .is_verified = true,
            .valid_before_s = 2,
            .principals = principals,
            .principal_count = 1,
        };
        struct facts f = {
            .source = {4, {192, 0, 2, 1}},
            .login = VIEW("ann"),
            .certificate = &cert,
            .now_s = 1,
        };
        struct verdict v = policy_evaluate(p, &f);
        /* Who must sign in is not decided; a key that is ruled out allows nobody. */
        if (policy_rules_out_key(p, &f))
            CHECK(!v.allow.hit || v.deny.hit);
        f.has_session = true;
        f.email = VIEW("ann@example.test");
        f.session_claims = (struct claims){claims, 2};
        v = policy_evaluate(p, &f);
        CHECK(verdict_outcome(&v) != POLICY_LOGIN);
        if (policy_rules_out_key(p, &f))
            CHECK(!v.allow.hit || v.deny.hit);
        CHECK(policy_next_edge(p, f.now_s) > f.now_s);
        evaluate_request(p, f);
        policy_free(p);
    }
    diag_fini(&d);
    return 0;
}
