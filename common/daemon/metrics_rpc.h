/* What gRPC servers count, for struct rpc_server_config. */
#ifndef COMMON_DAEMON_METRICS_RPC_H
#define COMMON_DAEMON_METRICS_RPC_H

#include "common/rpc/server.h"

void metrics_rpc_done(const char *name, enum rpc_kind kind, enum rpc_status status, uint64_t us,
                      void *ctx);

#endif
