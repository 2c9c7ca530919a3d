/* The browser's session: the cookie, and the records behind it. */
#ifndef AUTHENTICATE_SESSION_H
#define AUTHENTICATE_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "common/oidc/claims.h"

struct exchange;
struct tokens;

/* A zeroed struct session is none. */
struct session {
    bool valid;
    char *id;
    char *user_id;
    char *email;
    char *name;
    char *idp_id;
    uint64_t issued_ms;
    uint64_t expires_ms;
    bool refresh_disabled; /* its tokens are left alone */
    struct claims claims;
};
void session_fini(struct session *s);

/* What to call the person: email, else name, else user id. Lives as the session. */
const char *session_label(const struct session *s);

/*
 * Reads the cookie and the Session record into x->session, then calls `then`, with valid false
 * when there is none, it is over or it is of another provider than the one in force.
 */
void session_load(struct exchange *x, void (*then)(struct exchange *x));

/* The same for the Session record `id`, however the request named it. */
void session_read(struct exchange *x, const char *id, void (*then)(struct exchange *x));

/*
 * The same for the token that the request presents (session_handle.h): the cookie of a route's
 * host, X-Pomerium-Authorization, "Authorization: Pomerium TOKEN" or "Bearer Pomerium-TOKEN".
 */
void session_load_token(struct exchange *x, void (*then)(struct exchange *x));

/* The same without cookies, which browsers send for anybody. */
void session_load_header(struct exchange *x, void (*then)(struct exchange *x));

/*
 * Makes a token for x->session, for whoever asked at `host`, into x->token, then calls `then`.
 * Where it cannot be made the exchange is consumed. `host` lives as long as the exchange.
 */
void session_grant(struct exchange *x, const char *host, void (*then)(struct exchange *x));

/* Who has signed in at a provider. */
struct session_identity {
    const char *user_id;
    const char *email;
    const char *name;
    const char *idp_id;
    const struct claims *claims;
    const struct tokens *tokens; /* NULL: there are none */
};

/*
 * Writes User, Session and SealedTokens, sets the cookie and redirects to `return_to`, a path of
 * ours. Consumes the exchange.
 */
void session_create(struct exchange *x, const struct session_identity *who, const char *return_to);

/*
 * Deletes the session, its bindings and its tokens and clears the cookie, then calls `then`.
 */
void session_delete(struct exchange *x, void (*then)(struct exchange *x));

#endif
