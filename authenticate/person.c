#include "authenticate/person.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/jose/jwt.h"

/* The payload of a token that was verified when it came, and kept sealed since. */
static enum err old_claims(const struct tokens *old, struct json **out)
{
    AUTO(jws_fini) struct jws t = {0};
    TRY(jws_parse(view_str(old->id_token), &t));
    return jwt_claims(&t, out);
}

static enum err merge(const struct oidc_result *r, const struct tokens *old, struct json **out)
{
    if (r->id_token[0] || !old || !old->id_token[0]) {
        *out = json_clone(r->tree);
        return OK;
    }
    TRY(old_claims(old, out));
    for (struct json_iter i = json_iter(r->tree); json_next(&i);)
        TRY(json_set_copy(*out, (const char *)i.name.ptr, i.value));
    return OK;
}

enum err person_claims(const struct oidc_result *r, const struct tokens *old, struct claims *out)
{
    AUTO(json_free_ptr) struct json *tree = NULL;
    TRY(merge(r, old, &tree));
    if (!json_member(tree, VIEW("email")) && r->email[0])
        TRY(json_set_str(tree, "email", view_str(r->email)));
    return claims_flatten(tree, out);
}

/* RFC 7519 §4.1, OIDC Core §2 and §3.3.2.11: these are another one's in each token. */
static bool is_of_token(const char *name)
{
    static const char *const names[] = {"iat",    "exp",    "nbf",   "jti",       "at_hash",
                                        "c_hash", "s_hash", "nonce", "auth_time", "rat"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

static bool same_values(const struct claim *a, const struct claim *b)
{
    if (!b || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->values[i], b->values[i]) != 0)
            return false;
    }
    return true;
}

static bool has_all(const struct claims *a, const struct claims *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct claim *c = &a->items[i];
        if (!is_of_token(c->name) && !same_values(c, claims_get(b, c->name)))
            return false;
    }
    return true;
}

bool person_differs(const struct claims *a, const struct claims *b)
{
    return !has_all(a, b) || !has_all(b, a);
}
