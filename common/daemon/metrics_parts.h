/* Inside of common/daemon: what the registry and its rendering share. */
#ifndef COMMON_DAEMON_METRICS_PARTS_H
#define COMMON_DAEMON_METRICS_PARTS_H

#include "common/base/view.h"
#include "common/daemon/metrics.h"

struct metrics_label {
    struct view name;
    struct view values; /* "a|b" */
    size_t count;
};

/* The next of a row's labels. */
bool metrics_next_label(struct view *rest, struct metrics_label *out);

/* The bucket that a value belongs to; METRICS_BUCKETS is +Inf. */
size_t metrics_bucket(enum metrics_unit unit, uint64_t value);

#endif
