/*
 * Is our copy of the shared state current? The databroker is asked for its newest version; when the
 * copy has reached what it answers, the copy was current at the moment of the question. A check is
 * decided on a copy that was current after the check came: what was acknowledged to anybody
 * before (a revocation, a sign-in) is in the decision, also on a replica that lags, or that was
 * stopped for a while.
 *
 * Questions are numbered from 1 and asked one at a time. `now` is in ms of a clock that goes on.
 */
#ifndef AUTHORIZE_LIVE_CURRENCY_H
#define AUTHORIZE_LIVE_CURRENCY_H

#include <stdbool.h>
#include <stdint.h>

enum {
    CURRENCY_LAG_MS = 2000,     /* in doubt for this long: another replica may know more */
    CURRENCY_GIVE_UP_MS = 5000, /* nobody answers for this long: there is nothing newer to be had */
};

struct currency_version {
    uint64_t server_version; /* 0 = nothing was copied yet */
    uint64_t record_version;
};

/* A zeroed struct has no proof and is not in doubt. */
struct currency {
    uint64_t asked;     /* number of the last question */
    uint64_t proved;    /* of the newest question whose answer was reached; 0 = none */
    uint64_t proved_at; /* when that was asked */
    uint64_t asked_at;
    uint64_t doubt_at; /* since when there is a question without a proof; 0 = there is none */
    bool is_asking;
    bool has_failed; /* no answer came since doubt_at */
    bool is_behind;  /* answered; the copy has not reached `want` yet */
    struct currency_version want;
};

enum currency_state {
    CURRENCY_PROVED, /* decide */
    CURRENCY_WAIT,   /* decide later */
    CURRENCY_NONE,   /* no proof is to be had: the copy may be as old as proved_at says */
};

/* The number that a proof for something that comes now must have. */
uint64_t currency_needs(const struct currency *c);

/* What holds for something that needs that number. */
enum currency_state currency_of(const struct currency *c, uint64_t needs, uint64_t now);

/* True when a question may be asked: none is under way or waits for the copy. */
bool currency_may_ask(const struct currency *c);

/* A question goes out. */
void currency_asked(struct currency *c, uint64_t now);

/* Its answer. currency_reached says whether the copy is there already. */
void currency_answered(struct currency *c, struct currency_version newest, uint64_t now);

/* It has no answer. */
void currency_failed(struct currency *c);

/*
 * The copy is at `have`. True when that is a proof: those that waited for it are to be looked at.
 * An answer of another history than the copy's is dropped; the next question tells.
 */
bool currency_reached(struct currency *c, struct currency_version have);

/* This process was stopped: how long it was in doubt does not count. */
void currency_paused(struct currency *c, uint64_t now);

/* Another replica may have a newer copy. */
bool currency_lags(const struct currency *c, uint64_t now);

#endif
