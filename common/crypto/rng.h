/*
 * Randomness as a parameter: engines and builders take a struct rng, so that vectors and fuzzers
 * are deterministic. What BoringSSL draws for itself (RSA keys, ECDSA nonces) is the system's.
 */
#ifndef COMMON_CRYPTO_RNG_H
#define COMMON_CRYPTO_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef void (*rng_fill_fn)(void *ctx, uint8_t *out, size_t n);

struct rng {
    rng_fill_fn fill;
    void *ctx;
};

/* The operating system's, through BoringSSL. May be copied and used on any thread. */
struct rng rng_system(void);

void rng_fill(const struct rng *r, uint8_t *out, size_t n);

/* For tests and fuzzers alone: a ChaCha20 stream that `seed` fixes. `t` outlives the rng. */
struct rng_test {
    uint8_t key[32];
    uint32_t block;
};
struct rng rng_test(struct rng_test *t, uint64_t seed);

#endif
