#include "proxy/dials.h"

#include "common/daemon/metrics.h"

void dials_count(enum err e)
{
    metrics_add(METRIC_UPSTREAM_DIALS, 1,
                e == OK                ? "connected"
                : e == ERR_UNAVAILABLE ? "unreachable"
                : e == ERR_TIMEOUT     ? "timeout"
                : e == ERR_NOT_FOUND   ? "unknown_name"
                                       : "other");
}
