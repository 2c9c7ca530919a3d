/*
 * What the leading authenticate does for all sessions: a synced copy of who expires when; every
 * minute what is over is deleted (sessions, their bindings and tokens, also those whose session an
 * administrator has revoked), and the provider's tokens are refreshed.
 */
#ifndef AUTHENTICATE_KEEPER_H
#define AUTHENTICATE_KEEPER_H

#include "authenticate/server.h"

struct keeper;

/* Holds a reference to `b`. Does nothing before keeper_extend. */
struct keeper *keeper_new(struct server *s, struct broker *b);

/* NULL is fine. */
void keeper_free(struct keeper *k);

/* This process leads until `until_ms` of loop_now_ms. */
void keeper_extend(struct keeper *k, uint64_t until_ms);

#endif
