/* Inside of common/rpc: a channel and what is under way on it. */
#ifndef COMMON_RPC_CHANNEL_H
#define COMMON_RPC_CHANNEL_H

#include <grpc/grpc.h>

#include "common/base/slots.h"
#include "common/rpc/client.h"
#include "common/rpc/runtime.h"

struct rpc_channel {
    struct rpc *rpc;
    grpc_channel **grpc; /* one per target */
    size_t count;
    size_t current;
    struct slots unary;   /* calls that will call back */
    struct slots streams; /* streams that will call back */
    size_t live;          /* calls and streams not yet freed */
    bool closing;
    rpc_closed_fn closed;
    void *closed_ctx;
};

/* A call to `method` on target `target`, without a deadline when timeout_ms is 0. */
grpc_call *channel_call(struct rpc_channel *c, size_t target, struct rpc_method_name method,
                        uint64_t timeout_ms);

/* A call or stream on `target` ended: on UNAVAILABLE the next one is tried from now on. */
void channel_result(struct rpc_channel *c, size_t target, enum rpc_status status);

/* One fewer is live. */
void channel_drop(struct rpc_channel *c);

/* Cancels without callbacks. */
void unary_abandon_all(struct rpc_channel *c);
void stream_abandon(struct rpc_stream *s);

/* The status of a finished call, with a text that is never NULL; frees `details`. */
char *channel_text(enum rpc_status status, grpc_slice details);

#endif
