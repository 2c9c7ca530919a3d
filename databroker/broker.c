#include "databroker/broker.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics_rpc.h"
#include "databroker/access.h"

#define SERVICE (&databroker__data_broker_service__descriptor)

enum {
    SERVICES = RPC_CALLER_AUTHENTICATE | RPC_CALLER_AUTHORIZE,
    READERS = SERVICES | RPC_CALLER_ADMIN,
};

/* Who may call what; which record types then is in access.c. */
static const struct rpc_method methods[] = {
    {.service = SERVICE, .name = "Get", .callers = READERS, .on_message = call_get},
    {.service = SERVICE, .name = "Query", .callers = READERS, .on_message = call_query},
    {.service = SERVICE, .name = "Put", .callers = READERS, .on_message = call_put},
    {.service = SERVICE, .name = "ListTypes", .callers = READERS, .on_message = call_list_types},
    {.service = SERVICE, .name = "ServerInfo", .callers = READERS, .on_message = call_server_info},
    {.service = SERVICE, .name = "GetOptions", .callers = READERS, .on_message = call_get_options},
    {.service = SERVICE, .name = "SetOptions", .callers = SERVICES, .on_message = call_set_options},
    {.service = SERVICE,
     .name = "AcquireLease",
     .callers = RPC_CALLER_AUTHENTICATE,
     .on_message = call_acquire_lease},
    {.service = SERVICE,
     .name = "RenewLease",
     .callers = RPC_CALLER_AUTHENTICATE,
     .on_message = call_renew_lease},
    {.service = SERVICE,
     .name = "ReleaseLease",
     .callers = RPC_CALLER_AUTHENTICATE,
     .on_message = call_release_lease},
    {.service = SERVICE,
     .name = "Sync",
     .kind = RPC_SERVER_STREAM,
     .callers = READERS,
     .on_message = watch_sync,
     .on_writable = watch_on_writable,
     .on_end = watch_on_end},
    {.service = SERVICE,
     .name = "SyncLatest",
     .kind = RPC_SERVER_STREAM,
     .callers = READERS,
     .on_message = watch_sync_latest,
     .on_writable = watch_on_writable,
     .on_end = watch_on_end},
};

static void on_denied(const struct rpc_peer *peer, const char *address, const char *method,
                      void *ctx)
{
    (void)ctx;
    log_warn("call refused", LOG_STR("name", peer->caller ? peer->name : "nobody"),
             LOG_STR("ip", address), LOG_STR("method", method));
}

enum err broker_serve(struct broker *b, struct rpc *rpc, const char *address,
                      const struct rpc_identity *identity)
{
    struct rpc_server_config config = {.address = address,
                                       .identity = *identity,
                                       .methods = methods,
                                       .count = ARRAY_LEN(methods),
                                       .ctx = b,
                                       .on_denied = on_denied,
                                       .on_done = metrics_rpc_done};
    return rpc_server_open(rpc, &config, &b->server);
}

void *broker_job_new(struct rpc_call *call, void *ctx, size_t size)
{
    struct broker_job *job = mem_zalloc(size);
    job->broker = ctx;
    job->call_id = rpc_call_id(call);
    return job;
}

struct rpc_call *broker_call(const struct broker *b, uint64_t call_id)
{
    return b->server ? rpc_call_get(b->server, call_id) : NULL;
}

struct rpc_call *broker_job_call(const struct broker_job *job)
{
    return broker_call(job->broker, job->call_id);
}

void broker_read(struct rpc_call *call, struct broker_job *job)
{
    enum err e = engine_read(job->broker->engine, &job->base);
    if (e == OK)
        return;
    rpc_fail(call, e);
    job->call_id = 0;
    job->base.done(&job->base);
}

bool broker_allow(struct rpc_call *call, const char *type, unsigned right)
{
    const struct rpc_peer *peer = rpc_call_peer(call);
    if (access_allows(peer->caller, type, (enum access_right)right))
        return true;
    log_warn("record refused", LOG_STR("name", peer->name), LOG_STR("ip", rpc_call_address(call)),
             LOG_STR("method", rpc_call_method(call)->name), LOG_STR("type", type));
    rpc_finish(call, RPC_PERMISSION_DENIED, "this caller may not do that with this record type");
    return false;
}

void broker_audit(struct rpc_call *call, const char *type, const char *id)
{
    const struct rpc_peer *peer = rpc_call_peer(call);
    if (peer->caller == RPC_CALLER_ADMIN)
        log_info("admin call", LOG_STR("name", peer->name), LOG_STR("ip", rpc_call_address(call)),
                 LOG_STR("method", rpc_call_method(call)->name), LOG_STR("type", type),
                 LOG_STR("id", id));
}
