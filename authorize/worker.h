/* The Decide streams: one per worker. */
#ifndef AUTHORIZE_WORKER_H
#define AUTHORIZE_WORKER_H

#include "authorize/authorize.h"
#include "authorize/convert_routes.h"

struct worker {
    struct authorize *authorize;
    struct rpc_call *call;
    uint64_t id;       /* in authorize.workers, and the key of its connections in the index */
    char *instance;    /* NULL until Hello */
    uint64_t heard_at; /* loop time */
    char *build;       /* as its Hello and heartbeats say, down to connections */
    char *host;
    char *config_hash;
    uint64_t started_ms; /* Unix */
    uint64_t connections;
    struct convert_routes table; /* on its way, part by part */
    bool is_ready;               /* has had a whole one */
    bool finished;               /* its end is under way: nothing is sent any more */
};

/* The method table for rpc_server_open; static. */
const struct rpc_method *worker_methods(size_t *out_count);

/* What live_index takes for LIVE_BY_STREAM; lives with the worker. */
struct view worker_key(const struct worker *w);

/*
 * After every send: a worker that does not read as fast as it should is ended, it comes back and
 * registers everything. False when the message was not taken.
 */
bool worker_sent(struct worker *w, enum err e);

/* Heartbeats, silence, cuts that are not confirmed. Each second. */
void workers_tick(struct authorize *a);

/* A heartbeat at once: the workers compare what it says with what other replicas say. */
void workers_tell(struct authorize *a);

/* The route table, after a reload. */
void workers_send_routes(struct authorize *a);

/* A table is on its way: what needs a cluster of it has to come after it. */
bool worker_lacks_table(const struct worker *w);

/* Ends all streams: the workers go to another replica. */
void workers_end(struct authorize *a, const char *why);

#endif
