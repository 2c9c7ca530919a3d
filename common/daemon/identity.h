/*
 * Who this service is towards the others: certificate, key and CA as PEM. They come from the
 * service_*_file keys or, without them, from shared_secret. config_file_load has done it already:
 * use config->service_certificate_authority, service_certificate and service_certificate_key.
 */
#ifndef COMMON_DAEMON_IDENTITY_H
#define COMMON_DAEMON_IDENTITY_H

#include "common/base/diag.h"
#include "common/config/config.h"

/*
 * Fills or checks the three: the certificate belongs to the key, is signed by the CA, is in time
 * at `now_ms` (Unix) and has the one SAN postern://service/NAME. Errors go to `d`, as does the
 * warning about a derived identity.
 */
void identity_complete(struct config *c, uint64_t now_ms, struct diag *d);

#endif
