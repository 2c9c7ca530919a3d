/*
 * Leases: one holder per name, for a time. They end with the process; a holder that renews then
 * learns that it must acquire again. Times are monotonic milliseconds.
 */
#ifndef DATABROKER_LEASE_H
#define DATABROKER_LEASE_H

#include "common/base/err.h"
#include "common/base/map.h"
#include "common/crypto/rng.h"

enum { LEASE_NAME_MAX = 200, LEASE_COUNT_MAX = 1000, LEASE_ID_LEN = 32 };

/* The longest time that one call may ask for: an hour. */
#define LEASE_DURATION_MAX_MS UINT64_C(3600000)

struct leases {
    struct map by_name;
    const struct rng *rng;
};

/* A zeroed struct with its rng set is empty. */
void leases_fini(struct leases *l);

/*
 * ERR_EXISTS: another holds it; ERR_SYNTAX: the name, ERR_RANGE: the duration; ERR_LIMIT. The id is
 * 32 hex digits and lives until the lease changes.
 */
enum err lease_acquire(struct leases *l, const char *name, uint64_t duration_ms, uint64_t now_ms,
                       const char **out_id);

/* ERR_EXISTS: no longer held under that id; ERR_RANGE. */
enum err lease_renew(struct leases *l, const char *name, const char *id, uint64_t duration_ms,
                     uint64_t now_ms);

/* How many are held. */
size_t lease_count(const struct leases *l, uint64_t now_ms);

/* Releasing what is not held does nothing. */
void lease_release(struct leases *l, const char *name, const char *id);

#endif
