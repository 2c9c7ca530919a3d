#include <openssl/digest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/tls_parts.h"

struct tls_key {
    EVP_PKEY *pkey;
};

struct scheme {
    uint16_t id;
    bool tls13;
};

/* RFC 8446 §4.2.3, without SHA-1. */
static const struct scheme schemes[] = {
    {SSL_SIGN_ECDSA_SECP256R1_SHA256, true}, {SSL_SIGN_ECDSA_SECP384R1_SHA384, true},
    {SSL_SIGN_ECDSA_SECP521R1_SHA512, true}, {SSL_SIGN_ED25519, true},
    {SSL_SIGN_RSA_PSS_RSAE_SHA256, true},    {SSL_SIGN_RSA_PSS_RSAE_SHA384, true},
    {SSL_SIGN_RSA_PSS_RSAE_SHA512, true},    {SSL_SIGN_RSA_PKCS1_SHA256, false},
    {SSL_SIGN_RSA_PKCS1_SHA384, false},      {SSL_SIGN_RSA_PKCS1_SHA512, false},
};

static const struct scheme *find_scheme(uint16_t algorithm)
{
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        if (schemes[i].id == algorithm)
            return &schemes[i];
    }
    return NULL;
}

bool tls_algorithm_is_tls13(uint16_t algorithm)
{
    const struct scheme *s = find_scheme(algorithm);
    return s && s->tls13;
}

enum err tls_key_parse(const char *pem, struct tls_key **out)
{
    EVP_PKEY *pkey = NULL;
    TRY(tls_parse_key(pem, &pkey));
    struct tls_key *k = mem_zalloc(sizeof *k);
    k->pkey = pkey;
    *out = k;
    return OK;
}

void tls_key_free(struct tls_key *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->pkey);
    mem_free(k);
}

enum err tls_key_fits(const struct tls_key *k, const char *chain_pem)
{
    struct tls_parsed p;
    char *why = NULL;
    const struct tls_chain chain = {.chain_pem = chain_pem};
    enum err e = tls_parsed_init(&p, &chain, &why);
    mem_free(why);
    TRY(e);
    bool fits = X509_check_private_key(p.leaf, k->pkey) == 1;
    tls_parsed_fini(&p);
    ERR_clear_error();
    return fits ? OK : ERR_MISMATCH;
}

static bool set_up(EVP_MD_CTX *ctx, EVP_PKEY *pkey, uint16_t algorithm)
{
    EVP_PKEY_CTX *pctx = NULL;
    if (!EVP_DigestSignInit(ctx, &pctx, SSL_get_signature_algorithm_digest(algorithm), NULL, pkey))
        return false;
    if (!SSL_is_signature_algorithm_rsa_pss(algorithm))
        return true;
    /* RFC 8446 §4.2.3: the salt is as long as the digest. */
    return EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, -1);
}

enum err tls_key_sign(const struct tls_key *k, uint16_t algorithm, struct view input,
                      struct buf *out)
{
    if (!find_scheme(algorithm) ||
        SSL_get_signature_algorithm_key_type(algorithm) != EVP_PKEY_id(k->pkey))
        return ERR_UNSUPPORTED;
    uint8_t sig[TLS_SIGNATURE_MAX];
    size_t len = sizeof sig;
    if ((size_t)EVP_PKEY_size(k->pkey) > sizeof sig)
        return ERR_UNSUPPORTED;
    EVP_MD_CTX ctx;
    EVP_MD_CTX_init(&ctx);
    bool ok =
        set_up(&ctx, k->pkey, algorithm) && EVP_DigestSign(&ctx, sig, &len, input.ptr, input.len);
    EVP_MD_CTX_cleanup(&ctx);
    ERR_clear_error();
    return ok ? buf_append(out, view_of(sig, len)) : ERR_INTERNAL;
}

bool tls_input_is_tls13(struct view input)
{
    static const char context[] = "TLS 1.3, server CertificateVerify";
    enum { PAD = 64 };
    for (size_t i = 0; i < PAD; i++) {
        if (i >= input.len || input.ptr[i] != ' ')
            return false;
    }
    struct view rest = view_skip(input, PAD);
    /* The terminating NUL is the separator of RFC 8446 §4.4.3. */
    struct view label = view_of(context, sizeof context);
    size_t hash = rest.len - label.len;
    return view_starts_with(rest, label) && (hash == 32 || hash == 48);
}

bool tls_input_is_tls12(struct view input)
{
    static const struct {
        uint16_t group;
        uint8_t point;
    } groups[] = {{0x0017, 65}, {0x0018, 97}, {0x0019, 133}, {0x001d, 32}};
    enum { RANDOMS = 64, NAMED_CURVE = 3 };
    struct view params = view_skip(input, RANDOMS);
    if (params.len < 4 || params.ptr[0] != NAMED_CURVE)
        return false;
    uint16_t group = (uint16_t)(params.ptr[1] << 8 | params.ptr[2]);
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        if (groups[i].group == group)
            return params.ptr[3] == groups[i].point && params.len == 4u + groups[i].point;
    }
    return false;
}
