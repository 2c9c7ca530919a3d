/*
 * X.509 for the services (RFC 5280): a P-256 CA, leaves with SAN URI, DNS and IP, the CA that all
 * daemons derive from one secret, and what is asked about a certificate. PEM in and out, good for
 * OpenSSL (gRPC) and BoringSSL alike. `_at` is milliseconds since 1970.
 */
#ifndef COMMON_CRYPTO_X509_H
#define COMMON_CRYPTO_X509_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/digest.h"
#include "common/crypto/rng.h"

enum { X509_PEM_MAX = 256 * 1024, X509_CHAIN_MAX = 16, X509_NAMES_MAX = 64 };

/* A certificate and its private key (PKCS#8) as NUL terminated PEM. */
struct x509_pair {
    char *cert_pem;
    char *key_pem;
};
void x509_pair_fini(struct x509_pair *p); /* wipes the key; a zeroed struct is fine */

/* A CA with a fresh key. Subject CN = `common_name`. */
enum err x509_make_ca(const char *common_name, uint64_t not_before_at, uint64_t not_after_at,
                      struct x509_pair *out);

/*
 * The CA that `shared_secret` fixes: same key, subject, serial and validity (2020 to 2099) on each
 * call, so leaves of one process verify in another. ERR_RANGE when the secret is shorter than 32
 * bytes.
 */
enum err x509_derive_ca(struct view shared_secret, struct x509_pair *out);

struct x509_leaf {
    const char *common_name;
    const char *const *uris; /* NULL terminated lists; NULL = none */
    const char *const *dns;
    const char *const *ips; /* text form, v4 or v6 */
    uint64_t not_before_at;
    uint64_t not_after_at;
    bool server_auth; /* extended key usages */
    bool client_auth;
};

/*
 * A leaf with a fresh P-256 key and a random serial, signed by `ca`. ERR_SYNTAX: `ca` does not
 * parse or is no CA; ERR_RANGE: times; ERR_SYNTAX also for a malformed IP.
 */
enum err x509_make_leaf(const struct x509_pair *ca, const struct x509_leaf *leaf,
                        struct x509_pair *out);

/* The same, signed by its own key: the certificate of a server that has none. */
enum err x509_make_self_signed(const struct x509_leaf *leaf, struct x509_pair *out);

/* `postern://service/NAME` as a leaf for gRPC: both usages, CN NAME, `dns` and `ips` as above. */
enum err x509_make_service(const struct x509_pair *ca, const char *service,
                           const struct x509_leaf *extra, struct x509_pair *out);

struct x509_info {
    char *subject; /* "CN=…" in one line */
    char **uris;   /* SANs in order */
    size_t uris_len;
    char **dns;
    size_t dns_len;
    uint64_t not_before_at;
    uint64_t not_after_at;
    bool is_ca;
    uint8_t fingerprint[DIGEST_SHA256_LEN]; /* SHA-256 of the DER */
};

/* About the first certificate in `pem`. ERR_SYNTAX, ERR_LIMIT. */
enum err x509_info_parse(struct x509_info *i, struct view pem);
void x509_info_fini(struct x509_info *i);

/* Does the private key (any PEM form, not encrypted) belong to the first certificate? */
enum err x509_check_pair(struct view cert_pem, struct view key_pem); /* ERR_MISMATCH, ERR_SYNTAX */

/*
 * Is the first certificate in `pem` signed by one of `ca_pem`, in time at `now_at`? The rest of
 * `pem` may serve as intermediates. ERR_VERIFY, ERR_EXPIRED, ERR_SYNTAX.
 */
enum err x509_verify(struct view pem, struct view ca_pem, uint64_t now_at);

/* How many certificates; ERR_SYNTAX for none or a malformed one. */
enum err x509_count(struct view pem, size_t *out);

#endif
