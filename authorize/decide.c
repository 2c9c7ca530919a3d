#include "authorize/decide.h"

#include "common/base/mem.h"
#include "common/base/messages.h"

/* Who the key is bound to, as far as that is still good. */
static enum decision_why resolve(const struct state *state, const char *key, uint64_t now_ms,
                                 struct decision *out)
{
    const struct binding *b = state_binding(state, key);
    if (!b || strcmp(b->protocol, "ssh") != 0)
        return WHY_NOT_BOUND;
    if (b->expires_ms <= now_ms)
        return WHY_BINDING_EXPIRED;
    const struct session *s = state_session(state, b->session_id);
    if (!s)
        return WHY_SESSION_GONE;
    if (s->expires_ms <= now_ms)
        return WHY_SESSION_EXPIRED;
    const struct user *u = state_user(state, s->user_id);
    if (!u || strcmp(b->user_id, s->user_id) != 0)
        return WHY_USER_GONE;
    const struct directory_user *dir = state_directory(state, u->id);
    out->binding = b;
    out->session = s;
    out->user = u;
    out->email = dir && *dir->email ? dir->email : u->email;
    out->expires_ms = b->expires_ms < s->expires_ms ? b->expires_ms : s->expires_ms;
    return WHY_ALLOWED;
}

static struct facts facts_of(const struct state *state, const struct ask *ask,
                             const struct ip *source, uint64_t now_ms, const struct decision *who)
{
    struct facts f = {
        .login = view_str(ask->login),
        .key = buf_view(&ask->key->blob),
        .certificate = ask->key->is_certificate ? &ask->key->facts : NULL,
        .source = *source,
        .now_s = now_ms / 1000,
    };
    if (!who->session)
        return f;
    const struct directory_user *dir = state_directory(state, who->user->id);
    f.has_session = true;
    f.user_id = view_str(who->user->id);
    f.email = view_str(who->email);
    f.user_claims = who->user->claims;
    f.session_claims = who->session->claims;
    if (dir) {
        f.has_directory = true;
        f.directory_groups = dir->groups;
        f.directory_group_count = dir->group_count;
    }
    return f;
}

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

static void decide_on_route(const struct state *state, const struct ask *ask, uint64_t now_ms,
                            enum decision_why who, struct decision *out)
{
    const struct policy *policy = out->route->policy;
    struct ip source;
    /* An address that cannot be read is in no network: a rule that denies one would not hit. */
    if (ip_parse_zoned(view_str(ask->source), &source) != OK) {
        set(out, DECISION_DENY, WHY_SOURCE_UNREADABLE);
        return;
    }
    struct facts f = facts_of(state, ask, &source, now_ms, out);
    out->verdict = policy_evaluate(policy, &f);
    out->evaluated = true;
    if (policy_rules_out_key(policy, &f)) {
        set(out, DECISION_TRY_NEXT_KEY, WHY_KEY_RULED_OUT);
        return;
    }
    /* A public route asks for a login on SSH all the same: the certificate names a person. */
    if (!out->session) {
        set(out, DECISION_LOGIN, who);
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

void decide(const struct snapshot *snapshot, const struct state *state, const struct ask *ask,
            uint64_t now_ms, struct decision *out)
{
    *out = (struct decision){.email = "", .expires_ms = STATE_NEVER};
    enum decision_why who = resolve(state, ask->key->binding, now_ms, out);
    if (*ask->route == '\0') {
        out->shell = true;
        set(out, out->session ? DECISION_ALLOW : DECISION_LOGIN, who);
        return;
    }
    out->route = snapshot_route(snapshot, view_str(ask->route));
    if (out->route) {
        decide_on_route(state, ask, now_ms, who, out);
        return;
    }
    /* A stranger does not learn which routes there are, unless the configuration wants it. */
    if (out->session || snapshot->config->ssh_reveal_routes == SSH_REVEAL_ANYONE)
        set(out, DECISION_DENY, WHY_ROUTE_UNKNOWN);
    else
        set(out, DECISION_LOGIN, who);
}

char *decision_sentence(const struct decision *d, const struct ask *ask)
{
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
    };
    return names[why];
}
