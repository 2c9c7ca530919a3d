/*
 * Sealed bytes for cookies, state and tokens: XChaCha20-Poly1305 under a key of 32 bytes with a
 * random nonce of 24, so one key serves any number of messages. Form: nonce, ciphertext, tag.
 */
#ifndef COMMON_CRYPTO_SEAL_H
#define COMMON_CRYPTO_SEAL_H

#include "common/base/buf.h"
#include "common/base/secret.h"
#include "common/crypto/rng.h"

enum { SEAL_KEY_LEN = 32, SEAL_OVERHEAD = 24 + 16 };

/*
 * Appends the sealed form of `plain` to `out`; `ad` is bound to it and not part of it. `key` has
 * SEAL_KEY_LEN bytes (else ERR_STATE). ERR_LIMIT when `out` is full.
 */
enum err seal(const struct secret *key, struct view ad, struct view plain, const struct rng *rng,
              struct buf *out);

/* Appends the plain bytes. ERR_VERIFY for anything that `key` and `ad` did not seal. */
enum err unseal(const struct secret *key, struct view ad, struct view sealed, struct buf *out);

/* A key of SEAL_KEY_LEN bytes for one purpose, by HKDF-SHA256 with `label` as info. */
void seal_derive_key(const struct secret *master, struct view label, struct secret *out);

#endif
