/* X.509 objects out of PEM, for the sources of this folder alone. */
#ifndef COMMON_CRYPTO_X509_PEM_H
#define COMMON_CRYPTO_X509_PEM_H

#include <openssl/x509.h>

#include "common/base/err.h"
#include "common/base/view.h"

/* All certificates in `pem`, one at least; other blocks are skipped. ERR_SYNTAX, ERR_LIMIT. */
enum err x509_pem_read(struct view pem, STACK_OF(X509) * *out);

static inline void x509_pem_free(STACK_OF(X509) * *p)
{
    sk_X509_pop_free(*p, X509_free);
}

#endif
