/* The registered claims of a token whose signature was verified (RFC 7519 §4.1, OIDC Core
 * §3.1.3.7).
 */
#ifndef COMMON_JOSE_JWT_H
#define COMMON_JOSE_JWT_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/jose/jws.h"
#include "common/json/json.h"

/* What has to be true. Strings that are NULL are not looked at. */
struct jwt_expect {
    const char *issuer;
    const char *audience; /* is, or is one of, aud */
    const char *nonce;
    const char *azp; /* where azp is there it is this; with several aud it has to be there */
    uint64_t now_ms;
    uint64_t leeway_ms;
    bool need_exp;
    bool need_iat;
    bool need_sub;
};

/*
 * exp in the future, nbf and iat not in it, each with the leeway. ERR_EXPIRED; ERR_MISMATCH for
 * everything else; ERR_SYNTAX when a claim has the wrong type. *out_why (may be NULL) becomes a
 * static text on failure.
 */
enum err jwt_check(const struct json *claims, const struct jwt_expect *expect,
                   const char **out_why);

/* The payload as an object; ERR_SYNTAX. Fresh, json_free. Says nothing about the signature. */
enum err jwt_claims(const struct jws *t, struct json **out);

#endif
