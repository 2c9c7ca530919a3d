/*
 * The tokens of the gateways, one file each, shared by all postern processes of a user:
 * $XDG_CACHE_HOME/postern/jwts (or ~/.cache/…), folder 0700, files 0600. Files and folders that
 * are links or somebody else's are not used. Nothing here is fatal: without a cache there is a
 * sign-in each time, after a sentence on stderr that says why.
 */
#ifndef CLI_TOKEN_CACHE_H
#define CLI_TOKEN_CACHE_H

#include <stdint.h>

#include "cli/tunnel/destination.h"

/* The token, "" when there is none or it has ended by its own words. Fresh, to be wiped. */
char *token_cache_read(const struct endpoint *at, uint64_t now_ms);

/* Written whole or not at all. */
void token_cache_write(const struct endpoint *at, const char *token);

/* Removes it when it is still `token` (NULL: whatever it is). */
void token_cache_remove(const struct endpoint *at, const char *token);

/*
 * Held while one of a user's processes signs in to a gateway. -1: another one holds it; -2: there
 * is no cache to lock. Ended with token_cache_unlock, which takes both.
 */
int token_cache_lock(const struct endpoint *at);
void token_cache_unlock(int lock);

/* The gateway that was used last, for commands without a URL; "" when there is none. Fresh. */
char *token_cache_last(void);
void token_cache_set_last(const char *url);

/* Calls `fn` for the URL of each gateway that has a token. */
void token_cache_each(void (*fn)(void *ctx, const char *url), void *ctx);

#endif
