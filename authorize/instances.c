#include "authorize/instances.h"

#include "authorize/worker.h"
#include "common/base/mem.h"
#include "common/rpc/instance.h"

static void list_self(const struct authorize *a, struct instances *w)
{
    AUTO(buf_fini) struct buf problem;
    buf_init(&problem, INSTANCE_TEXT_MAX);
    health_problem(daemon_health(a->daemon), &problem);
    AUTO_FREE char *text = buf_to_str(&problem);
    const struct instance self = {
        .id = a->instance,
        .service = "authorize",
        .build = daemon_version(),
        .config_hash = a->snapshot->config->hash,
        .address = a->snapshot->config->internal_listen,
        .problem = text,
        .started_ms = a->started_ms,
        .connections = live_count(&a->live),
    };
    instances_add(w, &self);
}

static void list_worker(const struct worker *worker, struct instances *w)
{
    const struct instance proxy = {
        .id = worker->instance,
        .service = "proxy",
        .build = worker->build,
        .config_hash = worker->config_hash,
        .host = worker->host,
        .address = rpc_call_address(worker->call),
        .started_ms = worker->started_ms,
        .connections = worker->connections,
    };
    instances_add(w, &proxy);
}

static void on_list(void *ctx, struct instances *w)
{
    struct authorize *a = ctx;
    size_t cursor = 0;
    struct worker *worker;
    list_self(a, w);
    while ((worker = slots_next(&a->workers, &cursor))) {
        if (worker->instance && !worker->finished)
            list_worker(worker, w);
    }
}

struct instances *authorize_instances(struct authorize *a)
{
    return instances_open(a->loop, &a->records, a->instance, on_list, a);
}
