#include "common/crypto/rng.h"

#include <openssl/chacha.h>
#include <openssl/rand.h>
#include <string.h>

#include "common/base/check.h"
#include "common/base/wire.h"

static void fill_system(void *ctx, uint8_t *out, size_t n)
{
    (void)ctx;
    /* BoringSSL aborts when the system gives no randomness; it returns 1 always. */
    CHECK(RAND_bytes(out, n) == 1);
}

struct rng rng_system(void)
{
    return (struct rng){.fill = fill_system};
}

void rng_fill(const struct rng *r, uint8_t *out, size_t n)
{
    r->fill(r->ctx, out, n);
}

static void fill_test(void *ctx, uint8_t *out, size_t n)
{
    struct rng_test *t = ctx;
    static const uint8_t nonce[12] = "postern test";
    if (n == 0)
        return;
    memset(out, 0, n);
    CRYPTO_chacha_20(out, out, n, t->key, nonce, t->block);
    t->block += (uint32_t)((n + 63) / 64);
}

struct rng rng_test(struct rng_test *t, uint64_t seed)
{
    *t = (struct rng_test){0};
    store_u64(t->key, seed);
    return (struct rng){.fill = fill_test, .ctx = t};
}
