#include "common/jose/jws.h"

#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"

enum { JWS_HMAC_SECRET_MIN = 32 };

void jws_fini(struct jws *t)
{
    json_free(t->header);
    buf_wipe(&t->covered);
    buf_wipe(&t->payload);
    buf_wipe(&t->signature);
    *t = (struct jws){0};
}

/* RFC 7515 §4.1 */
static enum err parse_header(struct view text, struct jws *t)
{
    AUTO(buf_fini) struct buf decoded;
    buf_init(&decoded, JWS_MAX);
    TRY(text_unbase64url(text, &decoded));
    TRY(json_parse(buf_view(&decoded), &t->header));
    struct view alg = json_str(json_member(t->header, VIEW("alg")));
    if (json_kind(t->header) != JSON_KIND_OBJECT || !alg.ptr)
        return ERR_SYNTAX;
    /* RFC 7515 §4.1.11: no extension is understood. */
    if (json_member(t->header, VIEW("crit")))
        return ERR_UNSUPPORTED;
    t->kid = json_str(json_member(t->header, VIEW("kid")));
    t->is_hs256 = view_eq_str(alg, "HS256");
    return t->is_hs256 ? OK : jwa_find(alg, &t->alg);
}

static enum err parse(struct view token, struct jws *t)
{
    struct view rest = token;
    struct view header;
    struct view payload;
    struct view signature;
    if (!view_next(&rest, '.', &header) || !view_next(&rest, '.', &payload) ||
        !view_next(&rest, '.', &signature) || rest.ptr)
        return ERR_SYNTAX;
    TRY(parse_header(header, t));
    TRY(buf_append(&t->covered, view_take(token, header.len + 1 + payload.len)));
    TRY(text_unbase64url(payload, &t->payload));
    return text_unbase64url(signature, &t->signature);
}

enum err jws_parse(struct view token, struct jws *out)
{
    AUTO(jws_fini) struct jws t = {0};
    if (token.len > JWS_MAX)
        return ERR_LIMIT;
    buf_init(&t.covered, JWS_MAX);
    buf_init(&t.payload, JWS_MAX);
    buf_init(&t.signature, JWS_MAX);
    TRY(parse(token, &t));
    *out = t;
    t = (struct jws){0};
    return OK;
}

enum err jws_verify(const struct jws *t, const struct jwk_set *keys)
{
    enum err e = ERR_NOT_FOUND;
    if (t->is_hs256)
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < keys->count; i++) {
        const struct jwk *k = &keys->items[i];
        if (t->kid.ptr && k->kid[0] && !view_eq_str(t->kid, k->kid))
            continue;
        e = ERR_VERIFY;
        if (k->alg[0] && !view_eq_str(view_str(k->alg), jwa_name(t->alg)))
            continue;
        if (jwa_verify(&k->key, t->alg, buf_view(&t->covered), buf_view(&t->signature)) == OK)
            return OK;
    }
    return e;
}

enum err jws_verify_hs256(const struct jws *t, struct view secret)
{
    uint8_t mac[DIGEST_MAX];
    if (!t->is_hs256)
        return ERR_UNSUPPORTED;
    if (secret.len < JWS_HMAC_SECRET_MIN)
        return ERR_RANGE;
    digest_hmac(DIGEST_SHA256, secret, buf_view(&t->covered), mac);
    bool same = secret_equal(view_of(mac, DIGEST_SHA256_LEN), buf_view(&t->signature));
    mem_wipe(mac, sizeof mac);
    return same ? OK : ERR_VERIFY;
}

static enum err write_header(const char *typ, const char *kid, struct buf *out)
{
    AUTO(json_free_ptr) struct json *header = json_new_object();
    AUTO(buf_fini) struct buf text;
    buf_init(&text, JWS_MAX);
    TRY(json_set_str(header, "alg", VIEW("HS256")));
    if (kid)
        TRY(json_set_str(header, "kid", view_str(kid)));
    TRY(json_set_str(header, "typ", view_str(typ)));
    TRY(json_write(header, JSON_ORDER_SORTED, &text));
    return text_base64url(buf_view(&text), out);
}

enum err jws_sign_hs256(struct view payload, const char *typ, const char *kid, struct view secret,
                        struct buf *out)
{
    uint8_t mac[DIGEST_MAX];
    AUTO(buf_wipe) struct buf token;
    buf_init(&token, JWS_MAX);
    if (secret.len < JWS_HMAC_SECRET_MIN)
        return ERR_RANGE;
    TRY(write_header(typ, kid, &token));
    TRY(buf_append_u8(&token, '.'));
    TRY(text_base64url(payload, &token));
    digest_hmac(DIGEST_SHA256, secret, buf_view(&token), mac);
    TRY(buf_append_u8(&token, '.'));
    TRY(text_base64url(view_of(mac, DIGEST_SHA256_LEN), &token));
    return buf_append(out, buf_view(&token));
}
