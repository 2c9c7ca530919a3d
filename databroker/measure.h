/* What the databroker shows on /metrics besides what it counts as it goes. */
#ifndef DATABROKER_MEASURE_H
#define DATABROKER_MEASURE_H

#include <stdbool.h>

/* struct daemon_spec.collect; ctx is a struct databroker. */
bool measure_collect(void *ctx);

#endif
