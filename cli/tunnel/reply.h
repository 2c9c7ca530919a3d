/* What an HTTP status of the gateway means to a client, and how long to wait before the next try.
 * Pure. */
#ifndef CLI_TUNNEL_REPLY_H
#define CLI_TUNNEL_REPLY_H

#include <stdint.h>

#include "common/base/err.h"
#include "common/base/view.h"

/* Exit statuses of the client commands besides CLI_OK, CLI_FAILED and CLI_USAGE. */
enum {
    EXIT_DENIED = 3,      /* the gateway says no */
    EXIT_LOGIN = 4,       /* nobody is signed in, and signing in did not help */
    EXIT_UNREACHABLE = 5, /* no connection to the gateway */
    EXIT_TARGET = 6,      /* the gateway could not reach the target, or not decide now */
};

enum reply {
    REPLY_OPEN,
    REPLY_LOGIN,       /* sign in, then once more */
    REPLY_DENIED,      /* 403 */
    REPLY_NO_ROUTE,    /* 404 */
    REPLY_CERTIFICATE, /* 495 */
    REPLY_UNAVAILABLE, /* 503 */
    REPLY_OTHER,
};
enum reply reply_of(unsigned status);
int reply_exit_status(enum reply r);

/*
 * The sentence for people, fresh memory: what `gateway` said about `target`. `said` is its own
 * sentence, may be empty.
 */
char *reply_sentence(unsigned status, const char *target, const char *gateway, struct view said);

/* The gateway's sentence in a JSON answer ("message", "error", "description", "statusText"); fresh,
 * or "". */
char *reply_said(struct view body);

enum { BACKOFF_FIRST_MS = 1000, BACKOFF_MAX_MS = 30000, BACKOFF_TRIES = 6 };

/* How long to wait after try number `failed` (1 is the first); `random` spreads clients. */
uint64_t backoff_ms(unsigned failed, uint32_t random);

/* When the token ends by its own words: Unix milliseconds, 0: it does not say. ERR_SYNTAX. */
enum err token_expiry(struct view token, uint64_t *out_ms);

#endif
