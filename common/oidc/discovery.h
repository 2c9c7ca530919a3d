/* What a provider says about itself (OpenID Connect Discovery 1.0 §3, RFC 8414). */
#ifndef COMMON_OIDC_DISCOVERY_H
#define COMMON_OIDC_DISCOVERY_H

#include "common/base/err.h"
#include "common/base/view.h"

enum { DISCOVERY_MAX = 1 << 18 };

/* A zeroed struct discovery is empty. */
struct discovery {
    char *issuer;
    char *authorization_endpoint;
    char *token_endpoint;
    char *jwks_uri;
    char *userinfo_endpoint; /* NULL when there is none, as the next two */
    char *end_session_endpoint;
    char *revocation_endpoint;
    bool pkce_s256;  /* listed, or no methods are listed */
    bool auth_basic; /* listed, or no methods are listed */
    bool auth_post;
    bool iss_in_response; /* RFC 9207: the callback always carries iss */
};

void discovery_fini(struct discovery *d);

/* "ISSUER/.well-known/openid-configuration", one slash. Fresh memory. */
char *discovery_url(const char *issuer);

/*
 * The document, for the configured provider URL. The issuer has to be that URL exactly
 * (ERR_MISMATCH); every endpoint is an https URL, or http on a loopback host or when the provider
 * URL is http itself (ERR_MISMATCH); ERR_SYNTAX. On failure *out_why (fresh memory, never NULL
 * then) says what a person has to change. Replaces what was in `out`.
 */
enum err discovery_parse(struct view text, const char *provider_url, struct discovery *out,
                         char **out_why);

#endif
