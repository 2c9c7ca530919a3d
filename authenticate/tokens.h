/* The provider's tokens of a session, and their sealed form in SealedTokens. Pure. */
#ifndef AUTHENTICATE_TOKENS_H
#define AUTHENTICATE_TOKENS_H

#include "common/base/secret.h"
#include "common/crypto/rng.h"
#include "common/oidc/oidc.h"

enum {
    TOKENS_MAX = 256 << 10, /* bytes, sealed */
    /* A token is renewed so long before its end; */
    TOKENS_EARLY_MS = 60 * 1000,
    /* never sooner than this after the last time; */
    TOKENS_PAUSE_MS = 10 * 1000,
    /* and after this when the provider does not say how long it lives. */
    TOKENS_UNKNOWN_MS = 60 * 60 * 1000,
};
#define TOKENS_NEVER UINT64_MAX

/* A zeroed struct tokens is empty. Times are ms since 1970, 0 = not said. */
struct tokens {
    char *access_token;
    char *refresh_token; /* "" when there is none */
    char *id_token;
    uint64_t access_expires_ms;
    uint64_t id_expires_ms;
};
void tokens_fini(struct tokens *t);

/* Copies. `old` (may be NULL) gives the id_token when a refresh brought none. */
void tokens_of_result(const struct oidc_result *r, const struct tokens *old, struct tokens *out);

/*
 * Appends the sealed form. It is bound to the session, so that a record moved to another session
 * opens nothing. ERR_LIMIT when the tokens are too large to keep.
 */
enum err tokens_seal(const struct tokens *t, const struct secret *key, const char *session_id,
                     const struct rng *rng, struct buf *out);

/* Replaces what was in `out`. ERR_VERIFY: sealed for another session or with another key. */
enum err tokens_unseal(struct view sealed, const struct secret *key, const char *session_id,
                       struct tokens *out);

/* When to refresh them, the last time having been at `last_ms`. TOKENS_NEVER: they cannot be. */
uint64_t tokens_refresh_at(const struct tokens *t, uint64_t last_ms);

#endif
