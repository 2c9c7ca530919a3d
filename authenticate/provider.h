/*
 * The identity provider in force, counted: flows under way hold it, so that a reload may put
 * another one in its place.
 */
#ifndef AUTHENTICATE_PROVIDER_H
#define AUTHENTICATE_PROVIDER_H

#include "common/base/diag.h"
#include "common/config/config.h"
#include "common/oidc/oidc.h"

struct exchange;
struct login;
struct provider;

/* One kind of identity provider: a row. */
struct idp {
    const char *name; /* value of idp_provider */
    /* Sends the browser on its way; x->state is `login`. Consumes the exchange. */
    void (*begin)(struct exchange *x, struct login *login);
    /* May be NULL. ERR_CONFIG with a sentence in `diag`. */
    enum err (*init)(struct provider *p, const struct config *config, struct diag *diag);
};
extern const struct idp idp_local;
extern const struct idp idp_oidc;

struct provider {
    const struct idp *idp;
    bool has_oidc; /* it speaks OpenID Connect: the next two are filled */
    struct oidc_provider oidc;
    char *ca_file; /* for fetch; NULL: the system's store */
    unsigned refs;
};

/* NULL with a sentence in `diag`. One reference is the caller's. */
struct provider *provider_new(const struct config *config, struct diag *diag);
struct provider *provider_ref(struct provider *p);

/* NULL is fine. */
void provider_unref(struct provider *p);

#endif
