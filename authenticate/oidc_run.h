/* A flow of common/oidc with its fetches done by libcurl. */
#ifndef AUTHENTICATE_OIDC_RUN_H
#define AUTHENTICATE_OIDC_RUN_H

#include "authenticate/provider.h"
#include "common/io/fetch.h"

struct oidc_run;

/*
 * The end: OIDC_REDIRECT, OIDC_DONE or OIDC_FAILED; the effect lives until the return. The run is
 * gone then: it is not cancelled any more.
 */
typedef void (*oidc_run_fn)(void *ctx, const struct oidc_effect *effect);

/* Takes `flow` over, which is one of `p`; a reference to `p` is held. */
struct oidc_run *oidc_run_new(struct fetcher *fetcher, struct provider *p, struct oidc_flow *flow,
                              oidc_run_fn done, void *ctx);

/* Begins. May end at once, inside this call. */
void oidc_run_start(struct oidc_run *r);

/* No callback any more. NULL is fine. */
void oidc_run_cancel(struct oidc_run *r);

/* "discovery", "keys", "token", "userinfo", for logs. */
const char *oidc_run_purpose(const struct oidc_effect *effect);

#endif
