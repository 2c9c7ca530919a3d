/* SHA-2 (FIPS 180-4), HMAC (RFC 2104) and HKDF (RFC 5869). */
#ifndef COMMON_CRYPTO_DIGEST_H
#define COMMON_CRYPTO_DIGEST_H

#include "common/base/err.h"
#include "common/base/view.h"

enum digest_alg {
    DIGEST_SHA256,
    DIGEST_SHA384,
    DIGEST_SHA512,
};

enum { DIGEST_SHA256_LEN = 32, DIGEST_MAX = 64 };

/* 32, 48 or 64. */
size_t digest_len(enum digest_alg alg);

/* Writes digest_len(alg) bytes. */
void digest(enum digest_alg alg, struct view data, uint8_t *out);

/* Piecewise; no allocation, may be copied. digest_final wipes the state. */
struct digest {
    enum digest_alg alg;
    _Alignas(16) uint8_t state[224];
};
void digest_init(struct digest *d, enum digest_alg alg);
void digest_update(struct digest *d, struct view data);
void digest_final(struct digest *d, uint8_t *out);

/* Writes digest_len(alg) bytes. */
void digest_hmac(enum digest_alg alg, struct view key, struct view data, uint8_t *out);

enum { DIGEST_SHA1_LEN = 20 };

/* HMAC-SHA1, for the hashed names of known_hosts files alone; SHA-1 is good for nothing else. */
void digest_hmac_sha1(struct view key, struct view data, uint8_t out[DIGEST_SHA1_LEN]);

/*
 * RFC 5869 with SHA-256: extract with `salt` (may be empty), expand with `info` to `out_len`
 * bytes, at most 255 * 32.
 */
void digest_hkdf(struct view secret, struct view salt, struct view info, uint8_t *out,
                 size_t out_len);

#endif
