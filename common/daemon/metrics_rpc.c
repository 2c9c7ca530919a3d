#include "common/daemon/metrics_rpc.h"

#include "common/daemon/metrics.h"

void metrics_rpc_done(const char *name, enum rpc_kind kind, enum rpc_status status, uint64_t us,
                      void *ctx)
{
    (void)ctx;
    metrics_add(METRIC_GRPC_REQUESTS, 1, name, rpc_status_name(status));
    if (status == RPC_PERMISSION_DENIED)
        metrics_add(METRIC_GRPC_DENIED, 1);
    if (kind == RPC_UNARY)
        metrics_observe(METRIC_GRPC_DURATION, us, name);
}
