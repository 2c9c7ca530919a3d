#include "common/crypto/seal.h"

#include <openssl/aead.h>
#include <openssl/err.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/crypto/digest.h"

enum { SEAL_NONCE_LEN = 24, SEAL_TAG_LEN = 16 };

static enum err open_key(EVP_AEAD_CTX *ctx, const struct secret *key)
{
    if (key->len != SEAL_KEY_LEN)
        return ERR_STATE;
    CHECK(EVP_AEAD_CTX_init(ctx, EVP_aead_xchacha20_poly1305(), key->data, key->len, SEAL_TAG_LEN,
                            NULL) == 1);
    return OK;
}

enum err seal(const struct secret *key, struct view ad, struct view plain, const struct rng *rng,
              struct buf *out)
{
    uint8_t *p;
    if (plain.len > SIZE_MAX / 2)
        return ERR_LIMIT;
    TRY(buf_reserve(out, SEAL_OVERHEAD + plain.len, &p));
    EVP_AEAD_CTX ctx;
    TRY(open_key(&ctx, key));
    rng_fill(rng, p, SEAL_NONCE_LEN);
    size_t len = 0;
    CHECK(EVP_AEAD_CTX_seal(&ctx, p + SEAL_NONCE_LEN, &len, plain.len + SEAL_TAG_LEN, p,
                            SEAL_NONCE_LEN, plain.ptr, plain.len, ad.ptr, ad.len) == 1);
    EVP_AEAD_CTX_cleanup(&ctx);
    buf_commit(out, SEAL_NONCE_LEN + len);
    return OK;
}

enum err unseal(const struct secret *key, struct view ad, struct view sealed, struct buf *out)
{
    uint8_t *p;
    if (sealed.len < SEAL_OVERHEAD)
        return ERR_VERIFY;
    struct view body = view_skip(sealed, SEAL_NONCE_LEN);
    /* BoringSSL wants room for the tag too. */
    TRY(buf_reserve(out, body.len, &p));
    EVP_AEAD_CTX ctx;
    TRY(open_key(&ctx, key));
    size_t len = 0;
    int ok = EVP_AEAD_CTX_open(&ctx, p, &len, body.len, sealed.ptr, SEAL_NONCE_LEN, body.ptr,
                               body.len, ad.ptr, ad.len);
    EVP_AEAD_CTX_cleanup(&ctx);
    if (!ok) {
        ERR_clear_error();
        return ERR_VERIFY;
    }
    buf_commit(out, len);
    return OK;
}

void seal_derive_key(const struct secret *master, struct view label, struct secret *out)
{
    uint8_t key[SEAL_KEY_LEN];
    digest_hkdf(secret_view(master), view_of(NULL, 0), label, key, sizeof key);
    secret_set(out, view_of(key, sizeof key));
    mem_wipe(key, sizeof key);
}
