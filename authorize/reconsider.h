/* What alters decisions about live connections: records, reloads and the clock. */
#ifndef AUTHORIZE_RECONSIDER_H
#define AUTHORIZE_RECONSIDER_H

#include "authorize/authorize.h"

/* A batch of durable records is complete. */
void reconsider_synced(struct authorize *a);

/* There is a new configuration: everything is decided again. */
void reconsider_reloaded(struct authorize *a);

/* Sets the timer for the next clock edge. After anything that may have moved it. */
void reconsider_arm(struct authorize *a);

/* The timer's callback. */
void reconsider_edge(void *ctx);

#endif
