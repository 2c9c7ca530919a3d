/*
 * Key agreement: X25519 (RFC 7748), ML-KEM-768 (FIPS 203) and the SSH methods made of them,
 * curve25519-sha256 (RFC 8731) and mlkem768x25519-sha256 (draft-ietf-sshm-mlkem-hybrid-kex).
 */
#ifndef COMMON_CRYPTO_KEX_H
#define COMMON_CRYPTO_KEX_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/digest.h"
#include "common/crypto/rng.h"

enum kex_method {
    KEX_MLKEM768X25519,
    KEX_CURVE25519,
    KEX_CURVE25519_LIBSSH, /* the same under its older name */
    KEX_METHOD_COUNT,
};

struct kex_info {
    const char *name; /* as in KEXINIT */
    enum digest_alg hash;
    size_t client_len; /* bytes of the client's share (C_INIT, Q_C) */
    size_t server_len; /* bytes of the server's share (S_REPLY, Q_S) */
};

const struct kex_info *kex_info(enum kex_method method);

/* By KEXINIT name. ERR_UNSUPPORTED. */
enum err kex_find(struct view name, enum kex_method *out_method);

enum {
    KEX_X25519_LEN = 32,
    KEX_MLKEM768_PUBLIC_LEN = 1184,
    KEX_MLKEM768_PRIVATE_LEN = 2400,
    KEX_MLKEM768_CIPHERTEXT_LEN = 1088,
    KEX_MLKEM768_SHARED_LEN = 32,
    KEX_CLIENT_MAX = KEX_MLKEM768_PUBLIC_LEN + KEX_X25519_LEN,
    KEX_SERVER_MAX = KEX_MLKEM768_CIPHERTEXT_LEN + KEX_X25519_LEN,
};

/*
 * The shared secret K as the exchange hash and the key derivation take it (RFC 4253 §7.2): an
 * encoded mpint for curve25519, an encoded string for the hybrid. Append as is, no further length.
 */
struct kex_secret {
    uint8_t encoded[4 + 1 + 32];
    size_t len;
};
void kex_secret_fini(struct kex_secret *s);
struct view kex_secret_view(const struct kex_secret *s);

/* The client's half in between. */
struct kex_client {
    enum kex_method method;
    uint8_t share[KEX_CLIENT_MAX]; /* to send: kex_client_share */
    uint8_t x25519_private[KEX_X25519_LEN];
    uint8_t mlkem_private[KEX_MLKEM768_PRIVATE_LEN];
};
void kex_client_init(struct kex_client *k, enum kex_method method, const struct rng *rng);
void kex_client_fini(struct kex_client *k); /* wipes */
struct view kex_client_share(const struct kex_client *k);

/* ERR_SYNTAX: wrong length. ERR_VERIFY: the shared secret would be all zero (RFC 8731 §3). */
enum err kex_client_finish(const struct kex_client *k, struct view server_share,
                           struct kex_secret *out);

/* The server's half in one step. Errors as above; ERR_SYNTAX also for an invalid ML-KEM key. */
struct kex_answer {
    uint8_t share[KEX_SERVER_MAX];
    size_t share_len;
    struct kex_secret secret; /* kex_secret_fini when done */
};
enum err kex_server_answer(enum kex_method method, struct view client_share, const struct rng *rng,
                           struct kex_answer *out);

/* The parts. */
void kex_x25519_keypair(const struct rng *rng, uint8_t out_private[KEX_X25519_LEN],
                        uint8_t out_public[KEX_X25519_LEN]);
enum err kex_x25519_shared(const uint8_t private_key[KEX_X25519_LEN],
                           const uint8_t peer[KEX_X25519_LEN], uint8_t out[KEX_X25519_LEN]);

#endif
