/*
 * Password hashes (RFC 7914) in the text form "$scrypt$ln=15,r=8,p=3$SALT$HASH", unpadded base64.
 */
#ifndef COMMON_CRYPTO_SCRYPT_H
#define COMMON_CRYPTO_SCRYPT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/rng.h"

enum {
    SCRYPT_PASSWORD_MAX = 1024,
    SCRYPT_LN_MAX = 17,                    /* N = 2^ln */
    SCRYPT_MEMORY_MAX = 128 * 1024 * 1024, /* 128 * r * N bytes */
    SCRYPT_R_MAX = 64,
    SCRYPT_P_MAX = 16,
};

/* Appends the hash of `password` with a fresh salt. ERR_LIMIT: password too long. */
enum err scrypt_hash(struct view password, const struct rng *rng, struct buf *out);

/*
 * ERR_VERIFY: wrong password. ERR_SYNTAX, ERR_RANGE: `hash` is malformed or beyond the bounds
 * above, found out before any work is done; check at load with scrypt_check.
 */
enum err scrypt_verify(struct view password, struct view hash);

/*
 * As much work as scrypt_verify with our own parameters takes, and ERR_VERIFY: for a user who does
 * not exist, so that time does not tell.
 */
enum err scrypt_verify_nobody(struct view password);

/* Is `hash` well-formed and within the bounds? ERR_SYNTAX, ERR_RANGE. */
enum err scrypt_check(struct view hash);

/* The raw function. `out_len` <= 64. ERR_RANGE beyond the bounds. */
struct scrypt_params {
    unsigned ln;
    uint32_t r;
    uint32_t p;
};
enum err scrypt_raw(const struct scrypt_params *params, struct view password, struct view salt,
                    uint8_t *out, size_t out_len);

#endif
