/*
 * Signatures of JSON Web Algorithms (RFC 7518, RFC 8037) over raw key material; common/jose does
 * the JSON. HS256 is digest_hmac with secret_equal and is not offered here, so that a public key
 * can never be taken for an HMAC secret.
 */
#ifndef COMMON_CRYPTO_JWA_H
#define COMMON_CRYPTO_JWA_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/key.h"

enum jwa_alg {
    JWA_RS256,
    JWA_RS384,
    JWA_RS512,
    JWA_PS256,
    JWA_ES256,
    JWA_ES384,
    JWA_ES512,
    JWA_EDDSA, /* Ed25519 */
    JWA_ALG_COUNT,
};

const char *jwa_name(enum jwa_alg alg);

/* ERR_UNSUPPORTED ("none" and HS* are). */
enum err jwa_find(struct view name, enum jwa_alg *out_alg);

/* A public key. The same sizes and checks as in key.h (RSA 2048 to 16384 bits). */
struct jwa_key {
    enum key_type type;
    struct evp_pkey_st *pkey;
};
void jwa_key_fini(struct jwa_key *k); /* a zeroed struct is fine */

/* Big endian magnitudes. ERR_RANGE. */
enum err jwa_key_rsa(struct jwa_key *k, struct view n, struct view e);

/* `curve` is "P-256", "P-384" or "P-521" (ERR_UNSUPPORTED); x and y have its full length. */
enum err jwa_key_ec(struct jwa_key *k, struct view curve, struct view x, struct view y);

/* 32 bytes. */
enum err jwa_key_ed25519(struct jwa_key *k, struct view x);

/*
 * ERR_VERIFY: wrong signature (or wrong length). ERR_UNSUPPORTED: `alg` is not for this key. ECDSA
 * signatures are r | s in full length (RFC 7518 §3.4).
 */
enum err jwa_verify(const struct jwa_key *k, enum jwa_alg alg, struct view data,
                    struct view signature);

/* Appends the raw signature. ERR_UNSUPPORTED when `alg` is not for this key. */
enum err jwa_sign(const struct private_key *k, enum jwa_alg alg, struct view data, struct buf *out);

/* The public half of a P-256, P-384 or P-521 key for a JWK: coordinates in full length. */
struct jwa_point {
    uint8_t x[66];
    uint8_t y[66];
    size_t len; /* of each */
};
enum err jwa_point(const struct private_key *k, struct jwa_point *out);

#endif
