/*
 * Asks the databroker whether the copy is current (live/currency.h): each second, and at once when
 * a check comes. Checks wait here, in the order of their coming.
 */
#ifndef AUTHORIZE_PROOF_H
#define AUTHORIZE_PROOF_H

#include "authorize/connection.h"

/* `c` has come and is decided by connection_decide: at once, or when the copy is proved. */
void proof_wait(struct authorize *a, struct connection *c);

/* `c` is no longer waited for. Also for one that does not wait. */
void proof_leave(struct authorize *a, struct connection *c);

/* The copy has moved. */
void proof_synced(struct authorize *a);

/* Each second. */
void proof_tick(struct authorize *a);

/*
 * A process that was stopped (SIGSTOP, a suspended machine) goes on with the copy of then, and with
 * questions that nobody waits for any more. Its workers are sent away, and nobody is served until
 * the copy is proved again, or nobody can be asked: until then this is true. To be called before
 * anything that came from outside is looked at.
 */
bool proof_pauses(struct authorize *a);

#endif
