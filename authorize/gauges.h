/* What authorize shows on /metrics besides what it counts as it goes. */
#ifndef AUTHORIZE_GAUGES_H
#define AUTHORIZE_GAUGES_H

#include <stdbool.h>

/* struct daemon_spec.collect; ctx is a struct authorize. */
bool gauges_collect(void *ctx);

#endif
