#include "common/crypto/jwa.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>

#include "common/base/check.h"
#include "common/crypto/pkey.h"

enum scheme { SCHEME_PKCS1, SCHEME_PSS, SCHEME_ECDSA, SCHEME_ED25519 };

static const struct {
    const char *name;
    enum key_type type; /* RFC 7518 §3.4 ties each ES* to one curve */
    enum scheme scheme;
    enum digest_alg hash;
} algs[JWA_ALG_COUNT] = {
    [JWA_RS256] = {"RS256", KEY_RSA, SCHEME_PKCS1, DIGEST_SHA256},
    [JWA_RS384] = {"RS384", KEY_RSA, SCHEME_PKCS1, DIGEST_SHA384},
    [JWA_RS512] = {"RS512", KEY_RSA, SCHEME_PKCS1, DIGEST_SHA512},
    [JWA_PS256] = {"PS256", KEY_RSA, SCHEME_PSS, DIGEST_SHA256},
    [JWA_ES256] = {"ES256", KEY_ECDSA_P256, SCHEME_ECDSA, DIGEST_SHA256},
    [JWA_ES384] = {"ES384", KEY_ECDSA_P384, SCHEME_ECDSA, DIGEST_SHA384},
    [JWA_ES512] = {"ES512", KEY_ECDSA_P521, SCHEME_ECDSA, DIGEST_SHA512},
    [JWA_EDDSA] = {"EdDSA", KEY_ED25519, SCHEME_ED25519, DIGEST_SHA512},
};

static const struct {
    const char *name;
    enum key_type type;
} curves[] = {
    {"P-256", KEY_ECDSA_P256},
    {"P-384", KEY_ECDSA_P384},
    {"P-521", KEY_ECDSA_P521},
};

const char *jwa_name(enum jwa_alg alg)
{
    CHECK((unsigned)alg < JWA_ALG_COUNT);
    return algs[alg].name;
}

enum err jwa_find(struct view name, enum jwa_alg *out_alg)
{
    for (unsigned i = 0; i < JWA_ALG_COUNT; i++) {
        if (view_eq_str(name, algs[i].name)) {
            *out_alg = (enum jwa_alg)i;
            return OK;
        }
    }
    return ERR_UNSUPPORTED;
}

void jwa_key_fini(struct jwa_key *k)
{
    EVP_PKEY_free(k->pkey);
    *k = (struct jwa_key){0};
}

enum err jwa_key_rsa(struct jwa_key *k, struct view n, struct view e)
{
    EVP_PKEY *pkey;
    while (n.len && n.ptr[0] == 0)
        n = view_skip(n, 1);
    while (e.len && e.ptr[0] == 0)
        e = view_skip(e, 1);
    TRY(pkey_rsa_public(n, e, &pkey));
    *k = (struct jwa_key){KEY_RSA, pkey};
    return OK;
}

enum err jwa_key_ec(struct jwa_key *k, struct view curve, struct view x, struct view y)
{
    for (size_t i = 0; i < ARRAY_LEN(curves); i++) {
        uint8_t point[1 + 2 * 66] = {0x04};
        EVP_PKEY *pkey;
        size_t len = pkey_coordinate_len(curves[i].type);
        if (!view_eq_str(curve, curves[i].name))
            continue;
        /* RFC 7518 §6.2.1.2: the full length of a coordinate. */
        if (x.len != len || y.len != len)
            return ERR_RANGE;
        memcpy(point + 1, x.ptr, len);
        memcpy(point + 1 + len, y.ptr, len);
        if (pkey_ec_public(curves[i].type, view_of(point, 1 + 2 * len), &pkey) != OK)
            return ERR_RANGE;
        *k = (struct jwa_key){curves[i].type, pkey};
        return OK;
    }
    return ERR_UNSUPPORTED;
}

enum err jwa_key_ed25519(struct jwa_key *k, struct view x)
{
    EVP_PKEY *pkey;
    if (pkey_ed25519_public(x, &pkey) != OK)
        return ERR_RANGE;
    *k = (struct jwa_key){KEY_ED25519, pkey};
    return OK;
}

/* r | s -> DER, which EVP takes. NULL when the length is wrong. */
static uint8_t *ecdsa_to_der(struct view raw, size_t coordinate_len, size_t *out_len)
{
    uint8_t *der = NULL;
    if (raw.len != 2 * coordinate_len)
        return NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw.ptr, coordinate_len, NULL);
    BIGNUM *s = BN_bin2bn(raw.ptr + coordinate_len, coordinate_len, NULL);
    CHECK(sig && r && s && ECDSA_SIG_set0(sig, r, s));
    CHECK(ECDSA_SIG_to_bytes(&der, out_len, sig));
    ECDSA_SIG_free(sig);
    return der;
}

static const EVP_MD *md_for(enum jwa_alg alg)
{
    return algs[alg].scheme == SCHEME_ED25519 ? NULL : pkey_md(algs[alg].hash);
}

/* RFC 7518 §3.5: MGF1 and salt length by the same hash. */
static bool set_padding(EVP_PKEY_CTX *ctx, enum jwa_alg alg)
{
    return algs[alg].scheme != SCHEME_PSS ||
           (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, -1));
}

static bool verify(EVP_PKEY *pkey, enum jwa_alg alg, struct view data, struct view signature)
{
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *pctx;
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestVerifyInit(&ctx, &pctx, md_for(alg), NULL, pkey) &&
              set_padding(pctx, alg) &&
              EVP_DigestVerify(&ctx, signature.ptr, signature.len, data.ptr, data.len);
    EVP_MD_CTX_cleanup(&ctx);
    return ok;
}

enum err jwa_verify(const struct jwa_key *k, enum jwa_alg alg, struct view data,
                    struct view signature)
{
    if ((unsigned)alg >= JWA_ALG_COUNT || algs[alg].type != k->type)
        return ERR_UNSUPPORTED;
    if (algs[alg].scheme != SCHEME_ECDSA)
        return verify(k->pkey, alg, data, signature) ? OK : pkey_failed(ERR_VERIFY);
    size_t len = 0;
    uint8_t *der = ecdsa_to_der(signature, pkey_coordinate_len(k->type), &len);
    if (!der)
        return ERR_VERIFY;
    bool ok = verify(k->pkey, alg, data, view_of(der, len));
    OPENSSL_free(der);
    return ok ? OK : pkey_failed(ERR_VERIFY);
}

static enum err ecdsa_from_der(struct view der, size_t coordinate_len, struct buf *out)
{
    uint8_t raw[2 * 66];
    ECDSA_SIG *sig = ECDSA_SIG_from_bytes(der.ptr, der.len);
    CHECK(sig && BN_bn2bin_padded(raw, coordinate_len, ECDSA_SIG_get0_r(sig)) &&
          BN_bn2bin_padded(raw + coordinate_len, coordinate_len, ECDSA_SIG_get0_s(sig)));
    ECDSA_SIG_free(sig);
    return buf_append(out, view_of(raw, 2 * coordinate_len));
}

enum err jwa_sign(const struct private_key *k, enum jwa_alg alg, struct view data, struct buf *out)
{
    uint8_t sig[KEY_RSA_BITS_MAX / 8];
    size_t len = sizeof sig;
    EVP_MD_CTX ctx;
    EVP_PKEY_CTX *pctx;
    if ((unsigned)alg >= JWA_ALG_COUNT || algs[alg].type != k->public.type)
        return ERR_UNSUPPORTED;
    EVP_MD_CTX_init(&ctx);
    bool ok = EVP_DigestSignInit(&ctx, &pctx, md_for(alg), NULL, k->pkey) &&
              set_padding(pctx, alg) && EVP_DigestSign(&ctx, sig, &len, data.ptr, data.len);
    EVP_MD_CTX_cleanup(&ctx);
    if (!ok)
        return pkey_failed(ERR_INTERNAL);
    if (algs[alg].scheme == SCHEME_ECDSA)
        return ecdsa_from_der(view_of(sig, len), pkey_coordinate_len(k->public.type), out);
    return buf_append(out, view_of(sig, len));
}

enum err jwa_point(const struct private_key *k, struct jwa_point *out)
{
    uint8_t point[1 + 2 * 66];
    if (!pkey_is_ecdsa(k->public.type))
        return ERR_UNSUPPORTED;
    size_t len = pkey_coordinate_len(k->public.type);
    const EC_KEY *ec = EVP_PKEY_get0_EC_KEY(k->pkey);
    CHECK(EC_POINT_point2oct(EC_KEY_get0_group(ec), EC_KEY_get0_public_key(ec),
                             POINT_CONVERSION_UNCOMPRESSED, point, sizeof point,
                             NULL) == 1 + 2 * len);
    *out = (struct jwa_point){.len = len};
    memcpy(out->x, point + 1, len);
    memcpy(out->y, point + 1 + len, len);
    return OK;
}
