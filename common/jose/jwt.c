#include "common/jose/jwt.h"

static enum err refuse(const char **out_why, enum err e, const char *why)
{
    if (out_why)
        *out_why = why;
    return e;
}

static const struct json *claim(const struct json *claims, const char *name)
{
    return json_member(claims, view_str(name));
}

/* NumericDate in seconds, perhaps with a fraction (RFC 7519 §2). False when it is no number. */
static bool read_time(const struct json *value, uint64_t *out_ms)
{
    int64_t s;
    if (json_i64(value, &s) != OK)
        return false;
    *out_ms = s < 0 ? 0 : s > INT64_MAX / 1000 ? (uint64_t)INT64_MAX : (uint64_t)s * 1000;
    return true;
}

static enum err check_exp(const struct json *claims, const struct jwt_expect *x, const char **why)
{
    const struct json *exp = claim(claims, "exp");
    uint64_t at;
    if (!exp)
        return x->need_exp ? refuse(why, ERR_MISMATCH, "no exp") : OK;
    if (!read_time(exp, &at))
        return refuse(why, ERR_SYNTAX, "exp is no number");
    /* RFC 7519 §4.1.4: on or after it the token is not accepted. */
    return x->now_ms >= at + x->leeway_ms ? refuse(why, ERR_EXPIRED, "exp is over") : OK;
}

static enum err check_past(const struct json *value, const struct jwt_expect *x, const char *type,
                           const char *future, const char **why)
{
    uint64_t at;
    if (!value)
        return OK;
    if (!read_time(value, &at))
        return refuse(why, ERR_SYNTAX, type);
    return x->now_ms + x->leeway_ms < at ? refuse(why, ERR_MISMATCH, future) : OK;
}

static enum err check_times(const struct json *claims, const struct jwt_expect *x, const char **why)
{
    TRY(check_exp(claims, x, why));
    TRY(check_past(claim(claims, "nbf"), x, "nbf is no number", "nbf is in the future", why));
    if (x->need_iat && !claim(claims, "iat"))
        return refuse(why, ERR_MISMATCH, "no iat");
    return check_past(claim(claims, "iat"), x, "iat is no number", "iat is in the future", why);
}

static bool has_audience(const struct json *aud, const char *audience)
{
    if (json_kind(aud) == JSON_KIND_STR)
        return view_eq_str(json_str(aud), audience);
    for (size_t i = 0; i < json_len(aud); i++) {
        if (view_eq_str(json_str(json_at(aud, i)), audience))
            return true;
    }
    return false;
}

static bool is_str(const struct json *claims, const char *name, const char *expected)
{
    struct view have = json_str(claim(claims, name));
    return have.ptr && view_eq_str(have, expected);
}

/* OIDC Core §3.1.3.7 items 2 to 5 and 11 */
enum err jwt_check(const struct json *claims, const struct jwt_expect *expect, const char **out_why)
{
    const struct jwt_expect *x = expect;
    const struct json *aud = claim(claims, "aud");
    if (json_kind(claims) != JSON_KIND_OBJECT)
        return refuse(out_why, ERR_SYNTAX, "the payload is no object");
    if (x->issuer && !is_str(claims, "iss", x->issuer))
        return refuse(out_why, ERR_MISMATCH, "iss is another issuer");
    if (x->audience && !has_audience(aud, x->audience))
        return refuse(out_why, ERR_MISMATCH, "aud does not have the client");
    if (x->azp && claim(claims, "azp") && !is_str(claims, "azp", x->azp))
        return refuse(out_why, ERR_MISMATCH, "azp is another client");
    if (x->azp && json_kind(aud) == JSON_KIND_ARRAY && json_len(aud) > 1 && !claim(claims, "azp"))
        return refuse(out_why, ERR_MISMATCH, "several aud and no azp");
    if (x->nonce && !is_str(claims, "nonce", x->nonce))
        return refuse(out_why, ERR_MISMATCH, "nonce is another one");
    if (x->need_sub && !json_str(claim(claims, "sub")).len)
        return refuse(out_why, ERR_MISMATCH, "no sub");
    return check_times(claims, x, out_why);
}

enum err jwt_claims(const struct jws *t, struct json **out)
{
    struct json *claims;
    TRY(json_parse(buf_view(&t->payload), &claims));
    if (json_kind(claims) != JSON_KIND_OBJECT) {
        json_free(claims);
        return ERR_SYNTAX;
    }
    *out = claims;
    return OK;
}
