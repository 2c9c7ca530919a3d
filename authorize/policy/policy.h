/*
 * Policies in PPL, Pomerium's policy language: compiled once when the configuration is read,
 * evaluated without allocation on facts.
 *
 *   policy    := rule | [rule …] | a string that holds one of them as YAML or JSON
 *   rule      := {allow: condition} and/or {deny: condition}
 *   condition := {and|or|not|nor: [criterion …]}, several operators are or'ed
 *   criterion := {NAME or NAME/PATH: data}
 *
 * and = all, or = any, not = none, nor = not all. Rules of one action are or'ed. Any deny wins;
 * neither allow nor deny is no. A compiled policy never changes and may be read by any thread.
 */
#ifndef AUTHORIZE_POLICY_POLICY_H
#define AUTHORIZE_POLICY_POLICY_H

#include "authorize/policy/facts.h"
#include "authorize/policy/reason.h"
#include "common/base/diag.h"
#include "common/config/routes.h"
#include "common/config/tree.h"

struct policy;
struct zones;

/* Allows nobody until something is added. */
struct policy *policy_new(void);
void policy_free(struct policy *p);

/* Where time zones of what is added later come from; outlives the policy. Without it UTC alone. */
void policy_use_zones(struct policy *p, struct zones *zones);

/*
 * Adds the rules written at `ppl`. All errors of it go to `d`, located in the file; `key` is what
 * they name. After an error the policy is not to be used.
 */
void policy_add(struct policy *p, const struct node *ppl, const char *key, struct diag *d);

/*
 * All that a route says about who may pass: its `policy` and the shorthand keys, which are one
 * allow/or rule. Contradictions between the shorthand keys are errors.
 */
void policy_add_route(struct policy *p, const struct route *route, struct diag *d);

/* What downstream_mtls demands of every request unless it leaves that to the policies. */
void policy_deny_invalid_client_certificate(struct policy *p);

/* One side of a decision: allow or deny. `why` has the reasons for how it came out. */
struct verdict_side {
    bool hit;
    struct reasons why;
};

struct verdict {
    struct verdict_side allow;
    struct verdict_side deny;
};

struct verdict policy_evaluate(const struct policy *p, const struct facts *f);

/*
 * When the verdict may change though no fact does: seconds since 1970, later than `now_s`;
 * UINT64_MAX: never.
 */
uint64_t policy_next_edge(const struct policy *p, uint64_t now_s);

enum policy_outcome {
    POLICY_CLIENT_CERTIFICATE, /* a deny rule, for want of a good client certificate */
    POLICY_LOGIN,              /* a side depends on who it is, and nobody is signed in */
    POLICY_DENY,               /* a deny rule */
    POLICY_ALLOW,
    POLICY_NO_MATCH, /* no rule allows it */
};

/* Decision order: client certificate before login before deny before allow. */
enum policy_outcome verdict_outcome(const struct verdict *v);

/*
 * True when the offered key alone makes an allow impossible, whoever its owner is and wherever he
 * comes from: then the client should try its next key, and nobody is sent to a browser for this
 * one. False where the policy would not allow anybody with any key.
 */
bool policy_rules_out_key(const struct policy *p, const struct facts *f);

/* Could this person be let in by SSH from this address, with some login name and some key? */
bool policy_may_allow_login(const struct policy *p, const struct facts *f);

#endif
