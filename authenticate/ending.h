/* The end of a session: the record, its bindings and its tokens go in one write. */
#ifndef AUTHENTICATE_ENDING_H
#define AUTHENTICATE_ENDING_H

#include "authenticate/broker.h"

struct ending;

/* OK also when the session was gone already. The ending is over then, not to be cancelled. */
typedef void (*ending_fn)(void *ctx, enum err e, const char *text);

/* Never calls back inside. Holds a reference to `b`. */
struct ending *ending_start(struct broker *b, const char *session_id, ending_fn done, void *ctx);

/* No callback any more; the write may happen nevertheless. NULL is fine. */
void ending_cancel(struct ending *e);

#endif
