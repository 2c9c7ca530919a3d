#include "authorize/decide.h"

#include "authorize/who.h"
#include "common/base/mem.h"
#include "common/base/messages.h"

static void set(struct decision *out, enum decision_kind kind, enum decision_why why)
{
    out->kind = kind;
    out->why = why;
}

/* A deny that another key of the client could turn into an allow. */
static bool is_about_key(const struct verdict *v)
{
    struct reasons why = v->deny.hit ? v->deny.why : v->allow.why;
    return reasons_has(why, REASON_SSH_PUBLICKEY_UNAUTHORIZED);
}

/* The policy of out->route on `f`. False: the client's address cannot be read. */
static bool evaluate(const struct state *state, const struct ask *ask, uint64_t now_ms,
                     struct decision *out, struct facts *f)
{
    /* An address that cannot be read is in no network: a rule that denies one would not hit. */
    if (who_facts(state, ask, now_ms, out, f) != OK) {
        set(out, DECISION_DENY, WHY_SOURCE_UNREADABLE);
        return false;
    }
    out->verdict = policy_evaluate(out->route->policy, f);
    out->evaluated = true;
    return true;
}

/* --- ssh --- */

static void decide_on_route(const struct state *state, const struct ask *ask, uint64_t now_ms,
                            struct decision *out)
{
    struct facts f;
    if (!evaluate(state, ask, now_ms, out, &f))
        return;
    if (policy_rules_out_key(out->route->policy, &f)) {
        set(out, DECISION_TRY_NEXT_KEY, WHY_KEY_RULED_OUT);
        return;
    }
    /* A public route asks for a login on SSH all the same: the certificate names a person. */
    if (!out->session) {
        set(out, DECISION_LOGIN, out->who);
        return;
    }
    enum policy_outcome outcome = verdict_outcome(&out->verdict);
    if (outcome == POLICY_ALLOW)
        set(out, DECISION_ALLOW, WHY_ALLOWED);
    else if (is_about_key(&out->verdict))
        set(out, DECISION_TRY_NEXT_KEY, WHY_KEY_RULED_OUT);
    else
        set(out, DECISION_DENY, WHY_POLICY);
}

static void decide_ssh(const struct snapshot *snapshot, const struct state *state,
                       const struct ask *ask, uint64_t now_ms, struct decision *out)
{
    out->who = who_by_key(state, ask, now_ms, out);
    if (*ask->route == '\0') {
        out->shell = true;
        set(out, out->session ? DECISION_ALLOW : DECISION_LOGIN, out->who);
        return;
    }
    out->route = snapshot_route(snapshot, view_str(ask->route));
    if (out->route) {
        decide_on_route(state, ask, now_ms, out);
        return;
    }
    /* A stranger does not learn which routes there are, unless the configuration wants it. */
    if (out->session || snapshot->config->ssh_reveal_routes == SSH_REVEAL_ANYONE)
        set(out, DECISION_DENY, WHY_ROUTE_UNKNOWN);
    else
        set(out, DECISION_LOGIN, out->who);
}

/* --- tunnels --- */

static void decide_tunnel(const struct snapshot *snapshot, const struct state *state,
                          const struct ask *ask, uint64_t now_ms, struct decision *out)
{
    enum route_kind kind = ask->protocol == PROTOCOL_TCP ? ROUTE_TCP : ROUTE_UDP;
    struct facts f;
    out->who = who_by_token(snapshot, state, ask, now_ms, out);
    out->route = snapshot_tunnel(snapshot, kind, view_str(ask->route));
    /* For everybody, as Pomerium has it: who asks has named the destination himself. */
    if (!out->route) {
        set(out, DECISION_DENY, WHY_ROUTE_UNKNOWN);
        return;
    }
    if (!evaluate(state, ask, now_ms, out, &f))
        return;
    switch (verdict_outcome(&out->verdict)) {
    case POLICY_CLIENT_CERTIFICATE:
        set(out, DECISION_DENY, WHY_CLIENT_CERTIFICATE);
        break;
    case POLICY_LOGIN:
        set(out, DECISION_LOGIN, out->who);
        break;
    case POLICY_ALLOW:
        /* A public route needs nobody; a token that is no good is none there. */
        set(out, DECISION_ALLOW, WHY_ALLOWED);
        break;
    case POLICY_DENY:
    case POLICY_NO_MATCH:
        set(out, DECISION_DENY, WHY_POLICY);
        break;
    }
}

/* Who asks is all that counts: what the answer says is for whoever makes it. */
static void decide_http(const struct snapshot *snapshot, const struct state *state,
                        const struct ask *ask, uint64_t now_ms, struct decision *out)
{
    const char *path = ask->tunnel->path;
    out->who = who_by_token(snapshot, state, ask, now_ms, out);
    if (strcmp(path, DECIDE_PATH_HEALTH) != 0 && strcmp(path, DECIDE_PATH_ROUTES) != 0)
        set(out, DECISION_DENY, WHY_ROUTE_UNKNOWN);
    else
        set(out, out->user_id ? DECISION_ALLOW : DECISION_LOGIN, out->who);
}

void decide(const struct snapshot *snapshot, const struct state *state, const struct ask *ask,
            uint64_t now_ms, struct decision *out)
{
    *out = (struct decision){.email = "", .expires_ms = STATE_NEVER};
    switch (ask->protocol) {
    case PROTOCOL_SSH:
        decide_ssh(snapshot, state, ask, now_ms, out);
        break;
    case PROTOCOL_TCP:
    case PROTOCOL_UDP:
        decide_tunnel(snapshot, state, ask, now_ms, out);
        break;
    case PROTOCOL_HTTP:
        decide_http(snapshot, state, ask, now_ms, out);
        break;
    }
}

/* Of all but SSH, whose clients are told by an HTTP status too. */
static char *tunnel_sentence(const struct decision *d, const struct ask *ask)
{
    const char *who = *d->email ? d->email : d->user_id;
    const char *route = d->route ? d->route->route->name : ask->route;
    if (d->kind == DECISION_ALLOW)
        return mem_strdup("");
    if (d->kind == DECISION_LOGIN)
        return message_format(
            d->why == WHY_NO_TOKEN ? MESSAGE_TUNNEL_NO_TOKEN : MESSAGE_TUNNEL_TOKEN_INVALID, NULL);
    if (d->why == WHY_ROUTE_UNKNOWN)
        return message_format(MESSAGE_TUNNEL_ROUTE_UNKNOWN, ask->route, NULL);
    if (d->why == WHY_CLIENT_CERTIFICATE)
        return message_format(MESSAGE_TUNNEL_CLIENT_CERTIFICATE, route, NULL);
    return who ? message_format(MESSAGE_TUNNEL_DENIED, who, route, NULL)
               : message_format(MESSAGE_TUNNEL_DENIED_ANYBODY, route, NULL);
}

char *decision_sentence(const struct decision *d, const struct ask *ask)
{
    if (ask->protocol != PROTOCOL_SSH)
        return tunnel_sentence(d, ask);
    const char *route = d->route ? d->route->route->name : ask->route;
    if (d->kind == DECISION_ALLOW || d->kind == DECISION_LOGIN)
        return mem_strdup("");
    if (d->why == WHY_ROUTE_UNKNOWN)
        return message_format(MESSAGE_SSH_ROUTE_UNKNOWN, ask->route, NULL);
    if (d->why == WHY_KEY_RULED_OUT)
        return message_format(MESSAGE_SSH_KEY_RULED_OUT, route, ask->key->fingerprint, NULL);
    const char *who = *d->email ? d->email : d->user ? d->user->id : "nobody";
    return message_format(MESSAGE_SSH_DENIED, who, route, NULL);
}

static const enum message cut_messages[] = {
    [WHY_ALLOWED] = MESSAGE_CUT_POLICY,
    [WHY_ROUTE_UNKNOWN] = MESSAGE_CUT_ROUTE_GONE,
    [WHY_KEY_RULED_OUT] = MESSAGE_CUT_POLICY,
    [WHY_NOT_BOUND] = MESSAGE_CUT_BINDING_ENDED,
    [WHY_BINDING_EXPIRED] = MESSAGE_CUT_SESSION_EXPIRED,
    [WHY_SESSION_GONE] = MESSAGE_CUT_SESSION_ENDED,
    [WHY_SESSION_EXPIRED] = MESSAGE_CUT_SESSION_EXPIRED,
    [WHY_USER_GONE] = MESSAGE_CUT_USER_GONE,
    [WHY_SOURCE_UNREADABLE] = MESSAGE_CUT_POLICY,
    [WHY_POLICY] = MESSAGE_CUT_POLICY,
    [WHY_NO_TOKEN] = MESSAGE_CUT_POLICY,
    [WHY_TOKEN_INVALID] = MESSAGE_CUT_SESSION_ENDED,
    [WHY_TOKEN_EXPIRED] = MESSAGE_CUT_SESSION_EXPIRED,
    [WHY_ACCOUNT_EXPIRED] = MESSAGE_CUT_ACCOUNT_EXPIRED,
    [WHY_CLIENT_CERTIFICATE] = MESSAGE_CUT_POLICY,
};

char *decision_cut_sentence(const struct decision *d, const char *route)
{
    return message_format(cut_messages[d->why], route, NULL);
}

const char *decision_kind_name(enum decision_kind kind)
{
    static const char *const names[] = {
        [DECISION_DENY] = "deny",
        [DECISION_ALLOW] = "allow",
        [DECISION_LOGIN] = "login",
        [DECISION_TRY_NEXT_KEY] = "try-next-key",
    };
    return names[kind];
}

const char *decision_why_name(enum decision_why why)
{
    static const char *const names[] = {
        [WHY_ALLOWED] = "allowed",
        [WHY_ROUTE_UNKNOWN] = "route-not-found",
        [WHY_KEY_RULED_OUT] = "key-ruled-out",
        [WHY_NOT_BOUND] = "not-signed-in",
        [WHY_BINDING_EXPIRED] = "binding-expired",
        [WHY_SESSION_GONE] = "session-ended",
        [WHY_SESSION_EXPIRED] = "session-expired",
        [WHY_USER_GONE] = "user-gone",
        [WHY_SOURCE_UNREADABLE] = "source-unreadable",
        [WHY_POLICY] = "policy",
        [WHY_NO_TOKEN] = "no-token",
        [WHY_TOKEN_INVALID] = "token-invalid",
        [WHY_TOKEN_EXPIRED] = "token-expired",
        [WHY_ACCOUNT_EXPIRED] = "service-account-expired",
        [WHY_CLIENT_CERTIFICATE] = "client-certificate",
    };
    return names[why];
}
