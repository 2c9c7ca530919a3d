/* What policies ask about a client's certificate: names and fingerprints of one DER certificate. */
#ifndef COMMON_CRYPTO_X509_CLIENT_H
#define COMMON_CRYPTO_X509_CLIENT_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/crypto/digest.h"

enum { X509_CLIENT_DER_MAX = 16 * 1024, X509_CLIENT_NAMES_MAX = 256 };

/* Subject alternative names of one kind, NUL terminated, in order. */
struct x509_names {
    char **items;
    size_t count;
};

/* A zeroed one has no names and no fingerprints. */
struct x509_client {
    uint8_t fingerprint[DIGEST_SHA256_LEN]; /* SHA-256 of the DER */
    uint8_t spki_hash[DIGEST_SHA256_LEN];   /* SHA-256 of the SubjectPublicKeyInfo's DER */
    struct x509_names emails;
    struct x509_names dns;
    struct x509_names uris;
};

/*
 * Nothing of the certificate is believed here. Names with control bytes are left out, so that no
 * name ends at a NUL. ERR_LIMIT; ERR_SYNTAX, also for bytes behind the certificate.
 */
enum err x509_client_parse(struct x509_client *c, struct view der);
void x509_client_fini(struct x509_client *c);

#endif
