/*
 * Signed links to sign_in that end somewhere else than on a page of ours
 * (common/jose/signed_url.h): at a program's own listener, or on a route's host.
 */
#ifndef AUTHENTICATE_SIGN_IN_URL_H
#define AUTHENTICATE_SIGN_IN_URL_H

#include "authenticate/exchange.h"
#include "authenticate/login_state.h"

/* What the link says. Views may be empty, but for redirect_uri. */
struct sign_in_url {
    struct view redirect_uri;
    struct view callback_uri; /* the host that it was asked for at */
    struct view csrf;         /* hash of the cookie that began it, see route_callback.c */
    bool programmatic;
};

/* What the query of this request says; views into it. Nothing is checked. */
struct sign_in_url sign_in_url_of(const struct exchange *x);

/* Appends the link, good for `valid_ms` from now on. ERR_LIMIT. */
enum err sign_in_url_write(const struct exchange *x, const struct sign_in_url *u, uint64_t valid_ms,
                           struct buf *out);

/*
 * The way back to sign_in from the provider, a path: the same link, made anew so that a slow
 * sign-in does not outlive it. NULL: it is too long. Fresh memory.
 */
char *sign_in_url_again(const struct exchange *x, const struct sign_in_url *u);

/* route_callback.c: the link leads a browser to a route's host. Consumes the exchange. */
void handle_sign_in_browser(struct exchange *x, const struct sign_in_url *u);

/*
 * Is this very request, sent to `origin` ("https://host"), one of a link that a service of ours
 * has signed? False: it is answered with 400.
 */
bool signed_request_check(struct exchange *x, const char *origin);

/*
 * On to `location`, which carries a session or leads to where one is asked for: no page says where
 * it came from. With `e` other than OK, 400. Consumes the exchange.
 */
void handover_redirect(struct exchange *x, enum err e, const struct buf *location);

/* "https://host:port" of this request as a browser writes it; fresh memory, "" for a bad Host. */
char *request_origin(const struct exchange *x);

#endif
