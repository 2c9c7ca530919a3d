#include "authorize/who.h"

#include "authorize/token.h"
#include "common/base/mem.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void take_person(const struct state *state, const char *user_id, const struct user *user,
                        struct decision *out)
{
    const struct directory_user *dir = state_directory(state, user_id);
    out->user = user;
    out->user_id = user_id;
    out->email = dir && *dir->email ? dir->email : user ? user->email : "";
}

enum decision_why who_by_key(const struct state *state, const struct ask *ask, uint64_t now_ms,
                             struct decision *out)
{
    const struct binding *b = state_binding(state, ask->key->binding);
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
    out->binding = b;
    out->session = s;
    out->expires_ms = earlier(b->expires_ms, s->expires_ms);
    take_person(state, u->id, u, out);
    return WHY_ALLOWED;
}

static enum decision_why by_session(const struct state *state, const struct session *s,
                                    const struct token *t, uint64_t now_ms, struct decision *out)
{
    if (strcmp(s->user_id, t->user_id) != 0)
        return WHY_TOKEN_INVALID;
    if (s->expires_ms <= now_ms)
        return WHY_SESSION_EXPIRED;
    const struct user *u = state_user(state, s->user_id);
    if (!u)
        return WHY_USER_GONE;
    out->session = s;
    out->expires_ms = earlier(s->expires_ms, t->expires_ms);
    take_person(state, u->id, u, out);
    return WHY_ALLOWED;
}

/* Its user need not have a record: it may be a name that was made up for a program. */
static enum decision_why by_account(const struct state *state, const struct service_account *a,
                                    const struct token *t, uint64_t now_ms, struct decision *out)
{
    if (strcmp(a->user_id, t->user_id) != 0)
        return WHY_TOKEN_INVALID;
    if (a->expires_ms <= now_ms)
        return WHY_ACCOUNT_EXPIRED;
    out->account = a;
    out->expires_ms = earlier(a->expires_ms, t->expires_ms);
    take_person(state, a->user_id, state_user(state, a->user_id), out);
    return WHY_ALLOWED;
}

enum decision_why who_by_token(const struct snapshot *snapshot, const struct state *state,
                               const struct ask *ask, uint64_t now_ms, struct decision *out)
{
    const struct token_secrets secrets = {
        secret_view(&snapshot->config->shared_secret),
        secret_view(&snapshot->config->shared_secret_previous),
    };
    AUTO(token_fini) struct token t = {0};
    if (ask->tunnel->token.len == 0)
        return WHY_NO_TOKEN;
    enum err e = token_verify(secret_view(&ask->tunnel->token), &secrets, now_ms, &t);
    if (e != OK)
        return e == ERR_EXPIRED ? WHY_TOKEN_EXPIRED : WHY_TOKEN_INVALID;
    const struct session *s = state_session(state, t.id);
    if (s)
        return by_session(state, s, &t, now_ms, out);
    const struct service_account *a = state_service_account(state, t.id);
    return a ? by_account(state, a, &t, now_ms, out) : WHY_SESSION_GONE;
}

static void add_ssh(const struct ask *ask, struct facts *f)
{
    f->login = view_str(ask->login);
    f->key = buf_view(&ask->key->blob);
    f->certificate = ask->key->is_certificate ? &ask->key->facts : NULL;
}

static void add_request(const struct ask *ask, struct facts *f)
{
    f->is_http = true;
    f->method = view_str(ask->tunnel->method);
    f->path = view_str(ask->tunnel->path);
    f->client = ask->tunnel->client.presented ? &ask->tunnel->client : NULL;
}

static void add_person(const struct state *state, const struct decision *who, struct facts *f)
{
    const struct directory_user *dir = state_directory(state, who->user_id);
    f->has_session = true;
    f->is_service_account = who->account != NULL;
    f->user_id = view_str(who->user_id);
    f->email = view_str(who->email);
    if (who->user)
        f->user_claims = who->user->claims;
    if (who->session)
        f->session_claims = who->session->claims;
    if (dir) {
        f->has_directory = true;
        f->directory_groups = dir->groups;
        f->directory_group_count = dir->group_count;
    }
}

enum err who_facts(const struct state *state, const struct ask *ask, uint64_t now_ms,
                   const struct decision *who, struct facts *out)
{
    struct facts f = {.now_s = now_ms / 1000};
    TRY(ip_parse_zoned(view_str(ask->source), &f.source));
    if (ask->protocol == PROTOCOL_SSH)
        add_ssh(ask, &f);
    else
        add_request(ask, &f);
    if (who->user_id)
        add_person(state, who, &f);
    *out = f;
    return OK;
}
