/*
 * Inside of common/rpc: the completion queue's thread and the way from it to the loop, and what
 * servers and channels share.
 */
#ifndef COMMON_RPC_RUNTIME_H
#define COMMON_RPC_RUNTIME_H

#include <grpc/grpc.h>
#include <stdbool.h>
#include <uv.h>

#include "common/rpc/rpc.h"

struct rpc_tag;

/*
 * On the thread where it is found to be done. True: handled, false: on to the loop. NULL is the
 * same as false.
 */
typedef bool (*rpc_poll_fn)(struct rpc_tag *tag);
typedef void (*rpc_tag_fn)(struct rpc_tag *tag);

/* What a batch of operations is started with. One completion at a time. */
struct rpc_tag {
    rpc_poll_fn on_poll;
    rpc_tag_fn on_loop;
    bool ok; /* of the completion */
    struct rpc_tag *next;
};

struct rpc {
    struct loop *loop;
    grpc_completion_queue *queue;
    uv_thread_t thread;
    uv_mutex_t lock; /* guards what follows and every pump on this runtime */
    struct rpc_tag *first;
    struct rpc_tag *last;
    bool posted;
    /* Loop only. */
    size_t owners; /* open servers and channels */
    bool closing;
    rpc_closed_fn closed;
    void *closed_ctx;
};

/* A server or channel is gone. */
void rpc_drop_owner(struct rpc *rpc);

/*
 * Any thread: `tag->on_loop` will run on the loop. The caller holds rpc->lock; when the answer is
 * true it calls rpc_wake once it has let go of it, so that the loop does not wake into the lock.
 */
[[nodiscard]] bool rpc_push_locked(struct rpc *rpc, struct rpc_tag *tag);
void rpc_wake(struct rpc *rpc);

/*
 * Starts one operation. True: it was done at once, tag->ok is set and nobody else is told: neither
 * the polling thread nor the loop is woken for it. False: it is told in the usual way, perhaps
 * already. Not under rpc->lock: what else is found to be done is handled inside.
 */
[[nodiscard]] bool rpc_start_now(struct rpc *rpc, grpc_call *call, const grpc_op *op,
                                 struct rpc_tag *tag);

/* Arguments that servers and channels share; `extra` may be 0. */
enum { RPC_ARGS_MAX = 24 };
struct rpc_args {
    grpc_arg items[RPC_ARGS_MAX];
    size_t count;
};
void rpc_args_int(struct rpc_args *a, const char *key, int value);
void rpc_args_str(struct rpc_args *a, const char *key, const char *value);
void rpc_args_common(struct rpc_args *a);
grpc_channel_args rpc_args_get(struct rpc_args *a);

#endif
