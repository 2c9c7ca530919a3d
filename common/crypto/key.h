/*
 * SSH keys (RFC 4253 §6.6, RFC 5656, RFC 8332, RFC 8709, PROTOCOL.u2f). RSA keys have 2048 to
 * 16384 bits and sign with SHA-2 alone: "ssh-rsa" names the key type, never a signature.
 * Certificates are no keys: cert.h.
 */
#ifndef COMMON_CRYPTO_KEY_H
#define COMMON_CRYPTO_KEY_H

#include <stdatomic.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/digest.h"
#include "common/crypto/rng.h"

enum key_type {
    KEY_ED25519,
    KEY_ECDSA_P256,
    KEY_ECDSA_P384,
    KEY_ECDSA_P521,
    KEY_RSA,
    KEY_SK_ED25519, /* security keys verify; they cannot be generated, loaded or sign here */
    KEY_SK_ECDSA_P256,
    KEY_TYPE_COUNT,
};

enum {
    KEY_RSA_BITS_MIN = 2048,
    KEY_RSA_BITS_MAX = 16384,
    KEY_RSA_BITS = 3072,      /* of generated keys */
    KEY_BLOB_MAX = 4096,      /* any public key or signature blob */
    KEY_FILE_MAX = 64 * 1024, /* private key text */
    KEY_FINGERPRINT_MAX = 7 + 43 + 1,
};

/* "ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa", … never NULL. */
const char *key_type_name(enum key_type type);

/* For people and logs: "ED25519", "ECDSA", "RSA", "ED25519-SK", "ECDSA-SK" as ssh-keygen -l. */
const char *key_type_label(enum key_type type);

/* ERR_UNSUPPORTED: not the name of a plain key type ("ssh-dss", a certificate's, …). */
enum err key_type_find(struct view name, enum key_type *out_type);

/*
 * Public key algorithms as KEXINIT, server-sig-algs and USERAUTH_REQUEST name them: each signs
 * with one type of key and has a certificate form. In a signature blob only `name` occurs.
 */
struct key_alg {
    const char *name;      /* "rsa-sha2-512", "ssh-ed25519" */
    const char *cert_name; /* "rsa-sha2-512-cert-v01@openssh.com" */
    enum key_type type;
    enum digest_alg hash; /* not used by ed25519 */
};

enum { KEY_ALG_COUNT = 8 };
const struct key_alg *key_alg(size_t index); /* in order of preference; index < KEY_ALG_COUNT */

/*
 * By either name; NULL when unknown ("ssh-rsa" is). *out_is_cert (may be NULL) tells which name.
 */
const struct key_alg *key_alg_find(struct view name, bool *out_is_cert);

/* The algorithm that is used for `type` where nothing was negotiated (RSA: rsa-sha2-512). */
const struct key_alg *key_alg_default(enum key_type type);

struct public_key {
    enum key_type type;
    uint8_t *blob; /* wire form, owned; checked when parsed */
    size_t blob_len;
};

/*
 * Parses a wire blob, which has to be exactly one key: points are on the curve, lengths exact,
 * mpints minimal. ERR_SYNTAX, ERR_RANGE (RSA size or exponent), ERR_UNSUPPORTED (other types and
 * certificates), ERR_LIMIT (longer than KEY_BLOB_MAX).
 */
enum err public_key_parse(struct public_key *k, struct view blob);
void public_key_fini(struct public_key *k); /* a zeroed struct is fine */
void public_key_copy(struct public_key *k, const struct public_key *from);
struct view public_key_blob(const struct public_key *k);
bool public_key_equal(const struct public_key *a, const struct public_key *b);

/* Size as ssh-keygen -l prints it: RSA modulus bits, else 256, 384, 521. */
size_t public_key_bits(const struct public_key *k);

/* "SHA256:" + unpadded base64, NUL terminated. */
void public_key_fingerprint(const struct public_key *k, char out[KEY_FINGERPRINT_MAX]);

/* The fingerprint of any key blob without parsing it. */
void key_blob_fingerprint(struct view blob, char out[KEY_FINGERPRINT_MAX]);

/*
 * Verifies an SSH signature blob over `data`. `algorithm` is what was negotiated or named in the
 * request, in its plain or certificate form, and the blob has to carry exactly that one
 * (RFC 8332 §3.2). ERR_VERIFY: wrong signature. ERR_SYNTAX: malformed. ERR_UNSUPPORTED: the
 * algorithm is unknown or not one of this key's type. Security keys: the user presence flag is
 * required.
 */
enum err public_key_verify(const struct public_key *k, struct view algorithm, struct view data,
                           struct view signature);

/*
 * A line of a .pub file: "TYPE BASE64 [COMMENT]", blanks around it ignored. The comment (may be
 * NULL) is a view into `line`. Lines with options are ERR_UNSUPPORTED, as ignoring them could
 * widen what the key may do. Certificate lines are ERR_UNSUPPORTED too.
 */
enum err public_key_parse_line(struct public_key *k, struct view line, struct view *out_comment);

/* Appends "TYPE BASE64 COMMENT" without a newline; no trailing blank for an empty comment. */
enum err public_key_write_line(const struct public_key *k, const char *comment, struct buf *out);

struct private_key {
    struct public_key public;
    struct evp_pkey_st *pkey;
};

/*
 * Loads a private key text: openssh-key-v1, or PEM in PKCS#1, PKCS#8 or SEC1. ERR_ENCRYPTED when
 * it needs a passphrase; ERR_SYNTAX when malformed or the halves do not fit; ERR_RANGE,
 * ERR_UNSUPPORTED as public_key_parse; ERR_LIMIT above KEY_FILE_MAX.
 */
enum err private_key_parse(struct private_key *k, struct view text);

/* Not for security keys (ERR_UNSUPPORTED). RSA draws from the system whatever `rng` is. */
enum err private_key_generate(struct private_key *k, enum key_type type, const struct rng *rng);

/*
 * An RSA key, which takes from tenths of a second to seconds. ERR_CANCELLED, within milliseconds,
 * once another thread has set *stop (NULL: nobody does).
 */
enum err private_key_generate_rsa(struct private_key *k, const atomic_bool *stop);

/* Wipes; a zeroed struct is fine. */
void private_key_fini(struct private_key *k);

/*
 * Appends the signature blob over `data` (an exchange hash, a USERAUTH_REQUEST, …) by `algorithm`
 * in either form. ERR_UNSUPPORTED when it is not one of this key's type. Thread safe on one key.
 */
enum err private_key_sign(const struct private_key *k, struct view algorithm, struct view data,
                          struct buf *out);

/* Appends the unencrypted openssh-key-v1 text, with a final newline. */
enum err private_key_write_openssh(const struct private_key *k, const char *comment,
                                   const struct rng *rng, struct buf *out);

/* Appends PKCS#8 PEM ("PRIVATE KEY"). */
enum err private_key_write_pem(const struct private_key *k, struct buf *out);

#endif
