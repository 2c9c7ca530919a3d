/*
 * Where the authorize replicas are: every address that the configured targets stand for, looked up
 * again and again without holding up the loop, so that a replica that is started is noticed. A
 * name that cannot be resolved for a while keeps its last addresses.
 */
#ifndef PROXY_REPLICAS_H
#define PROXY_REPLICAS_H

#include "common/io/loop.h"
#include "proxy/replica_table.h"

enum {
    REPLICAS_RESOLVE_MS = 3000,     /* between two lookups of a name */
    REPLICAS_RESOLVE_MIN_MS = 1000, /* the same, after a failure */
};

struct replicas;

/* `on_found`: there is an address that was not known. Never inside a call of this header. */
struct replicas *replicas_new(struct loop *loop, loop_fn on_found, void *ctx);
void replicas_free(struct replicas *r);

/* "host:port" or "https://host:port". Names are looked up at the next tick. */
void replicas_configure(struct replicas *r, const char *const *targets, size_t count);

/* Looks up what is due. Several times a second. */
void replicas_tick(struct replicas *r);

/* An address has failed: names are looked up earlier than they would be. */
void replicas_hurry(struct replicas *r);

/* The addresses known now. */
struct replica_table *replicas_table(struct replicas *r);

#endif
