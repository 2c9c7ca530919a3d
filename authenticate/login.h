/*
 * A sign-in under way. Its state is in a cookie of its own, so that several tabs may sign in at
 * the same time and what comes back is bound to the browser that began.
 */
#ifndef AUTHENTICATE_LOGIN_H
#define AUTHENTICATE_LOGIN_H

#include "authenticate/exchange.h"
#include "authenticate/login_state.h"

/*
 * Begins: makes the state and sends the browser to the provider, to come back to `return_to`, a
 * path of ours. Consumes the exchange.
 */
void login_begin(struct exchange *x, const char *return_to);

/*
 * The login that `state` names, from its cookie. ERR_NOT_FOUND: this browser has begun none;
 * otherwise as login_unseal.
 */
enum err login_load(struct exchange *x, struct view state, struct login *out);

/* Deletes the cookie. */
void login_forget(struct exchange *x, struct view state);

/*
 * True when x->session is valid. Otherwise the exchange is consumed: a GET signs in first and comes
 * back to `return_to`; a form is answered with a page that leads there, since sending it on to the
 * provider would leave the site (form-action of our Content-Security-Policy).
 */
bool login_has_session(struct exchange *x, const char *return_to);

#endif
