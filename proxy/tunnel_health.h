/*
 * Active health checks of the clusters in force: tcp (a connection) and ssh (identification and key
 * exchange by our engine). Each check of each endpoint has its own time with some jitter; only
 * HEALTH_CHECKS_RUNNING_MAX of them run at once. Changes are in the log.
 */
#ifndef PROXY_TUNNEL_HEALTH_H
#define PROXY_TUNNEL_HEALTH_H

#include "common/crypto/rng.h"
#include "common/io/loop.h"

enum {
    HEALTH_CHECKS_RUNNING_MAX = 32,
    HEALTH_CHECKS_FIRST_MS = 1000, /* the first check comes within this */
    HEALTH_CHECKS_WAIT_MS = 100,   /* when too many run: later, and up to as much again */
};

struct cluster;
struct health_checks;

struct health_checks *health_checks_new(struct loop *l, const struct rng *rng);

/* Begins to check the cluster's endpoints, and holds it. */
void health_checks_add(struct health_checks *h, struct cluster *c);

/* Ends all checks. */
void health_checks_clear(struct health_checks *h);
void health_checks_free(struct health_checks *h); /* NULL is fine */

#endif
