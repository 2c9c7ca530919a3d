#include "common/crypto/scrypt.h"

#include <openssl/evp.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"
#include "common/crypto/pkey.h"

enum { SALT_LEN = 16, HASH_LEN = 32, SALT_MAX = 64, HASH_MAX = 64, HASH_MIN = 32 };

/* OWASP's equivalent of N = 2^17, p = 1 at a quarter of its memory: 32 MiB. */
static const struct scrypt_params standard = {.ln = 15, .r = 8, .p = 3};

struct parsed {
    struct scrypt_params params;
    uint8_t salt[SALT_MAX];
    size_t salt_len;
    uint8_t hash[HASH_MAX];
    size_t hash_len;
};

static enum err check_params(const struct scrypt_params *p)
{
    if (p->ln < 1 || p->ln > SCRYPT_LN_MAX || p->p < 1 || p->p > SCRYPT_P_MAX || p->r < 1 ||
        p->r > SCRYPT_R_MAX)
        return ERR_RANGE;
    return ((uint64_t)128 * p->r) << p->ln > SCRYPT_MEMORY_MAX ? ERR_RANGE : OK;
}

enum err scrypt_raw(const struct scrypt_params *params, struct view password, struct view salt,
                    uint8_t *out, size_t out_len)
{
    /* BoringSSL counts the blocks and two scratch blocks too. */
    uint64_t memory = SCRYPT_MEMORY_MAX + (uint64_t)128 * params->r * (params->p + 2) + 4096;
    TRY(check_params(params));
    if (out_len == 0 || out_len > HASH_MAX || password.len > SCRYPT_PASSWORD_MAX)
        return ERR_RANGE;
    const char *text = password.len ? (const char *)password.ptr : "";
    if (!EVP_PBE_scrypt(text, password.len, salt.ptr, salt.len, (uint64_t)1 << params->ln,
                        params->r, params->p, memory, out, out_len))
        return pkey_failed(ERR_RANGE);
    return OK;
}

/* "ln=15" -> 15. */
static enum err parse_number(struct view part, const char *name, uint64_t max, uint64_t *out)
{
    struct view prefix = view_str(name);
    if (!view_starts_with(part, prefix))
        return ERR_SYNTAX;
    return text_u64(view_skip(part, prefix.len), max, out);
}

static enum err parse_params(struct view text, struct scrypt_params *out)
{
    struct view ln, r, p;
    uint64_t ln_value, r_value, p_value;
    if (!view_next(&text, ',', &ln) || !view_next(&text, ',', &r) || !view_next(&text, ',', &p) ||
        text.ptr)
        return ERR_SYNTAX;
    TRY(parse_number(ln, "ln=", SCRYPT_LN_MAX, &ln_value));
    TRY(parse_number(r, "r=", SCRYPT_R_MAX, &r_value));
    TRY(parse_number(p, "p=", SCRYPT_P_MAX, &p_value));
    *out = (struct scrypt_params){(unsigned)ln_value, (uint32_t)r_value, (uint32_t)p_value};
    return check_params(out);
}

/* Base64 whose padding is left off. */
static enum err parse_base64(struct view text, uint8_t *out, size_t max, size_t *out_len)
{
    AUTO(buf_fini) struct buf padded;
    AUTO(buf_fini) struct buf bytes;
    buf_init(&padded, 2 * HASH_MAX);
    buf_init(&bytes, max);
    if (text.len == 0 || text.len > 2 * max || memchr(text.ptr, '=', text.len))
        return ERR_SYNTAX;
    TRY(buf_append(&padded, text));
    while (padded.len % 4)
        TRY(buf_append_u8(&padded, '='));
    if (text_unbase64(buf_view(&padded), &bytes) != OK)
        return ERR_SYNTAX;
    memcpy(out, buf_ptr(&bytes), bytes.len);
    *out_len = bytes.len;
    return OK;
}

static enum err parse(struct view text, struct parsed *out)
{
    struct view empty, name, params, salt, hash;
    struct parsed p = {0};
    if (!view_next(&text, '$', &empty) || !view_next(&text, '$', &name) ||
        !view_next(&text, '$', &params) || !view_next(&text, '$', &salt) ||
        !view_next(&text, '$', &hash) || text.ptr)
        return ERR_SYNTAX;
    if (empty.len || !view_eq_str(name, "scrypt"))
        return ERR_SYNTAX;
    TRY(parse_params(params, &p.params));
    TRY(parse_base64(salt, p.salt, sizeof p.salt, &p.salt_len));
    TRY(parse_base64(hash, p.hash, sizeof p.hash, &p.hash_len));
    /* The beginning of a hash is a shorter hash of the same password: none is cut off unseen. */
    if (p.hash_len < HASH_MIN)
        return ERR_RANGE;
    *out = p;
    return OK;
}

enum err scrypt_hash(struct view password, const struct rng *rng, struct buf *out)
{
    uint8_t salt[SALT_LEN];
    uint8_t hash[HASH_LEN];
    if (password.len > SCRYPT_PASSWORD_MAX)
        return ERR_LIMIT;
    rng_fill(rng, salt, sizeof salt);
    TRY(scrypt_raw(&standard, password, view_of(salt, sizeof salt), hash, sizeof hash));
    TRY(buf_printf(out, "$scrypt$ln=%u,r=%u,p=%u$", standard.ln, standard.r, standard.p));
    TRY(text_base64_raw(view_of(salt, sizeof salt), out));
    TRY(buf_append_u8(out, '$'));
    return text_base64_raw(view_of(hash, sizeof hash), out);
}

enum err scrypt_verify(struct view password, struct view hash)
{
    struct parsed p;
    uint8_t derived[HASH_MAX];
    TRY(parse(hash, &p));
    if (password.len > SCRYPT_PASSWORD_MAX)
        return ERR_VERIFY;
    TRY(scrypt_raw(&p.params, password, view_of(p.salt, p.salt_len), derived, p.hash_len));
    bool same = secret_equal(view_of(derived, p.hash_len), view_of(p.hash, p.hash_len));
    mem_wipe(derived, sizeof derived);
    return same ? OK : ERR_VERIFY;
}

enum err scrypt_verify_nobody(struct view password)
{
    static const uint8_t salt[SALT_LEN] = "nobody lives her";
    uint8_t derived[HASH_LEN];
    if (password.len > SCRYPT_PASSWORD_MAX)
        return ERR_VERIFY;
    TRY(scrypt_raw(&standard, password, view_of(salt, sizeof salt), derived, sizeof derived));
    mem_wipe(derived, sizeof derived);
    return ERR_VERIFY;
}

enum err scrypt_check(struct view hash)
{
    struct parsed p;
    return parse(hash, &p);
}
