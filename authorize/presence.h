/*
 * Connection records: what `postern connections list` shows. Written at allow and every minute,
 * deleted when the connection is closed; writes and deletion of one never overtake each other.
 */
#ifndef AUTHORIZE_PRESENCE_H
#define AUTHORIZE_PRESENCE_H

#include "authorize/connection.h"

/* `c` is live, or something that its record says has changed. */
void presence_update(struct authorize *a, struct connection *c);

/*
 * The connection is gone. `ended`: its record is deleted; else its worker is lost, and may be
 * bringing it to another replica: deleted later unless somebody else has written it by then.
 */
void presence_end(struct authorize *a, const char *id, bool ended);

/* The memory-only history is a new one: writes all again. */
void presence_rewrite(struct authorize *a);

/* The flush timer's callback, and once each second. */
void presence_flush(void *ctx);

void presence_fini(struct authorize *a);

#endif
