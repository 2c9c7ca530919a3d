/*
 * The identity manager: of all replicas the one that holds the lease "identity_manager" keeps the
 * sessions (keeper.h). A lease that cannot be renewed in time is not acted upon.
 */
#ifndef AUTHENTICATE_JANITOR_H
#define AUTHENTICATE_JANITOR_H

#include "authenticate/server.h"

struct janitor;

struct janitor *janitor_new(struct server *s);

/* s->broker may be another one now. */
void janitor_reload(struct janitor *j);

/* Gives the lease back, if the databroker hears of it. NULL is fine. */
void janitor_free(struct janitor *j);

#endif
