/*
 * The gRPC runtime of one loop: a completion queue, the thread that polls it, and the way from
 * there to the loop. Servers and channels are opened on it; all their callbacks run on the loop's
 * thread, never inside the call that caused them. The process must not fork after the first
 * rpc_open (dependencies of gRPC); fork and exec is fine.
 */
#ifndef COMMON_RPC_RPC_H
#define COMMON_RPC_RPC_H

#include "common/io/loop.h"

enum {
    RPC_MESSAGE_MAX = 4 << 20,    /* bytes of one message, both ways */
    RPC_SEND_MESSAGES_MAX = 1024, /* queued on one stream; more is ERR_BUSY */
    RPC_SEND_BYTES_MAX = 8 << 20,
    RPC_SEND_PACED_BYTES = 1 << 20, /* queued, where a long row of messages waits */
    RPC_RECV_QUEUE = 64,            /* received on one stream and not yet handled: reading pauses */
};

struct rpc;

typedef void (*rpc_closed_fn)(void *ctx);

/*
 * Where gRPC's own log lines go (failed handshakes, failed binds); any thread. Without it they are
 * dropped. The text is valid during the call.
 */
typedef void (*rpc_log_fn)(bool is_error, const char *text);
void rpc_set_log(rpc_log_fn fn);

struct rpc *rpc_open(struct loop *loop);

/*
 * After every server and channel on it was told to close. `closed` runs on the loop once they and
 * the polling thread are gone; the pointer is dead from then on.
 */
void rpc_close(struct rpc *rpc, rpc_closed_fn closed, void *ctx);

#endif
