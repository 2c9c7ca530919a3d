/*
 * One refresh of one session's tokens: read them and the session, ask the provider, write what it
 * gave. A provider that takes the refresh token no more ends the session.
 */
#ifndef AUTHENTICATE_REFRESH_H
#define AUTHENTICATE_REFRESH_H

#include "authenticate/server.h"

struct refresh;

/*
 * OK: new tokens are stored, or somebody else has written the records meanwhile. ERR_DENIED: the
 * session was ended. ERR_UNSUPPORTED: it is not to be refreshed now (refresh_disabled, another
 * provider). Anything else: it may work later. The refresh is over then, not to be cancelled.
 */
typedef void (*refresh_fn)(void *ctx, enum err e);

/* Never calls back inside. Holds a reference to `b`. */
struct refresh *refresh_start(struct server *s, struct broker *b, const char *session_id,
                              refresh_fn done, void *ctx);

/* No callback any more. NULL is fine. */
void refresh_cancel(struct refresh *r);

#endif
