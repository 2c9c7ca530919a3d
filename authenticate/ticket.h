/*
 * What a browser carries from sign_in to the callback of a route's host: its token, sealed with a
 * key derived from shared_secret, so that every authenticate opens it. Good for a minute, for one
 * host, for the browser that began (its csrf cookie) and for one place to go on to. Pure.
 */
#ifndef AUTHENTICATE_TICKET_H
#define AUTHENTICATE_TICKET_H

#include "common/base/buf.h"
#include "common/base/secret.h"
#include "common/crypto/rng.h"

enum {
    TICKET_MS = 60 * 1000,
    TICKET_SKEW_MS = 60 * 1000, /* clocks of replicas may differ by this much */
    TICKET_TEXT_MAX = 7000,
};

/* A zeroed struct ticket is none. */
struct ticket {
    char *token;
    char *redirect_uri;
    char *csrf;          /* hash of the cookie */
    uint64_t expires_ms; /* of the session */
};
void ticket_fini(struct ticket *t);

/* Appends text for a URL; `origin` is the host's, "https://host". ERR_LIMIT. */
enum err ticket_seal(const struct ticket *t, const struct secret *shared, struct view origin,
                     const struct rng *rng, uint64_t now_ms, struct buf *out);

/*
 * Sealed with `shared` or `previous` (may be empty). ERR_VERIFY: not by us, or for another host;
 * ERR_EXPIRED; ERR_SYNTAX. Replaces what was in `out`.
 */
enum err ticket_open(struct view text, const struct secret *shared, const struct secret *previous,
                     struct view origin, uint64_t now_ms, struct ticket *out);

#endif
