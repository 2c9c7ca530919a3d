/*
 * The addresses at which an authorize may be found, and which of them to try next. Pure.
 *
 * An address that failed is left alone for a time that doubles; of those that may be tried one is
 * taken by chance, so that many workers that start together do not all go to the same replica.
 */
#ifndef PROXY_REPLICA_TABLE_H
#define PROXY_REPLICA_TABLE_H

#include "common/io/address.h"

enum {
    REPLICAS_MAX = 64,
    REPLICA_WAIT_MIN_MS = 200,
    REPLICA_WAIT_MAX_MS = 2000,
};

struct replica {
    char address[ADDRESS_TEXT_MAX]; /* "ip:port" */
    unsigned source;                /* which of the configured names stands for it */
    uint64_t ready_at;              /* not to be tried before */
    uint64_t wait_ms;               /* after the next failure */
};

struct replica_table {
    struct replica items[REPLICAS_MAX];
    size_t count;
};

/*
 * What the name `source` stands for now, in place of what it stood for. Addresses that stay keep
 * their waits; those beyond REPLICAS_MAX are left out. Returns how many are new.
 */
size_t replica_table_set(struct replica_table *t, unsigned source, const struct address *addresses,
                         size_t count, uint64_t now);

/* NULL when it is not there (any more). */
struct replica *replica_table_find(struct replica_table *t, const char *address);

/* It cannot be used: wait, and longer next time. Unknown addresses are ignored, as below. */
void replica_table_failed(struct replica_table *t, const char *address, uint64_t now);
void replica_table_good(struct replica_table *t, const char *address, uint64_t now);

/* Addresses that are in use already; NULLs in it are skipped. */
struct replica_used {
    const char *const *addresses;
    size_t count;
};

/*
 * The one to try next, none of `used`: by `draw` among those that may be tried now, else the first
 * that may (its ready_at says when). NULL when there is none.
 */
const struct replica *replica_table_pick(const struct replica_table *t, uint64_t now, uint64_t draw,
                                         struct replica_used used);

#endif
