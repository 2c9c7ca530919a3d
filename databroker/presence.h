/* The databroker's own Instance record, written into its store as every other daemon's is. */
#ifndef DATABROKER_PRESENCE_H
#define DATABROKER_PRESENCE_H

#include "databroker/daemon.h"

struct presence;

/* Writes it from now on: at a change, and before it expires. */
struct presence *presence_new(struct databroker *d);

/* The record is left to its end. NULL is fine. */
void presence_free(struct presence *p);

#endif
