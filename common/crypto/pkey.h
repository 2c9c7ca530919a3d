/*
 * BoringSSL objects out of raw key material and back, for the sources of this folder alone. What
 * fails leaves nothing in BoringSSL's error queue, which TLS reads.
 */
#ifndef COMMON_CRYPTO_PKEY_H
#define COMMON_CRYPTO_PKEY_H

#include <openssl/bn.h>
#include <openssl/ec_key.h>
#include <openssl/evp.h>
#include <openssl/mem.h>
#include <openssl/rsa.h>

#include "common/base/mem.h"
#include "common/crypto/key.h"

/* Clears the error queue and passes `e` on. */
enum err pkey_failed(enum err e);

/* Curve NID of an ECDSA type, its name in SSH ("nistp256") and the bytes of a coordinate. */
int pkey_curve_nid(enum key_type type);
const char *pkey_curve_name(enum key_type type);
size_t pkey_coordinate_len(enum key_type type);
bool pkey_is_ecdsa(enum key_type type); /* security keys too */

const EVP_MD *pkey_md(enum digest_alg alg);

/* Public keys. ERR_RANGE: RSA size or exponent. ERR_SYNTAX: not a point of the curve. */
enum err pkey_rsa_public(struct view n, struct view e, EVP_PKEY **out);
enum err pkey_ec_public(enum key_type type, struct view point, EVP_PKEY **out);
enum err pkey_ed25519_public(struct view raw, EVP_PKEY **out);

/* The key in a plain key blob; ERR_UNSUPPORTED for types beyond enum key_type. */
enum err pkey_from_blob(struct view blob, enum key_type *out_type, struct view *out_application,
                        EVP_PKEY **out);

/* Appends the plain key blob of `pkey`. ERR_UNSUPPORTED for a kind of key that SSH lacks. */
enum err pkey_write_blob(const EVP_PKEY *pkey, struct buf *out);

/* Room for `n` bytes at once, so that growing leaves no copies of secrets behind. */
enum err pkey_reserve(struct buf *b, size_t n);

/* Takes `pkey` over in any case: fills `k`, or frees it on failure. */
enum err private_key_adopt(struct private_key *k, EVP_PKEY *pkey);

/* The binary within an openssh-key-v1 text, and its body to be written. */
enum err key_openssh_parse(struct view blob, EVP_PKEY **out);
enum err key_openssh_write(const struct private_key *k, const char *comment, const struct rng *rng,
                           struct buf *out);

/*
 * The first "… PRIVATE KEY" block of a PEM text: its label is a view into `text`, its bytes are
 * appended to `out`. ERR_ENCRYPTED, ERR_SYNTAX.
 */
enum err key_pem_read(struct view text, struct view *out_label, struct buf *out);

/* Appends `bytes` as a PEM block with lines of `width` characters. */
enum err key_pem_write(const char *label, struct view bytes, size_t width, struct buf *out);

static inline void pkey_free(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static inline void pkey_free_ec(EC_KEY **p)
{
    EC_KEY_free(*p);
}

static inline void pkey_free_rsa(RSA **p)
{
    RSA_free(*p);
}

static inline void pkey_free_bn(BIGNUM **p)
{
    BN_clear_free(*p);
}

#endif
