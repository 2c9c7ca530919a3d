/* Sign-ins: codes, who waits on them, and their records. */
#ifndef AUTHORIZE_SIGNIN_H
#define AUTHORIZE_SIGNIN_H

#include "authorize/authorize.h"
#include "authorize/connection.h"

/*
 * Makes `c` wait for a sign-in with its key: with the code that is in flight for it, else with a
 * new one. The link is shown once it is on record. When a cap is reached or the database is away
 * the connection is refused, and gone.
 */
void signin_begin(struct authorize *a, struct connection *c);

/* A registered connection goes on waiting on the code that it has shown. */
void signin_resume(struct authorize *a, struct connection *c, const char *code);

/* `c` no longer waits. */
void signin_leave(struct authorize *a, struct connection *c);

/* A synced request was written or deleted (request NULL). */
void signin_changed(struct authorize *a, const char *code, const struct request *request);

/* The picture of requests is complete; `renewed`: of another history, ours are written again. */
void signin_synced(struct authorize *a, bool renewed);

/* Bindings changed: releases who waits with a key that is bound by now. */
void signin_release(struct authorize *a);

/* Codes whose time is over. */
void signin_expire(struct authorize *a, uint64_t now_ms);

/* Writes what could not be written. Each second. */
void signin_tick(struct authorize *a);

/* The URL of a code; fresh memory. */
char *signin_url(const struct config *config, const char *code);

#endif
