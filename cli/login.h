/*
 * Signing in to a gateway: by a service account's token, by a browser on this machine that brings
 * the token back to a listener on loopback, or by an address and a match code for any browser.
 */
#ifndef CLI_LOGIN_H
#define CLI_LOGIN_H

#include "cli/gateway.h"

enum { LOGIN_WAIT_MS = 10 * 60 * 1000 };

typedef void (*login_fn)(void *ctx, bool ok);

/*
 * A new token for the gateway, in g->token and in the cache. Whoever asks while one is under way
 * gets its end. `refused` (may be "") is the token that the gateway did not take: another one that
 * is in the cache by now is taken without asking anybody. Failures are said on stderr. Never calls
 * back inside.
 */
void login_open(struct gateway *g, const char *refused, login_fn on_done, void *ctx);

/* Ends one that is under way, as a failure. */
void login_cancel(struct gateway *g);

/* For commands that do one thing after the other: runs the loop. */
bool login_now(struct gateway *g, const char *refused);

#endif
