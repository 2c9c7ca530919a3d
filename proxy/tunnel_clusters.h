/*
 * The clusters in force: their endpoints' state, which outlives reloads, and the TLS contexts
 * towards them. A tunnel holds its cluster, so one that a reload has changed lives on with it.
 */
#ifndef PROXY_TUNNEL_CLUSTERS_H
#define PROXY_TUNNEL_CLUSTERS_H

#include "common/base/view.h"
#include "common/crypto/rng.h"
#include "common/io/loop.h"
#include "common/io/tls.h"
#include "proxy/tunnel/endpoints.h"

struct cluster {
    unsigned refs;
    struct cluster_spec *spec;
    struct endpoints endpoints;
    struct tls_context *tls; /* made when it is first used */
};

struct clusters;

struct clusters *clusters_new(struct loop *l, const struct rng *rng);
void clusters_free(struct clusters *cs);

/* Takes them over, and the list. */
void clusters_set(struct clusters *cs, struct cluster_specs *specs);

/* No health checks any more, until there is another configuration. */
void clusters_rest(struct clusters *cs);

/* Brings the metrics of endpoints up to date. */
void clusters_measure(const struct clusters *cs);

/* Held once more: cluster_leave. NULL when there is none. */
struct cluster *clusters_find(struct clusters *cs, const char *route_id);
void cluster_leave(struct cluster *c);

/* The context that a stream to an endpoint needs, owned by the cluster. ERR_CONFIG with a sentence
 * for the log, in fresh memory. */
enum err clusters_tls(struct clusters *cs, struct cluster *c, struct tls_context **out,
                      char **out_why);

#endif
