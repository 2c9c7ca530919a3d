#include "common/crypto/kex.h"

#include <openssl/curve25519.h>
#include <openssl/err.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "common/crypto/mlkem768.h"

static const struct kex_info infos[KEX_METHOD_COUNT] = {
    [KEX_MLKEM768X25519] = {"mlkem768x25519-sha256", DIGEST_SHA256, KEX_CLIENT_MAX, KEX_SERVER_MAX},
    [KEX_CURVE25519] = {"curve25519-sha256", DIGEST_SHA256, KEX_X25519_LEN, KEX_X25519_LEN},
    [KEX_CURVE25519_LIBSSH] = {"curve25519-sha256@libssh.org", DIGEST_SHA256, KEX_X25519_LEN,
                               KEX_X25519_LEN},
};

const struct kex_info *kex_info(enum kex_method method)
{
    CHECK((unsigned)method < KEX_METHOD_COUNT);
    return &infos[method];
}

enum err kex_find(struct view name, enum kex_method *out_method)
{
    for (unsigned i = 0; i < KEX_METHOD_COUNT; i++) {
        if (view_eq_str(name, infos[i].name)) {
            *out_method = (enum kex_method)i;
            return OK;
        }
    }
    return ERR_UNSUPPORTED;
}

void kex_x25519_keypair(const struct rng *rng, uint8_t out_private[KEX_X25519_LEN],
                        uint8_t out_public[KEX_X25519_LEN])
{
    rng_fill(rng, out_private, KEX_X25519_LEN);
    X25519_public_from_private(out_public, out_private);
}

enum err kex_x25519_shared(const uint8_t private_key[KEX_X25519_LEN],
                           const uint8_t peer[KEX_X25519_LEN], uint8_t out[KEX_X25519_LEN])
{
    /* RFC 8731 §3: an all-zero secret aborts. X25519 says so by 0, in constant time. */
    if (X25519(out, private_key, peer))
        return OK;
    ERR_clear_error();
    return ERR_VERIFY;
}

void kex_secret_fini(struct kex_secret *s)
{
    mem_wipe(s, sizeof *s);
}

struct view kex_secret_view(const struct kex_secret *s)
{
    return view_of(s->encoded, s->len);
}

/* RFC 8731 §3.1: the 32 bytes are a big endian number, encoded as an mpint. */
static void secret_mpint(struct kex_secret *s, const uint8_t shared[KEX_X25519_LEN])
{
    size_t skip = 0;
    while (skip < KEX_X25519_LEN && shared[skip] == 0)
        skip++;
    size_t len = KEX_X25519_LEN - skip;
    size_t pad = len && (shared[skip] & 0x80) ? 1 : 0;
    *s = (struct kex_secret){.len = 4 + pad + len};
    store_u32(s->encoded, (uint32_t)(pad + len));
    memcpy(s->encoded + 4 + pad, shared + skip, len);
}

/* draft-ietf-sshm-mlkem-hybrid-kex §2.4: K = HASH(K_PQ | K_CL), encoded as a string. */
static void secret_hybrid(struct kex_secret *s, const uint8_t pq[KEX_MLKEM768_SHARED_LEN],
                          const uint8_t classic[KEX_X25519_LEN])
{
    struct digest d;
    *s = (struct kex_secret){.len = 4 + DIGEST_SHA256_LEN};
    store_u32(s->encoded, DIGEST_SHA256_LEN);
    digest_init(&d, DIGEST_SHA256);
    digest_update(&d, view_of(pq, KEX_MLKEM768_SHARED_LEN));
    digest_update(&d, view_of(classic, KEX_X25519_LEN));
    digest_final(&d, s->encoded + 4);
}

void kex_client_init(struct kex_client *k, enum kex_method method, const struct rng *rng)
{
    size_t at = 0;
    *k = (struct kex_client){.method = method};
    if (method == KEX_MLKEM768X25519) {
        mlkem768_keypair(rng, k->share, k->mlkem_private);
        at = KEX_MLKEM768_PUBLIC_LEN;
    }
    kex_x25519_keypair(rng, k->x25519_private, k->share + at);
}

void kex_client_fini(struct kex_client *k)
{
    mem_wipe(k, sizeof *k);
}

struct view kex_client_share(const struct kex_client *k)
{
    return view_of(k->share, infos[k->method].client_len);
}

enum err kex_client_finish(const struct kex_client *k, struct view server_share,
                           struct kex_secret *out)
{
    bool hybrid = k->method == KEX_MLKEM768X25519;
    uint8_t classic[KEX_X25519_LEN];
    uint8_t pq[KEX_MLKEM768_SHARED_LEN];
    if (server_share.len != infos[k->method].server_len)
        return ERR_SYNTAX;
    size_t at = hybrid ? KEX_MLKEM768_CIPHERTEXT_LEN : 0;
    TRY(kex_x25519_shared(k->x25519_private, server_share.ptr + at, classic));
    if (hybrid) {
        mlkem768_decaps(k->mlkem_private, server_share.ptr, pq);
        secret_hybrid(out, pq, classic);
    } else {
        secret_mpint(out, classic);
    }
    mem_wipe(classic, sizeof classic);
    mem_wipe(pq, sizeof pq);
    return OK;
}

enum err kex_server_answer(enum kex_method method, struct view client_share, const struct rng *rng,
                           struct kex_answer *out)
{
    bool hybrid = method == KEX_MLKEM768X25519;
    struct kex_answer a = {.share_len = kex_info(method)->server_len};
    uint8_t private_key[KEX_X25519_LEN];
    uint8_t classic[KEX_X25519_LEN];
    uint8_t pq[KEX_MLKEM768_SHARED_LEN] = {0};
    enum err e = OK;
    if (client_share.len != infos[method].client_len)
        return ERR_SYNTAX;
    if (hybrid)
        TRY(mlkem768_encaps(rng, client_share.ptr, a.share, pq));
    kex_x25519_keypair(rng, private_key, a.share + (hybrid ? KEX_MLKEM768_CIPHERTEXT_LEN : 0));
    e = kex_x25519_shared(private_key, client_share.ptr + (hybrid ? KEX_MLKEM768_PUBLIC_LEN : 0),
                          classic);
    if (e == OK && hybrid)
        secret_hybrid(&a.secret, pq, classic);
    else if (e == OK)
        secret_mpint(&a.secret, classic);
    if (e == OK)
        *out = a;
    mem_wipe(&a, sizeof a);
    mem_wipe(private_key, sizeof private_key);
    mem_wipe(classic, sizeof classic);
    mem_wipe(pq, sizeof pq);
    return e;
}
