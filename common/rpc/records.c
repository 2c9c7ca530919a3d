#include "common/rpc/records.h"

#include "common/base/mem.h"
#include "common/rpc/convert.h"

enum { TIMEOUT_MS = 10000, LIMIT = 1000 };

/* What a call hands on to its caller, by the kind of call. */
struct pending {
    union {
        record_get_fn get;
        record_put_fn put;
        record_query_fn query;
        record_lease_fn lease;
        record_types_fn types;
        records_info_fn info;
    } done;
    void *ctx;
};

/* protobuf-c's string fields are not const; packing does not write to them. */
static char *text_of(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static uint64_t start(const struct records *r, const char *method, const ProtobufCMessage *request,
                      rpc_unary_fn done, struct pending pending)
{
    struct pending *p = mem_zalloc(sizeof(*p));
    *p = pending;
    struct rpc_unary_options options = {
        .timeout_ms = r->timeout_ms ? r->timeout_ms : TIMEOUT_MS, .wait = true, .drop = mem_free};
    struct rpc_method_name name = {&databroker__data_broker_service__descriptor, method};
    return rpc_unary(r->channel, name, request, options, done, p);
}

void records_cancel(const struct records *r, uint64_t id)
{
    rpc_unary_cancel(r->channel, id);
}

/* --- get --- */

static void on_get(void *ctx, enum rpc_status status, const char *text,
                   const ProtobufCMessage *response)
{
    AUTO_FREE struct pending *p = ctx;
    const Databroker__GetResponse *m = (const Databroker__GetResponse *)response;
    if (status != RPC_OK || !m->record) {
        p->done.get(p->ctx, status == RPC_OK ? ERR_PROTOCOL : rpc_status_err(status), text, NULL);
        return;
    }
    struct record found = record_of(m->record);
    p->done.get(p->ctx, OK, text, &found);
}

uint64_t records_get(const struct records *r, const ProtobufCMessageDescriptor *type,
                     const char *id, record_get_fn done, void *ctx)
{
    AUTO_FREE char *url = record_type(type);
    Databroker__GetRequest request = DATABROKER__GET_REQUEST__INIT;
    request.type = url;
    request.id = text_of(id);
    return start(r, "Get", &request.base, on_get, (struct pending){.done.get = done, .ctx = ctx});
}

/* --- put --- */

static void on_put(void *ctx, enum rpc_status status, const char *text,
                   const ProtobufCMessage *response)
{
    AUTO_FREE struct pending *p = ctx;
    const Databroker__PutResponse *m = (const Databroker__PutResponse *)response;
    if (status != RPC_OK) {
        p->done.put(p->ctx, rpc_status_err(status), text, NULL, 0);
        return;
    }
    AUTO_FREE uint64_t *versions = mem_zalloc_array(m->n_records, sizeof(*versions));
    for (size_t i = 0; i < m->n_records; i++)
        versions[i] = m->records[i]->version;
    p->done.put(p->ctx, OK, text, versions, m->n_records);
}

struct put_item {
    Databroker__Record record;
    Google__Protobuf__Any data;
    Google__Protobuf__Timestamp deleted;
};

static void fill_item(struct put_item *item, const struct record_write *w)
{
    databroker__record__init(&item->record);
    item->record.type = record_type(w->type);
    item->record.id = text_of(w->id);
    google__protobuf__any__init(&item->data);
    google__protobuf__timestamp__init(&item->deleted);
    if (!w->message) {
        /* The databroker puts its own time there. */
        item->deleted.seconds = 1;
        item->record.deleted_at = &item->deleted;
        return;
    }
    size_t len = protobuf_c_message_get_packed_size(w->message);
    item->data.type_url = item->record.type;
    item->data.value.data = mem_zalloc(len);
    item->data.value.len = protobuf_c_message_pack(w->message, item->data.value.data);
    item->record.data = &item->data;
}

uint64_t records_put(const struct records *r, const struct record_write *writes, size_t count,
                     record_put_fn done, void *ctx)
{
    AUTO_FREE struct put_item *items = mem_zalloc_array(count, sizeof(*items));
    AUTO_FREE Databroker__Record **records = mem_zalloc_array(count, sizeof(*records));
    AUTO_FREE uint64_t *expected = mem_zalloc_array(count, sizeof(*expected));
    bool conditional = false;
    for (size_t i = 0; i < count; i++) {
        fill_item(&items[i], &writes[i]);
        records[i] = &items[i].record;
        expected[i] = writes[i].expected;
        conditional = conditional || writes[i].expected != RECORDS_ANY;
    }
    Databroker__PutRequest request = DATABROKER__PUT_REQUEST__INIT;
    request.records = records;
    request.n_records = count;
    request.expected_versions = expected;
    request.n_expected_versions = conditional ? count : 0;
    uint64_t id =
        start(r, "Put", &request.base, on_put, (struct pending){.done.put = done, .ctx = ctx});
    for (size_t i = 0; i < count; i++) {
        if (items[i].data.value.data)
            mem_wipe(items[i].data.value.data, items[i].data.value.len);
        mem_free(items[i].data.value.data);
        mem_free(items[i].record.type);
    }
    return id;
}

/* --- query --- */

static void on_query(void *ctx, enum rpc_status status, const char *text,
                     const ProtobufCMessage *response)
{
    AUTO_FREE struct pending *p = ctx;
    const Databroker__QueryResponse *m = (const Databroker__QueryResponse *)response;
    if (status != RPC_OK) {
        p->done.query(p->ctx, rpc_status_err(status), text, NULL);
        return;
    }
    AUTO_FREE struct record *items = mem_zalloc_array(m->n_records, sizeof(*items));
    for (size_t i = 0; i < m->n_records; i++)
        items[i] = record_of(m->records[i]);
    struct record_list list = {.items = items,
                               .count = m->n_records,
                               .total = m->total_count < 0 ? 0 : (uint64_t)m->total_count,
                               .server_version = m->server_version,
                               .record_version = m->record_version};
    p->done.query(p->ctx, OK, text, &list);
}

uint64_t records_query(const struct records *r, const struct record_search *search,
                       record_query_fn done, void *ctx)
{
    Google__Protobuf__Value value = GOOGLE__PROTOBUF__VALUE__INIT;
    value.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    value.string_value = text_of(search->value);
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    entry.key = text_of(search->field);
    entry.value = &value;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    Google__Protobuf__Struct filter = GOOGLE__PROTOBUF__STRUCT__INIT;
    filter.n_fields = 1;
    filter.fields = entries;
    Databroker__QueryRequest request = DATABROKER__QUERY_REQUEST__INIT;
    request.type = text_of(search->type);
    request.query = text_of(search->text);
    request.offset = (int64_t)search->offset;
    request.limit = (int64_t)(search->limit ? search->limit : LIMIT);
    request.filter = search->field ? &filter : NULL;
    return start(r, "Query", &request.base, on_query,
                 (struct pending){.done.query = done, .ctx = ctx});
}

/* --- leases --- */

static void on_lease(void *ctx, enum rpc_status status, const char *text,
                     const ProtobufCMessage *response)
{
    AUTO_FREE struct pending *p = ctx;
    const char *id = NULL;
    if (status == RPC_OK && response->descriptor == &databroker__acquire_lease_response__descriptor)
        id = ((const Databroker__AcquireLeaseResponse *)response)->id;
    p->done.lease(p->ctx, rpc_status_err(status), text, id);
}

static Google__Protobuf__Duration duration_of(uint64_t ms)
{
    Google__Protobuf__Duration d = GOOGLE__PROTOBUF__DURATION__INIT;
    d.seconds = (int64_t)(ms / 1000);
    d.nanos = (int32_t)(ms % 1000) * 1000000;
    return d;
}

uint64_t records_lease_acquire(const struct records *r, const char *name, uint64_t duration_ms,
                               record_lease_fn done, void *ctx)
{
    Google__Protobuf__Duration duration = duration_of(duration_ms);
    Databroker__AcquireLeaseRequest request = DATABROKER__ACQUIRE_LEASE_REQUEST__INIT;
    request.name = text_of(name);
    request.duration = &duration;
    return start(r, "AcquireLease", &request.base, on_lease,
                 (struct pending){.done.lease = done, .ctx = ctx});
}

uint64_t records_lease_renew(const struct records *r, const char *name, const char *lease_id,
                             uint64_t duration_ms, record_lease_fn done, void *ctx)
{
    Google__Protobuf__Duration duration = duration_of(duration_ms);
    Databroker__RenewLeaseRequest request = DATABROKER__RENEW_LEASE_REQUEST__INIT;
    request.name = text_of(name);
    request.id = text_of(lease_id);
    request.duration = &duration;
    return start(r, "RenewLease", &request.base, on_lease,
                 (struct pending){.done.lease = done, .ctx = ctx});
}

uint64_t records_lease_release(const struct records *r, const char *name, const char *lease_id,
                               record_lease_fn done, void *ctx)
{
    Databroker__ReleaseLeaseRequest request = DATABROKER__RELEASE_LEASE_REQUEST__INIT;
    request.name = text_of(name);
    request.id = text_of(lease_id);
    return start(r, "ReleaseLease", &request.base, on_lease,
                 (struct pending){.done.lease = done, .ctx = ctx});
}

/* --- about the server --- */

static void on_types(void *ctx, enum rpc_status status, const char *text,
                     const ProtobufCMessage *response)
{
    AUTO_FREE struct pending *p = ctx;
    const Databroker__ListTypesResponse *m = (const Databroker__ListTypesResponse *)response;
    if (status == RPC_OK)
        p->done.types(p->ctx, OK, text, m->types, m->n_types);
    else
        p->done.types(p->ctx, rpc_status_err(status), text, NULL, 0);
}

uint64_t records_types(const struct records *r, record_types_fn done, void *ctx)
{
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;
    return start(r, "ListTypes", &request.base, on_types,
                 (struct pending){.done.types = done, .ctx = ctx});
}

static void on_info(void *ctx, enum rpc_status status, const char *text,
                    const ProtobufCMessage *response)
{
    AUTO_FREE struct pending *p = ctx;
    const Databroker__ServerInfoResponse *m = (const Databroker__ServerInfoResponse *)response;
    if (status != RPC_OK) {
        p->done.info(p->ctx, rpc_status_err(status), text, NULL);
        return;
    }
    struct records_info info = {.build = m->build,
                                .server_version = m->server_version,
                                .record_version = m->latest_record_version};
    if (m->memory) {
        info.memory_server_version = m->memory->server_version;
        info.memory_record_version = m->memory->latest_record_version;
    }
    p->done.info(p->ctx, OK, text, &info);
}

uint64_t records_info(const struct records *r, records_info_fn done, void *ctx)
{
    Google__Protobuf__Empty request = GOOGLE__PROTOBUF__EMPTY__INIT;
    return start(r, "ServerInfo", &request.base, on_info,
                 (struct pending){.done.info = done, .ctx = ctx});
}
