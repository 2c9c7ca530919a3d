#include "common/jose/jwk.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { JWK_PARAMETER_MAX = 4096 };

void jwk_fini(struct jwk *k)
{
    mem_free(k->kid);
    mem_free(k->alg);
    jwa_key_fini(&k->key);
    *k = (struct jwk){0};
}

void jwk_set_fini(struct jwk_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        jwk_fini(&set->items[i]);
    mem_free(set->items);
    *set = (struct jwk_set){0};
}

/* A base64url parameter, in its own buffer. */
static enum err read_parameter(const struct json *value, const char *name, struct buf *out)
{
    struct view text = json_str(json_member(value, view_str(name)));
    buf_init(out, JWK_PARAMETER_MAX);
    if (!text.len)
        return ERR_SYNTAX;
    return text_unbase64url(text, out);
}

static enum err parse_rsa(const struct json *value, struct jwa_key *out)
{
    AUTO(buf_fini) struct buf n = {0};
    AUTO(buf_fini) struct buf e = {0};
    TRY(read_parameter(value, "n", &n));
    TRY(read_parameter(value, "e", &e));
    return jwa_key_rsa(out, buf_view(&n), buf_view(&e));
}

static enum err parse_ec(const struct json *value, struct jwa_key *out)
{
    AUTO(buf_fini) struct buf x = {0};
    AUTO(buf_fini) struct buf y = {0};
    TRY(read_parameter(value, "x", &x));
    TRY(read_parameter(value, "y", &y));
    struct view curve = json_str(json_member(value, VIEW("crv")));
    return jwa_key_ec(out, curve, buf_view(&x), buf_view(&y));
}

static enum err parse_okp(const struct json *value, struct jwa_key *out)
{
    AUTO(buf_fini) struct buf x = {0};
    if (!view_eq_str(json_str(json_member(value, VIEW("crv"))), "Ed25519"))
        return ERR_UNSUPPORTED;
    TRY(read_parameter(value, "x", &x));
    return jwa_key_ed25519(out, buf_view(&x));
}

/* RFC 7517 §4.2, §4.3 */
static bool is_for_signatures(const struct json *value)
{
    struct view use = json_str(json_member(value, VIEW("use")));
    const struct json *ops = json_member(value, VIEW("key_ops"));
    if (use.ptr && !view_eq_str(use, "sig"))
        return false;
    for (size_t i = 0; i < json_len(ops); i++) {
        if (view_eq_str(json_str(json_at(ops, i)), "verify"))
            return true;
    }
    return !ops;
}

static const struct {
    const char *kty;
    enum err (*parse)(const struct json *, struct jwa_key *);
} types[] = {{"RSA", parse_rsa}, {"EC", parse_ec}, {"OKP", parse_okp}};

enum err jwk_parse(const struct json *value, struct jwk *out)
{
    struct view kty = json_str(json_member(value, VIEW("kty")));
    struct jwa_key key = {0};
    if (!is_for_signatures(value))
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!view_eq_str(kty, types[i].kty))
            continue;
        if (types[i].parse(value, &key) != OK)
            return ERR_UNSUPPORTED;
        struct view kid = json_str(json_member(value, VIEW("kid")));
        struct view alg = json_str(json_member(value, VIEW("alg")));
        *out = (struct jwk){
            .kid = mem_strndup(kid.ptr, kid.len), .alg = mem_strndup(alg.ptr, alg.len), .key = key};
        return OK;
    }
    return ERR_UNSUPPORTED;
}

enum err jwk_set_parse(struct view text, struct jwk_set *out)
{
    AUTO(json_free_ptr) struct json *root = NULL;
    struct jwk_set set = {0};
    if (text.len > JWK_SET_MAX)
        return ERR_LIMIT;
    TRY(json_parse(text, &root));
    const struct json *keys = json_member(root, VIEW("keys"));
    if (json_kind(keys) != JSON_KIND_ARRAY)
        return ERR_SYNTAX;
    if (json_len(keys) > JWK_COUNT_MAX)
        return ERR_LIMIT;
    set.items = mem_zalloc_array(json_len(keys), sizeof *set.items);
    for (size_t i = 0; i < json_len(keys); i++) {
        if (jwk_parse(json_at(keys, i), &set.items[set.count]) == OK)
            set.count++;
    }
    jwk_set_fini(out);
    *out = set;
    return OK;
}
