/* The databroker as a daemon: the store, its threads, the gRPC server. */
#ifndef DATABROKER_DAEMON_H
#define DATABROKER_DAEMON_H

#include "common/daemon/daemon.h"
#include "databroker/broker.h"

struct presence;

struct databroker {
    struct daemon *daemon;
    const struct config *config; /* that it was started with; only a restart changes it */
    struct rpc *rpc;
    struct broker broker;
    struct presence *presence; /* our own Instance record */
    bool draining;
    bool stopping;
};

enum err databroker_start(void *ctx, struct daemon *daemon, struct diag *diag);
enum err databroker_reload(void *ctx, const struct config *config, struct diag *diag);
void databroker_drain(void *ctx);
void databroker_stop(void *ctx);
void databroker_fini(void *ctx);

#endif
