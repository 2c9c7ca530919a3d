/*
 * When whose tokens are refreshed (core: min(access expiry, id_token expiry) - 1 min, never sooner
 * than 10 s after the last time), a few at a time. Fed with SealedTokens records.
 */
#ifndef AUTHENTICATE_REFRESHER_H
#define AUTHENTICATE_REFRESHER_H

#include "authenticate/server.h"

enum { REFRESHER_MAX = 4 }; /* at the same time */

struct refresher;

/* `may` says, when it is due, whether this session is to be refreshed by this process. */
typedef bool (*refresher_may_fn)(void *ctx, const char *session_id);

/* Holds a reference to `b`. */
struct refresher *refresher_new(struct server *s, struct broker *b, refresher_may_fn may,
                                void *ctx);

/* Cancels what runs. NULL is fine. */
void refresher_free(struct refresher *r);

/* A SealedTokens record was written. */
void refresher_put(struct refresher *r, const struct record *record);
void refresher_remove(struct refresher *r, const char *session_id);
void refresher_clear(struct refresher *r);

#endif
