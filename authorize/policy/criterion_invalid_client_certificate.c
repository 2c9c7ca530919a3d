/* invalid_client_certificate: none was presented in TLS, or one that downstream_mtls does not take.
 */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    (void)c;
    return !f->client || !f->client->presented || !f->client->valid;
}

static enum reason why(const struct facts *f)
{
    return f->client && f->client->presented ? REASON_INVALID_CLIENT_CERTIFICATE
                                             : REASON_CLIENT_CERTIFICATE_REQUIRED;
}

const struct criterion_type criterion_invalid_client_certificate = {
    .name = "invalid_client_certificate",
    .about = CRITERION_ABOUT_REQUEST,
    .ok = REASON_INVALID_CLIENT_CERTIFICATE,
    .not_ok = REASON_VALID_CLIENT_CERTIFICATE,
    .match = match,
    .why = why,
};
