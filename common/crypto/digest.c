#include "common/crypto/digest.h"

#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/pkey.h"

_Static_assert(sizeof(SHA256_CTX) <= sizeof(((struct digest *)0)->state), "state too small");
_Static_assert(sizeof(SHA512_CTX) <= sizeof(((struct digest *)0)->state), "state too small");

size_t digest_len(enum digest_alg alg)
{
    switch (alg) {
    case DIGEST_SHA256:
        return SHA256_DIGEST_LENGTH;
    case DIGEST_SHA384:
        return SHA384_DIGEST_LENGTH;
    case DIGEST_SHA512:
        return SHA512_DIGEST_LENGTH;
    }
    check_failed("digest algorithm", __FILE__, __LINE__);
}

void digest(enum digest_alg alg, struct view data, uint8_t *out)
{
    struct digest d;
    digest_init(&d, alg);
    digest_update(&d, data);
    digest_final(&d, out);
}

void digest_init(struct digest *d, enum digest_alg alg)
{
    *d = (struct digest){.alg = alg};
    void *state = d->state;
    switch (alg) {
    case DIGEST_SHA256:
        SHA256_Init(state);
        break;
    case DIGEST_SHA384:
        SHA384_Init(state);
        break;
    case DIGEST_SHA512:
        SHA512_Init(state);
        break;
    }
}

void digest_update(struct digest *d, struct view data)
{
    void *state = d->state;
    if (data.len == 0)
        return;
    if (d->alg == DIGEST_SHA256)
        SHA256_Update(state, data.ptr, data.len);
    else /* SHA-384 is SHA-512 with another start */
        SHA512_Update(state, data.ptr, data.len);
}

void digest_final(struct digest *d, uint8_t *out)
{
    void *state = d->state;
    switch (d->alg) {
    case DIGEST_SHA256:
        SHA256_Final(out, state);
        break;
    case DIGEST_SHA384:
        SHA384_Final(out, state);
        break;
    case DIGEST_SHA512:
        SHA512_Final(out, state);
        break;
    }
    mem_wipe(d, sizeof *d);
}

void digest_hmac(enum digest_alg alg, struct view key, struct view data, uint8_t *out)
{
    static const uint8_t none;
    unsigned len = 0;
    CHECK(HMAC(pkey_md(alg), key.len ? key.ptr : &none, key.len, data.len ? data.ptr : &none,
               data.len, out, &len));
}

void digest_hmac_sha1(struct view key, struct view data, uint8_t out[DIGEST_SHA1_LEN])
{
    static const uint8_t none;
    unsigned len = 0;
    CHECK(HMAC(EVP_sha1(), key.len ? key.ptr : &none, key.len, data.len ? data.ptr : &none,
               data.len, out, &len) &&
          len == DIGEST_SHA1_LEN);
}

void digest_hkdf(struct view secret, struct view salt, struct view info, uint8_t *out,
                 size_t out_len)
{
    CHECK(out_len <= (size_t)255 * DIGEST_SHA256_LEN);
    CHECK(HKDF(out, out_len, EVP_sha256(), secret.ptr, secret.len, salt.ptr, salt.len, info.ptr,
               info.len) == 1);
}
