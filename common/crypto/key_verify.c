/* Signature blobs: RFC 4253 §6.6 (general form), RFC 5656 §3.1.2, RFC 8332 §3, RFC 8709 §6. */
#include <openssl/ecdsa.h>

#include "common/base/check.h"
#include "common/base/wire.h"
#include "common/crypto/pkey.h"

enum { SK_USER_PRESENT = 0x01, ED25519_SIGNATURE_LEN = 64 };

static void free_sig(ECDSA_SIG **p)
{
    ECDSA_SIG_free(*p);
}

static enum err verify_ed25519(EVP_PKEY *pkey, struct view data, struct view signature)
{
    bool ok = false;
    if (signature.len != ED25519_SIGNATURE_LEN)
        return ERR_SYNTAX;
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    ok = EVP_DigestVerifyInit(&ctx, NULL, NULL, NULL, pkey) &&
         EVP_DigestVerify(&ctx, signature.ptr, signature.len, data.ptr, data.len);
    EVP_MD_CTX_cleanup(&ctx);
    return ok ? OK : pkey_failed(ERR_VERIFY);
}

static enum err verify_rsa(EVP_PKEY *pkey, enum digest_alg hash, struct view data,
                           struct view signature)
{
    uint8_t md[DIGEST_MAX];
    uint8_t padded[KEY_RSA_BITS_MAX / 8] = {0};
    RSA *rsa = EVP_PKEY_get0_RSA(pkey);
    size_t size = RSA_size(rsa);
    if (signature.len == 0 || signature.len > size)
        return ERR_SYNTAX;
    /* Some signers drop leading zero bytes; OpenSSH puts them back as well. */
    memcpy(padded + (size - signature.len), signature.ptr, signature.len);
    digest(hash, data, md);
    if (!RSA_verify(EVP_MD_type(pkey_md(hash)), md, digest_len(hash), padded, size, rsa))
        return pkey_failed(ERR_VERIFY);
    return OK;
}

static enum err verify_ecdsa(EVP_PKEY *pkey, enum digest_alg hash, struct view data,
                             struct view signature)
{
    uint8_t md[DIGEST_MAX];
    struct reader reader = reader_of(signature);
    struct view r = read_mpint(&reader);
    struct view s = read_mpint(&reader);
    TRY(reader_done(&reader));
    if (r.len == 0 || s.len == 0 || r.len > 66 || s.len > 66)
        return ERR_SYNTAX;
    AUTO(free_sig) ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *bn_r = BN_bin2bn(r.ptr, r.len, NULL);
    BIGNUM *bn_s = BN_bin2bn(s.ptr, s.len, NULL);
    CHECK(sig && bn_r && bn_s && ECDSA_SIG_set0(sig, bn_r, bn_s));
    digest(hash, data, md);
    if (!ECDSA_do_verify(md, digest_len(hash), sig, EVP_PKEY_get0_EC_KEY(pkey)))
        return pkey_failed(ERR_VERIFY);
    return OK;
}

/* PROTOCOL.u2f, SSH U2F signatures: what the token has signed. */
static void sk_message(struct view application, uint8_t flags, uint32_t counter, struct view data,
                       uint8_t out[2 * DIGEST_SHA256_LEN + 5])
{
    digest(DIGEST_SHA256, application, out);
    out[DIGEST_SHA256_LEN] = flags;
    store_u32(out + DIGEST_SHA256_LEN + 1, counter);
    digest(DIGEST_SHA256, data, out + DIGEST_SHA256_LEN + 5);
}

static enum err verify_by_type(enum key_type type, EVP_PKEY *pkey, enum digest_alg hash,
                               struct view data, struct view signature)
{
    switch (type) {
    case KEY_ED25519:
    case KEY_SK_ED25519:
        return verify_ed25519(pkey, data, signature);
    case KEY_ECDSA_P256:
    case KEY_ECDSA_P384:
    case KEY_ECDSA_P521:
    case KEY_SK_ECDSA_P256:
        return verify_ecdsa(pkey, hash, data, signature);
    case KEY_RSA:
        return verify_rsa(pkey, hash, data, signature);
    case KEY_TYPE_COUNT:
        break;
    }
    return ERR_UNSUPPORTED;
}

enum err public_key_verify(const struct public_key *k, struct view algorithm, struct view data,
                           struct view signature)
{
    const struct key_alg *alg = key_alg_find(algorithm, NULL);
    if (!alg || alg->type != k->type)
        return ERR_UNSUPPORTED;
    bool is_sk = k->type == KEY_SK_ED25519 || k->type == KEY_SK_ECDSA_P256;
    uint8_t message[2 * DIGEST_SHA256_LEN + 5];
    struct reader r = reader_of(signature);
    struct view name = read_string(&r);
    struct view raw = read_string(&r);
    uint8_t flags = is_sk ? read_u8(&r) : 0;
    uint32_t counter = is_sk ? read_u32(&r) : 0;
    TRY(reader_done(&r));
    /* RFC 8332 §3.2: the name in the signature is the one that was named outside. */
    if (!view_eq_str(name, alg->name))
        return ERR_SYNTAX;
    enum key_type type;
    struct view application;
    AUTO(pkey_free) EVP_PKEY *pkey = NULL;
    TRY(pkey_from_blob(public_key_blob(k), &type, &application, &pkey));
    if (is_sk) {
        if (!(flags & SK_USER_PRESENT))
            return ERR_VERIFY;
        sk_message(application, flags, counter, data, message);
        data = view_of(message, sizeof message);
    }
    return verify_by_type(type, pkey, alg->hash, data, raw);
}
