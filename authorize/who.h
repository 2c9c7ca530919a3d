/* Who asks, as far as it is known, and what a policy gets to see of it. Parts of decide(). */
#ifndef AUTHORIZE_WHO_H
#define AUTHORIZE_WHO_H

#include "authorize/decide.h"

/*
 * Fills in who is behind the key, or the token. WHY_ALLOWED, or why nobody is known; `out` is left
 * alone then.
 */
enum decision_why who_by_key(const struct state *state, const struct ask *ask, uint64_t now_ms,
                             struct decision *out);
enum decision_why who_by_token(const struct snapshot *snapshot, const struct state *state,
                               const struct ask *ask, uint64_t now_ms, struct decision *out);

/* ERR_SYNTAX: the address of the client cannot be read. Borrows from all of them. */
enum err who_facts(const struct state *state, const struct ask *ask, uint64_t now_ms,
                   const struct decision *who, struct facts *out);

#endif
