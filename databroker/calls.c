/* The calls that read, and leases. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "databroker/access.h"
#include "databroker/broker.h"
#include "databroker/convert.h"
#include "databroker/filter.h"
#include "databroker/store/types.h"

/* --- Get --- */

struct get_job {
    struct broker_job job;
    char *type;
    char *id;
};

static void run_get(struct engine_job *base, struct store *store)
{
    struct get_job *g = CONTAINER_OF(base, struct get_job, job.base);
    struct history *h = store_history(store, g->type);
    g->job.err = h->ops->get(h, g->type, g->id, &g->job.page);
}

static void done_get(struct engine_job *base)
{
    struct get_job *g = CONTAINER_OF(base, struct get_job, job.base);
    struct rpc_call *call = broker_job_call(&g->job);
    if (call && g->job.err == ERR_NOT_FOUND) {
        rpc_finish(call, RPC_NOT_FOUND, "record not found");
    } else if (call && g->job.err != OK) {
        rpc_fail(call, g->job.err);
    } else if (call) {
        struct convert_record record;
        convert_row(&g->job.page.items[0], &record);
        Databroker__GetResponse response = DATABROKER__GET_RESPONSE__INIT;
        response.record = &record.record;
        rpc_reply(call, &response.base);
    }
    record_page_fini(&g->job.page);
    mem_free(g->type);
    mem_free(g->id);
    mem_free(g);
}

static bool is_id(const char *id)
{
    return id[0] && strlen(id) <= RECORD_ID_MAX;
}

/* False after it has refused a type that cannot be one. */
static bool check_type(struct rpc_call *call, const char *type)
{
    if (type_is_valid(type))
        return true;
    rpc_finish(call, RPC_INVALID_ARGUMENT, "not a record type");
    return false;
}

void call_get(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__GetRequest *request = (const Databroker__GetRequest *)message;
    broker_audit(call, request->type, request->id);
    if (!check_type(call, request->type) || !broker_allow(call, request->type, ACCESS_READ))
        return;
    if (!is_id(request->id)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "not a record id");
        return;
    }
    struct get_job *g = broker_job_new(call, ctx, sizeof(*g));
    g->job.base = (struct engine_job){.run = run_get, .done = done_get};
    g->type = mem_strdup(request->type);
    g->id = mem_strdup(request->id);
    broker_read(call, &g->job);
}

/* --- Query --- */

struct query_job {
    struct broker_job job;
    char *type;
    struct match match;
    uint64_t offset;
    uint64_t limit;
};

static bool on_match(void *ctx, const struct record_row *r)
{
    return match_row(ctx, r);
}

static void run_query(struct engine_job *base, struct store *store)
{
    struct query_job *q = CONTAINER_OF(base, struct query_job, job.base);
    struct history *h = store_history(store, q->type);
    struct history_query query = {.type = q->type,
                                  .offset = q->offset,
                                  .limit = q->limit,
                                  .bytes_max = BROKER_ANSWER_MAX,
                                  .match = on_match,
                                  .ctx = &q->match};
    q->job.err = h->ops->query(h, &query, &q->job.page);
}

static void reply_query(struct rpc_call *call, const struct record_page *page)
{
    AUTO_FREE struct convert_record *records = mem_zalloc_array(page->count, sizeof(*records));
    AUTO_FREE Databroker__Record **pointers = mem_zalloc_array(page->count, sizeof(*pointers));
    for (size_t i = 0; i < page->count; i++) {
        convert_row(&page->items[i], &records[i]);
        pointers[i] = &records[i].record;
    }
    Databroker__QueryResponse response = DATABROKER__QUERY_RESPONSE__INIT;
    response.records = pointers;
    response.n_records = page->count;
    response.total_count = (int64_t)page->total;
    response.server_version = page->server_version;
    response.record_version = page->record_version;
    rpc_reply(call, &response.base);
}

static void done_query(struct engine_job *base)
{
    struct query_job *q = CONTAINER_OF(base, struct query_job, job.base);
    struct rpc_call *call = broker_job_call(&q->job);
    if (call && q->job.err != OK)
        rpc_fail(call, q->job.err);
    else if (call)
        reply_query(call, &q->job.page);
    record_page_fini(&q->job.page);
    match_fini(&q->match);
    mem_free(q->type);
    mem_free(q);
}

void call_query(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__QueryRequest *request = (const Databroker__QueryRequest *)message;
    struct match match;
    broker_audit(call, request->type, NULL);
    if (!check_type(call, request->type) || !broker_allow(call, request->type, ACCESS_READ))
        return;
    enum err e = filter_parse(request, &match);
    if (e != OK) {
        rpc_finish(call, RPC_INVALID_ARGUMENT,
                   e == ERR_NOT_FOUND ? "the filter names a field that the type does not have"
                                      : "the filter cannot be read");
        return;
    }
    struct query_job *q = broker_job_new(call, ctx, sizeof(*q));
    q->job.base = (struct engine_job){.run = run_query, .done = done_query};
    q->type = mem_strdup(request->type);
    q->match = match;
    q->offset = request->offset > 0 ? (uint64_t)request->offset : 0;
    q->limit = request->limit > 0 && request->limit < BROKER_QUERY_MAX ? (uint64_t)request->limit
                                                                       : BROKER_QUERY_MAX;
    broker_read(call, &q->job);
}

/* --- ListTypes --- */

static void run_types(struct engine_job *base, struct store *store)
{
    struct broker_job *job = CONTAINER_OF(base, struct broker_job, base);
    job->err = store_types(store, &job->page);
}

static void reply_types(struct rpc_call *call, const struct record_page *page)
{
    Databroker__ListTypesResponse response = DATABROKER__LIST_TYPES_RESPONSE__INIT;
    AUTO_FREE char **types = mem_zalloc_array(page->count, sizeof(*types));
    for (size_t i = 0; i < page->count; i++)
        types[i] = (char *)(uintptr_t)page->items[i].type;
    response.types = types;
    response.n_types = page->count;
    rpc_reply(call, &response.base);
}

static void done_types(struct engine_job *base)
{
    struct broker_job *job = CONTAINER_OF(base, struct broker_job, base);
    struct rpc_call *call = broker_job_call(job);
    if (call && job->err != OK)
        rpc_fail(call, job->err);
    else if (call)
        reply_types(call, &job->page);
    record_page_fini(&job->page);
    mem_free(job);
}

void call_list_types(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    (void)message;
    broker_audit(call, NULL, NULL);
    struct broker_job *job = broker_job_new(call, ctx, sizeof(*job));
    job->base = (struct engine_job){.run = run_types, .done = done_types};
    broker_read(call, job);
}

/* --- ServerInfo --- */

struct info_job {
    struct broker_job job;
    struct record_page memory;
};

static void run_info(struct engine_job *base, struct store *store)
{
    struct info_job *i = CONTAINER_OF(base, struct info_job, job.base);
    struct history *durable = store_history(store, NULL);
    struct history *memory = store_memory(store);
    i->job.err = durable->ops->versions(durable, &i->job.page);
    if (i->job.err == OK)
        i->job.err = memory->ops->versions(memory, &i->memory);
}

static void done_info(struct engine_job *base)
{
    struct info_job *i = CONTAINER_OF(base, struct info_job, job.base);
    struct rpc_call *call = broker_job_call(&i->job);
    if (call && i->job.err != OK) {
        rpc_fail(call, i->job.err);
    } else if (call) {
        Databroker__Versions memory = DATABROKER__VERSIONS__INIT;
        memory.server_version = i->memory.server_version;
        memory.latest_record_version = i->memory.record_version;
        Databroker__ServerInfoResponse response = DATABROKER__SERVER_INFO_RESPONSE__INIT;
        response.server_version = i->job.page.server_version;
        response.earliest_record_version = i->job.page.cursor + 1;
        response.latest_record_version = i->job.page.record_version;
        response.build = (char *)(uintptr_t)i->job.broker->build;
        response.memory = &memory;
        rpc_reply(call, &response.base);
    }
    mem_free(i);
}

void call_server_info(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    (void)message;
    broker_audit(call, NULL, NULL);
    struct info_job *i = broker_job_new(call, ctx, sizeof(*i));
    i->job.base = (struct engine_job){.run = run_info, .done = done_info};
    broker_read(call, &i->job);
}

/* --- leases --- */

static struct leases *leases_of(void *ctx)
{
    return &((struct broker *)ctx)->leases;
}

void call_acquire_lease(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__AcquireLeaseRequest *request =
        (const Databroker__AcquireLeaseRequest *)message;
    const char *id;
    enum err e = lease_acquire(leases_of(ctx), request->name, convert_duration(request->duration),
                               loop_clock_ms(), &id);
    if (e == ERR_EXISTS) {
        rpc_finish(call, RPC_ALREADY_EXISTS, "lease is already taken");
    } else if (e != OK) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "a lease needs a name and a duration up to 1h");
    } else {
        Databroker__AcquireLeaseResponse response = DATABROKER__ACQUIRE_LEASE_RESPONSE__INIT;
        response.id = (char *)(uintptr_t)id;
        rpc_reply(call, &response.base);
    }
}

static void reply_empty(struct rpc_call *call)
{
    Google__Protobuf__Empty response = GOOGLE__PROTOBUF__EMPTY__INIT;
    rpc_reply(call, &response.base);
}

void call_renew_lease(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__RenewLeaseRequest *request = (const Databroker__RenewLeaseRequest *)message;
    enum err e = lease_renew(leases_of(ctx), request->name, request->id,
                             convert_duration(request->duration), loop_clock_ms());
    if (e == ERR_EXISTS)
        rpc_finish(call, RPC_ALREADY_EXISTS, "lease no longer held");
    else if (e != OK)
        rpc_finish(call, RPC_INVALID_ARGUMENT, "a lease needs a name and a duration up to 1h");
    else
        reply_empty(call);
}

void call_release_lease(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__ReleaseLeaseRequest *request =
        (const Databroker__ReleaseLeaseRequest *)message;
    lease_release(leases_of(ctx), request->name, request->id);
    reply_empty(call);
}
