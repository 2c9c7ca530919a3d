#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/http/form.h"
#include "common/jose/jws.h"
#include "common/jose/jwt.h"
#include "common/oidc/oidc_flow.h"

enum { OIDC_CREDENTIALS_MAX = 16384 };

/* RFC 6749 §2.3.1 with appendix B: both parts are form-encoded before base64. */
static enum err add_basic(struct oidc_flow *f)
{
    const struct oidc_provider *p = f->provider;
    AUTO(buf_wipe) struct buf plain;
    AUTO(buf_wipe) struct buf value;
    buf_init(&plain, OIDC_CREDENTIALS_MAX);
    buf_init(&value, OIDC_CREDENTIALS_MAX);
    TRY(form_encode(view_str(p->client_id), &plain));
    TRY(buf_append_u8(&plain, ':'));
    TRY(form_encode(secret_view(&p->client_secret), &plain));
    TRY(buf_append_str(&value, "Basic "));
    TRY(text_base64(buf_view(&plain), &value));
    return fields_add(&f->headers, VIEW("Authorization"), buf_view(&value));
}

static enum err add_client(struct oidc_flow *f)
{
    const struct oidc_provider *p = f->provider;
    if (p->client_secret.len && p->discovery.auth_basic)
        return add_basic(f);
    if (p->client_secret.len && !p->discovery.auth_post) {
        oidc_fail(f, ERR_UNSUPPORTED,
                  "the provider takes neither client_secret_basic nor client_secret_post");
        return ERR_UNSUPPORTED;
    }
    TRY(form_add(&f->body, "client_id", view_str(p->client_id)));
    if (!p->client_secret.len)
        return OK;
    return form_add(&f->body, "client_secret", secret_view(&p->client_secret));
}

enum err oidc_token_request(struct oidc_flow *f)
{
    const struct oidc_provider *p = f->provider;
    TRY(buf_append_str(&f->url, p->discovery.token_endpoint));
    TRY(buf_append_u8(&f->url, 0));
    TRY(fields_add_str(&f->headers, "Content-Type", "application/x-www-form-urlencoded"));
    TRY(fields_add_str(&f->headers, "Accept", "application/json"));
    if (f->kind == OIDC_FLOW_REFRESH) {
        TRY(form_add(&f->body, "grant_type", VIEW("refresh_token")));
        TRY(form_add(&f->body, "refresh_token", view_str(f->refresh_token)));
        return add_client(f);
    }
    TRY(form_add(&f->body, "grant_type", VIEW("authorization_code")));
    TRY(form_add(&f->body, "code", view_str(f->code)));
    TRY(form_add(&f->body, "redirect_uri", view_str(p->redirect_uri)));
    if (p->discovery.pkce_s256)
        TRY(form_add(&f->body, "code_verifier", view_str(f->login.verifier)));
    return add_client(f);
}

enum err oidc_userinfo_request(struct oidc_flow *f)
{
    AUTO(buf_wipe) struct buf value;
    buf_init(&value, FIELDS_BYTES_MAX);
    TRY(buf_append_str(&f->url, f->provider->discovery.userinfo_endpoint));
    TRY(buf_append_u8(&f->url, 0));
    TRY(buf_append_str(&value, "Bearer "));
    TRY(buf_append(&value, json_get_str(f->token, "access_token")));
    TRY(fields_add(&f->headers, VIEW("Authorization"), buf_view(&value)));
    return fields_add_str(&f->headers, "Accept", "application/json");
}

void oidc_provider_error(struct oidc_flow *f, struct view code, struct view description)
{
    static const struct {
        const char *code;
        enum err err;
    } rows[] = {
        {"access_denied", ERR_DENIED},        {"unauthorized_client", ERR_DENIED},
        {"login_required", ERR_DENIED},       {"consent_required", ERR_DENIED},
        {"interaction_required", ERR_DENIED}, {"account_selection_required", ERR_DENIED},
        {"server_error", ERR_UNAVAILABLE},    {"temporarily_unavailable", ERR_UNAVAILABLE},
    };
    enum err e = ERR_PROTOCOL;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (view_eq_str(code, rows[i].code))
            e = rows[i].err;
    }
    if (f->kind == OIDC_FLOW_REFRESH && view_eq_str(code, "invalid_grant"))
        e = ERR_DENIED;
    oidc_fail(f, e, "the provider says %.*s%s%.*s", VIEW_FMT(view_take(code, 100)),
              description.len ? ": " : "", VIEW_FMT(view_take(description, 500)));
}

static void token_error(struct oidc_flow *f, unsigned status, const struct json *root)
{
    struct view code = json_str(json_member(root, VIEW("error")));
    struct view description = json_str(json_member(root, VIEW("error_description")));
    enum err e = status >= 500 || status == 429 ? ERR_UNAVAILABLE : ERR_PROTOCOL;
    /* Some providers refuse a refresh token without the error code of RFC 6749 §5.2. */
    if (f->kind == OIDC_FLOW_REFRESH && status == 400)
        e = ERR_DENIED;
    if (code.len)
        oidc_provider_error(f, code, description);
    else
        oidc_fail(f, e, "the token endpoint answered %u", status);
}

void oidc_token_answer(struct oidc_flow *f, unsigned status, struct view body, uint64_t now_ms)
{
    AUTO(json_free_ptr) struct json *root = NULL;
    enum err e = json_parse(body, &root);
    struct view type = json_str(json_member(root, VIEW("token_type")));
    if (status != 200 || json_member(root, VIEW("error")))
        token_error(f, status, root);
    else if (e != OK)
        oidc_fail(f, ERR_SYNTAX, "the token endpoint's answer is no JSON");
    else if (!json_get_str(root, "access_token").len)
        oidc_fail(f, ERR_SYNTAX, "the token endpoint's answer has no access_token");
    else if (type.ptr && !view_eq_case(type, VIEW("Bearer")))
        oidc_fail(f, ERR_UNSUPPORTED, "the token endpoint's token_type is not Bearer");
    else if (f->kind == OIDC_FLOW_FINISH && !json_get_str(root, "id_token").len)
        oidc_fail(f, ERR_SYNTAX, "the token endpoint's answer has no id_token");
    if (f->err != OK)
        return;
    f->token = root;
    f->token_at = now_ms;
    root = NULL;
}

/* OIDC Core §3.1.3.8: the left half of the hash that the alg uses. */
static bool is_at_hash_right(const struct jws *t, const struct json *claims, struct view token)
{
    static const int hashes[JWA_ALG_COUNT] = {
        [JWA_RS256] = DIGEST_SHA256, [JWA_PS256] = DIGEST_SHA256, [JWA_ES256] = DIGEST_SHA256,
        [JWA_RS384] = DIGEST_SHA384, [JWA_ES384] = DIGEST_SHA384, [JWA_RS512] = DIGEST_SHA512,
        [JWA_ES512] = DIGEST_SHA512, [JWA_EDDSA] = DIGEST_SHA512,
    };
    const struct json *claim = json_member(claims, VIEW("at_hash"));
    uint8_t hash[DIGEST_MAX];
    AUTO(buf_fini) struct buf text;
    buf_init(&text, 2 * DIGEST_MAX);
    if (!claim)
        return true;
    enum digest_alg alg = (enum digest_alg)hashes[t->alg];
    digest(alg, token, hash);
    if (text_base64url(view_of(hash, digest_len(alg) / 2), &text) != OK)
        return false;
    return view_eq(json_str(claim), buf_view(&text));
}

static enum err check_claims(struct oidc_flow *f, const struct jws *t, const struct json *claims,
                             uint64_t now_ms, const char **out_why)
{
    const struct oidc_provider *p = f->provider;
    struct jwt_expect expect = {
        .issuer = p->discovery.issuer,
        .audience = p->client_id,
        .azp = p->client_id,
        .nonce = f->kind == OIDC_FLOW_FINISH ? f->login.nonce : NULL,
        .now_ms = now_ms,
        .leeway_ms = OIDC_LEEWAY_MS,
        .need_exp = true,
        .need_iat = true,
        .need_sub = true,
    };
    TRY(jwt_check(claims, &expect, out_why));
    if (!is_at_hash_right(t, claims, json_get_str(f->token, "access_token"))) {
        *out_why = "at_hash is not that of the access token";
        return ERR_MISMATCH;
    }
    /* OIDC Core §12.2 */
    if (f->subject && !view_eq_str(json_get_str(claims, "sub"), f->subject)) {
        *out_why = "sub is another person";
        return ERR_MISMATCH;
    }
    return OK;
}

enum err oidc_check_id_token(struct oidc_flow *f, uint64_t now_ms, const char **out_why)
{
    AUTO(jws_fini) struct jws t = {0};
    AUTO(json_free_ptr) struct json *claims = NULL;
    *out_why = "malformed, or signed in a way that is not accepted";
    TRY(jws_parse(json_get_str(f->token, "id_token"), &t));
    *out_why = "no key of the provider made its signature";
    TRY(jws_verify(&t, &f->provider->keys));
    *out_why = "the payload is no object";
    TRY(jwt_claims(&t, &claims));
    TRY(check_claims(f, &t, claims, now_ms, out_why));
    f->claims = claims;
    claims = NULL;
    return OK;
}

void oidc_userinfo_answer(struct oidc_flow *f, unsigned status, struct view body)
{
    AUTO(json_free_ptr) struct json *root = NULL;
    if (status != 200) {
        enum err e = status >= 500 || status == 429 ? ERR_UNAVAILABLE : ERR_PROTOCOL;
        if (f->kind == OIDC_FLOW_REFRESH && (status == 401 || status == 403))
            e = ERR_DENIED;
        oidc_fail(f, e, "userinfo answered %u", status);
        return;
    }
    if (json_parse(body, &root) != OK) {
        oidc_fail(f, ERR_SYNTAX, "userinfo's answer is no JSON");
        return;
    }
    /* OIDC Core §5.3.2: sub is there and the same. */
    struct view expected = f->claims ? json_get_str(f->claims, "sub") : view_str(f->subject);
    struct view sub = json_str(json_member(root, VIEW("sub")));
    if (!sub.len || !view_eq(sub, expected)) {
        oidc_fail(f, ERR_MISMATCH, "userinfo is about another sub");
        return;
    }
    f->userinfo = root;
    root = NULL;
}

/* What the id_token alone may say. */
static bool is_token_claim(struct view name)
{
    static const char *const names[] = {"iss",    "sub", "aud", "exp",       "nbf",
                                        "iat",    "jti", "azp", "auth_time", "at_hash",
                                        "c_hash", "acr", "amr", "nonce"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (view_eq_str(name, names[i]))
            return true;
    }
    return false;
}

static enum err merge(struct oidc_flow *f)
{
    f->tree = f->claims ? json_clone(f->claims) : json_new_object();
    if (!f->claims)
        TRY(json_set_str(f->tree, "sub", view_str(f->subject)));
    for (struct json_iter i = json_iter(f->userinfo); json_next(&i);) {
        if (!is_token_claim(i.name))
            TRY(json_set_copy(f->tree, (const char *)i.name.ptr, i.value));
    }
    return claims_flatten(f->tree, &f->flat);
}

/* Some providers send numbers and bools as strings. */
static uint64_t read_seconds(const struct json *value)
{
    int64_t s;
    uint64_t n;
    if (json_i64(value, &s) == OK && s > 0 && s < INT64_MAX / 2000)
        return (uint64_t)s;
    return text_u64(json_str(value), INT64_MAX / 2000, &n) == OK ? n : 0;
}

static bool is_true(const struct json *value)
{
    return json_bool(value, false) || view_eq_case(json_str(value), VIEW("true"));
}

static const char *or_empty(struct view v)
{
    return v.ptr ? (const char *)v.ptr : "";
}

enum err oidc_finish_result(struct oidc_flow *f)
{
    TRY(merge(f));
    const char *email = claims_first(&f->flat, "email");
    const char *refresh = or_empty(json_get_str(f->token, "refresh_token"));
    uint64_t lifetime = read_seconds(json_member(f->token, VIEW("expires_in")));
    f->result = (struct oidc_result){
        .subject = claims_first(&f->flat, "sub"),
        .email = email[0] ? email : claims_first(&f->flat, "mail"),
        .name = claims_first(&f->flat, "name"),
        .email_verified = is_true(json_member(f->tree, VIEW("email_verified"))),
        .claims = &f->flat,
        .tree = f->tree,
        .partial = f->partial,
        .access_token = or_empty(json_get_str(f->token, "access_token")),
        .refresh_token = refresh[0] || !f->refresh_token ? refresh : f->refresh_token,
        .id_token = or_empty(json_get_str(f->token, "id_token")),
        .token_type = "Bearer",
        .access_expires_at = lifetime ? f->token_at + lifetime * 1000 : 0,
        .id_expires_at = read_seconds(json_member(f->claims, VIEW("exp"))) * 1000,
    };
    return OK;
}
