#include "authorize/token.h"

#include "common/base/mem.h"
#include "common/jose/jws.h"
#include "common/jose/jwt.h"
#include "common/json/json.h"

void token_fini(struct token *t)
{
    mem_free(t->id);
    mem_free(t->user_id);
    *t = (struct token){0};
}

static enum err check_signature(const struct jws *t, const struct token_secrets *secrets)
{
    enum err e = jws_verify_hs256(t, secrets->now);
    if (e != OK && secrets->previous.len > 0)
        e = jws_verify_hs256(t, secrets->previous);
    return e;
}

/* A claim that has to be there: printable and not too long, since it names a record and is logged.
 */
static enum err read_name(const struct json *claims, const char *name, size_t max, struct view *out)
{
    struct view v = json_str(json_member(claims, view_str(name)));
    if (v.len == 0 || v.len > max)
        return ERR_SYNTAX;
    for (size_t i = 0; i < v.len; i++) {
        if (v.ptr[i] < ' ' || v.ptr[i] == 0x7f)
            return ERR_SYNTAX;
    }
    *out = v;
    return OK;
}

/* jwt_check has seen that it is a number in the future, where it is there. */
static uint64_t read_end(const struct json *claims)
{
    int64_t s;
    if (json_i64(json_member(claims, VIEW("exp")), &s) != OK)
        return TOKEN_NEVER;
    if (s < 0)
        return 0;
    return (uint64_t)s > TOKEN_NEVER / 1000 ? TOKEN_NEVER : (uint64_t)s * 1000;
}

static enum err check_times(const struct json *claims, uint64_t now_ms)
{
    const struct jwt_expect past = {.now_ms = now_ms, .leeway_ms = TOKEN_LEEWAY_MS};
    uint64_t end = read_end(claims);
    TRY(jwt_check(claims, &past, NULL));
    return end <= now_ms ? ERR_EXPIRED : OK;
}

enum err token_verify(struct view text, const struct token_secrets *secrets, uint64_t now_ms,
                      struct token *out)
{
    AUTO(jws_fini) struct jws t = {0};
    AUTO(json_free_ptr) struct json *claims = NULL;
    struct view id;
    struct view user;
    if (text.len > TOKEN_MAX)
        return ERR_LIMIT;
    TRY(jws_parse(text, &t));
    TRY(check_signature(&t, secrets));
    TRY(jwt_claims(&t, &claims));
    TRY(read_name(claims, "jti", TOKEN_ID_MAX, &id));
    TRY(read_name(claims, "sub", TOKEN_USER_MAX, &user));
    TRY(check_times(claims, now_ms));
    *out = (struct token){
        .id = mem_strndup(id.ptr, id.len),
        .user_id = mem_strndup(user.ptr, user.len),
        .expires_ms = read_end(claims),
    };
    return OK;
}
