#include <openssl/bytestring.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>

#include "common/base/check.h"
#include "common/base/wire.h"
#include "common/crypto/pkey.h"

enum { PRIVATE_MAX = 32 * 1024 }; /* binary form of the largest RSA key and a comment */

enum err private_key_adopt(struct private_key *k, EVP_PKEY *pkey)
{
    struct private_key fresh = {0};
    AUTO(buf_fini) struct buf blob;
    buf_init(&blob, KEY_BLOB_MAX);
    enum err e = pkey_write_blob(pkey, &blob);
    if (e == OK)
        e = public_key_parse(&fresh.public, buf_view(&blob));
    if (e != OK) {
        EVP_PKEY_free(pkey);
        return pkey_failed(e);
    }
    fresh.pkey = pkey;
    *k = fresh;
    return OK;
}

void private_key_fini(struct private_key *k)
{
    public_key_fini(&k->public);
    EVP_PKEY_free(k->pkey); /* wipes: BoringSSL's allocator does on every free */
    *k = (struct private_key){0};
}

static enum err parse_rsa(struct view der, EVP_PKEY **out)
{
    AUTO(pkey_free_rsa) RSA *rsa = RSA_private_key_from_bytes(der.ptr, der.len);
    if (!rsa)
        return pkey_failed(ERR_SYNTAX);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_RSA(pkey, rsa));
    *out = pkey;
    return OK;
}

static enum err parse_sec1(struct view der, EVP_PKEY **out)
{
    CBS cbs;
    CBS_init(&cbs, der.ptr, der.len);
    AUTO(pkey_free_ec) EC_KEY *ec = EC_KEY_parse_private_key(&cbs, NULL);
    if (!ec || CBS_len(&cbs))
        return pkey_failed(ERR_SYNTAX);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_EC_KEY(pkey, ec));
    *out = pkey;
    return OK;
}

static enum err parse_pkcs8(struct view der, EVP_PKEY **out)
{
    CBS cbs;
    CBS_init(&cbs, der.ptr, der.len);
    AUTO(pkey_free) EVP_PKEY *pkey = EVP_parse_private_key(&cbs);
    if (!pkey || CBS_len(&cbs))
        return pkey_failed(ERR_SYNTAX);
    *out = pkey;
    pkey = NULL;
    return OK;
}

typedef enum err (*parse_fn)(struct view bytes, EVP_PKEY **out);

static const struct {
    const char *label;
    parse_fn parse;
} forms[] = {
    {"OPENSSH PRIVATE KEY", key_openssh_parse},
    {"RSA PRIVATE KEY", parse_rsa},
    {"EC PRIVATE KEY", parse_sec1},
    {"PRIVATE KEY", parse_pkcs8},
};

enum err private_key_parse(struct private_key *k, struct view text)
{
    struct view label;
    AUTO(buf_wipe) struct buf bytes;
    if (text.len > KEY_FILE_MAX)
        return ERR_LIMIT;
    buf_init(&bytes, KEY_FILE_MAX);
    TRY(key_pem_read(text, &label, &bytes));
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        EVP_PKEY *pkey = NULL;
        if (!view_eq_str(label, forms[i].label))
            continue;
        TRY(forms[i].parse(buf_view(&bytes), &pkey));
        return private_key_adopt(k, pkey);
    }
    return ERR_UNSUPPORTED;
}

static EVP_PKEY *generate_ed25519(const struct rng *rng)
{
    uint8_t seed[32];
    rng_fill(rng, seed, sizeof seed);
    EVP_PKEY *pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    CHECK(pkey);
    mem_wipe(seed, sizeof seed);
    return pkey;
}

static EVP_PKEY *generate_ecdsa(enum key_type type, const struct rng *rng)
{
    uint8_t secret[64];
    rng_fill(rng, secret, sizeof secret);
    EC_GROUP *group = EC_GROUP_new_by_curve_name(pkey_curve_nid(type));
    AUTO(pkey_free_ec) EC_KEY *ec = EC_KEY_derive_from_secret(group, secret, sizeof secret);
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(ec && pkey && EVP_PKEY_set1_EC_KEY(pkey, ec));
    EC_GROUP_free(group);
    mem_wipe(secret, sizeof secret);
    return pkey;
}

static int goes_on(int event, int n, BN_GENCB *cb)
{
    (void)event;
    (void)n;
    const atomic_bool *stop = cb->arg;
    return stop && atomic_load(stop) ? 0 : 1;
}

enum err private_key_generate_rsa(struct private_key *k, const atomic_bool *stop)
{
    AUTO(pkey_free_rsa) RSA *rsa = RSA_new();
    AUTO(pkey_free_bn) BIGNUM *e = BN_new();
    BN_GENCB cb;
    BN_GENCB_set(&cb, goes_on, (void *)(uintptr_t)stop);
    CHECK(rsa && e && BN_set_word(e, RSA_F4));
    if (!RSA_generate_key_ex(rsa, KEY_RSA_BITS, e, &cb)) {
        CHECK(stop && atomic_load(stop));
        return pkey_failed(ERR_CANCELLED);
    }
    EVP_PKEY *pkey = EVP_PKEY_new();
    CHECK(pkey && EVP_PKEY_set1_RSA(pkey, rsa));
    return private_key_adopt(k, pkey);
}

enum err private_key_generate(struct private_key *k, enum key_type type, const struct rng *rng)
{
    switch (type) {
    case KEY_ED25519:
        return private_key_adopt(k, generate_ed25519(rng));
    case KEY_ECDSA_P256:
    case KEY_ECDSA_P384:
    case KEY_ECDSA_P521:
        return private_key_adopt(k, generate_ecdsa(type, rng));
    case KEY_RSA:
        return private_key_generate_rsa(k, NULL);
    case KEY_SK_ED25519:
    case KEY_SK_ECDSA_P256:
    case KEY_TYPE_COUNT:
        break;
    }
    return ERR_UNSUPPORTED;
}

static void sign_ed25519(EVP_PKEY *pkey, struct view data, struct writer *w)
{
    uint8_t sig[64];
    size_t len = sizeof sig;
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    CHECK(EVP_DigestSignInit(&ctx, NULL, NULL, NULL, pkey) &&
          EVP_DigestSign(&ctx, sig, &len, data.ptr, data.len));
    EVP_MD_CTX_cleanup(&ctx);
    write_string(w, view_of(sig, len));
}

static enum err sign_rsa(EVP_PKEY *pkey, enum digest_alg hash, struct view data, struct writer *w)
{
    uint8_t md[DIGEST_MAX];
    uint8_t sig[KEY_RSA_BITS_MAX / 8];
    unsigned len = 0;
    digest(hash, data, md);
    if (!RSA_sign(EVP_MD_type(pkey_md(hash)), md, digest_len(hash), sig, &len,
                  EVP_PKEY_get0_RSA(pkey)))
        return pkey_failed(ERR_INTERNAL);
    write_string(w, view_of(sig, len));
    return OK;
}

static enum err sign_ecdsa(EVP_PKEY *pkey, enum digest_alg hash, struct view data, struct writer *w)
{
    uint8_t md[DIGEST_MAX];
    uint8_t r[66];
    uint8_t s[66];
    digest(hash, data, md);
    ECDSA_SIG *sig = ECDSA_do_sign(md, digest_len(hash), EVP_PKEY_get0_EC_KEY(pkey));
    if (!sig)
        return pkey_failed(ERR_INTERNAL);
    size_t r_len = BN_bn2bin(ECDSA_SIG_get0_r(sig), r);
    size_t s_len = BN_bn2bin(ECDSA_SIG_get0_s(sig), s);
    ECDSA_SIG_free(sig);
    size_t mark = write_begin(w);
    write_mpint(w, view_of(r, r_len));
    write_mpint(w, view_of(s, s_len));
    write_end(w, mark);
    return OK;
}

enum err private_key_sign(const struct private_key *k, struct view algorithm, struct view data,
                          struct buf *out)
{
    const struct key_alg *alg = key_alg_find(algorithm, NULL);
    if (!alg || alg->type != k->public.type)
        return ERR_UNSUPPORTED;
    AUTO(buf_fini) struct buf blob;
    buf_init(&blob, KEY_BLOB_MAX);
    struct writer w = writer_to(&blob);
    write_cstring(&w, alg->name);
    if (alg->type == KEY_ED25519)
        sign_ed25519(k->pkey, data, &w);
    else if (alg->type == KEY_RSA)
        TRY(sign_rsa(k->pkey, alg->hash, data, &w));
    else
        TRY(sign_ecdsa(k->pkey, alg->hash, data, &w));
    TRY(writer_done(&w));
    return buf_append(out, buf_view(&blob));
}

enum err private_key_write_openssh(const struct private_key *k, const char *comment,
                                   const struct rng *rng, struct buf *out)
{
    AUTO(buf_wipe) struct buf bytes;
    buf_init(&bytes, PRIVATE_MAX);
    TRY(pkey_reserve(&bytes, PRIVATE_MAX));
    TRY(key_openssh_write(k, comment, rng, &bytes));
    return key_pem_write("OPENSSH PRIVATE KEY", buf_view(&bytes), 70, out);
}

enum err private_key_write_pem(const struct private_key *k, struct buf *out)
{
    CBB cbb;
    uint8_t *der = NULL;
    size_t len = 0;
    CHECK(CBB_init(&cbb, 1024) && EVP_marshal_private_key(&cbb, k->pkey) &&
          CBB_finish(&cbb, &der, &len));
    enum err e = key_pem_write("PRIVATE KEY", view_of(der, len), 64, out);
    OPENSSL_free(der);
    return e;
}
