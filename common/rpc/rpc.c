#include "common/rpc/rpc.h"

#include <dlfcn.h>
#include <grpc/support/log.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/runtime.h"

static _Atomic(rpc_log_fn) log_fn;
static pthread_once_t prepared = PTHREAD_ONCE_INIT;

static void on_grpc_log(gpr_log_func_args *args)
{
    rpc_log_fn fn = atomic_load(&log_fn);
    if (fn)
        fn(args->severity >= GPR_LOG_SEVERITY_ERROR, args->message);
}

/*
 * Before the first grpc_init: c-ares wants an /etc/hosts and leaks; Debian's abseil is built to
 * abort on a suspected lock cycle, which false alarms would turn into outages.
 */
static void prepare(void)
{
    /* Threads of ours that read the environment start later than the runtime. */
    setenv("GRPC_DNS_RESOLVER", "native", 1);
    gpr_set_log_function(on_grpc_log);
    grpc_init();
    union {
        void *symbol;
        void (*set)(int mode);
    } mutex = {.symbol =
                   dlsym(RTLD_DEFAULT,
                         "_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE")};
    if (mutex.symbol)
        mutex.set(0);
    grpc_shutdown();
}

void rpc_set_log(rpc_log_fn fn)
{
    atomic_store(&log_fn, fn);
}

static void on_posted(void *ctx)
{
    struct rpc *rpc = ctx;
    uv_mutex_lock(&rpc->lock);
    struct rpc_tag *tag = rpc->first;
    rpc->first = rpc->last = NULL;
    rpc->posted = false;
    uv_mutex_unlock(&rpc->lock);
    while (tag) {
        struct rpc_tag *next = tag->next;
        tag->next = NULL;
        tag->on_loop(tag);
        tag = next;
    }
}

bool rpc_push_locked(struct rpc *rpc, struct rpc_tag *tag)
{
    tag->next = NULL;
    if (rpc->last)
        rpc->last->next = tag;
    else
        rpc->first = tag;
    rpc->last = tag;
    bool first = !rpc->posted;
    rpc->posted = true;
    return first;
}

void rpc_wake(struct rpc *rpc)
{
    loop_post(rpc->loop, on_posted, rpc);
}

static void handle(struct rpc *rpc, struct rpc_tag *tag, bool ok)
{
    tag->ok = ok;
    if (tag->on_poll && tag->on_poll(tag))
        return;
    uv_mutex_lock(&rpc->lock);
    bool wake = rpc_push_locked(rpc, tag);
    uv_mutex_unlock(&rpc->lock);
    if (wake)
        rpc_wake(rpc);
}

/*
 * gRPC keeps the first completion of this thread back instead of queueing it and waking the
 * polling thread. It may be another one than ours.
 */
bool rpc_start_now(struct rpc *rpc, grpc_call *call, const grpc_op *op, struct rpc_tag *tag)
{
    void *done = NULL;
    int ok = 0;
    grpc_completion_queue_thread_local_cache_init(rpc->queue);
    grpc_call_error e = grpc_call_start_batch(call, op, 1, tag, NULL);
    int found = grpc_completion_queue_thread_local_cache_flush(rpc->queue, &done, &ok);
    CHECK(e == GRPC_CALL_OK);
    if (found && done != tag)
        handle(rpc, done, ok != 0);
    if (!found || done != tag)
        return false;
    tag->ok = ok != 0;
    return true;
}

static void on_poller_gone(void *ctx)
{
    struct rpc *rpc = ctx;
    uv_thread_join(&rpc->thread);
    CHECK(!rpc->first);
    grpc_completion_queue_destroy(rpc->queue);
    grpc_shutdown_blocking();
    uv_mutex_destroy(&rpc->lock);
    rpc_closed_fn closed = rpc->closed;
    void *closed_ctx = rpc->closed_ctx;
    mem_free(rpc);
    if (closed)
        closed(closed_ctx);
}

static void poll_queue(void *ctx)
{
    struct rpc *rpc = ctx;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(rpc->queue, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            break;
        handle(rpc, event.tag, event.success != 0);
    }
    loop_post(rpc->loop, on_poller_gone, rpc);
}

struct rpc *rpc_open(struct loop *loop)
{
    pthread_once(&prepared, prepare);
    struct rpc *rpc = mem_zalloc(sizeof(*rpc));
    rpc->loop = loop;
    CHECK(uv_mutex_init(&rpc->lock) == 0);
    grpc_init();
    rpc->queue = grpc_completion_queue_create_for_next(NULL);
    CHECK(uv_thread_create(&rpc->thread, poll_queue, rpc) == 0);
    return rpc;
}

void rpc_close(struct rpc *rpc, rpc_closed_fn closed, void *ctx)
{
    CHECK(!rpc->closing);
    rpc->closing = true;
    rpc->closed = closed;
    rpc->closed_ctx = ctx;
    if (rpc->owners == 0)
        grpc_completion_queue_shutdown(rpc->queue);
}

void rpc_drop_owner(struct rpc *rpc)
{
    if (--rpc->owners == 0 && rpc->closing)
        grpc_completion_queue_shutdown(rpc->queue);
}

void rpc_args_int(struct rpc_args *a, const char *key, int value)
{
    CHECK(a->count < RPC_ARGS_MAX);
    a->items[a->count++] =
        (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key, .value.integer = value};
}

void rpc_args_str(struct rpc_args *a, const char *key, const char *value)
{
    CHECK(a->count < RPC_ARGS_MAX);
    a->items[a->count++] = (grpc_arg){.type = GRPC_ARG_STRING,
                                      .key = (char *)(uintptr_t)key,
                                      .value.string = (char *)(uintptr_t)value};
}

/*
 * Keepalive finds a peer that was stopped or whose machine is gone: a ping each 10 s, answered
 * within 5 s. A server takes them from 5 s apart on, also without calls.
 */
void rpc_args_common(struct rpc_args *a)
{
    rpc_args_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, RPC_MESSAGE_MAX);
    rpc_args_int(a, GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, RPC_MESSAGE_MAX);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5000);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    rpc_args_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    rpc_args_int(a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5000);
}

grpc_channel_args rpc_args_get(struct rpc_args *a)
{
    return (grpc_channel_args){.num_args = a->count, .args = a->items};
}
