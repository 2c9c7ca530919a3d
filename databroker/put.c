/* Put and the options of types. */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/log.h"
#include "databroker/access.h"
#include "databroker/broker.h"
#include "databroker/convert.h"
#include "databroker/store/types.h"

/* --- Put --- */

struct put_job {
    struct engine_put put;
    struct broker *broker;
    uint64_t call_id;
    uint64_t *expected;
    uint64_t *versions;
};

static void put_free(struct put_job *p)
{
    for (size_t i = 0; i < p->put.rows.count; i++)
        mem_wipe((void *)(uintptr_t)p->put.rows.items[i].data.ptr, p->put.rows.items[i].data.len);
    record_page_fini(&p->put.rows);
    mem_free(p->expected);
    mem_free(p->versions);
    mem_free(p);
}

static void reply_put(struct rpc_call *call, const struct put_job *p)
{
    size_t count = p->put.rows.count;
    AUTO_FREE Databroker__Record *records = mem_zalloc_array(count, sizeof(*records));
    AUTO_FREE Databroker__Record **pointers = mem_zalloc_array(count, sizeof(*pointers));
    Google__Protobuf__Timestamp modified = convert_time(p->put.put.modified_ms);
    for (size_t i = 0; i < count; i++) {
        const struct record_row *row = &p->put.rows.items[i];
        databroker__record__init(&records[i]);
        records[i].version = p->versions[i];
        records[i].type = (char *)(uintptr_t)row->type;
        records[i].id = (char *)(uintptr_t)row->id;
        records[i].modified_at = &modified;
        records[i].deleted_at = row->deleted_ms ? &modified : NULL;
        pointers[i] = &records[i];
    }
    Databroker__PutResponse response = DATABROKER__PUT_RESPONSE__INIT;
    response.server_version = p->put.server_version;
    response.records = pointers;
    response.n_records = count;
    rpc_reply(call, &response.base);
}

static void done_put(struct engine_job *base)
{
    struct put_job *p = CONTAINER_OF(base, struct put_job, put.base);
    struct rpc_call *call = broker_call(p->broker, p->call_id);
    if (call && p->put.put.err != OK)
        rpc_fail(call, p->put.put.err);
    else if (call)
        reply_put(call, p);
    put_free(p);
}

/* Each record by itself: rights, form. NULL, or the sentence. */
static const char *check_record(const Databroker__Record *r)
{
    if (!type_is_valid(r->type))
        return "not a record type";
    if (!r->id[0] || strlen(r->id) > RECORD_ID_MAX)
        return "not a record id";
    if (r->deleted_at)
        return NULL;
    if (!r->data || strcmp(r->data->type_url, r->type) != 0)
        return "the data of a record must be of its type";
    return NULL;
}

static bool allow_record(struct rpc_call *call, const Databroker__Record *r, uint64_t expected)
{
    if (r->deleted_at)
        return broker_allow(call, r->type, ACCESS_DELETE);
    return broker_allow(call, r->type, expected == STORE_ANY ? ACCESS_PUT : ACCESS_PUT_IF);
}

static uint64_t expected_of(const Databroker__PutRequest *request, size_t i)
{
    return request->n_expected_versions ? request->expected_versions[i] : STORE_ANY;
}

static bool check_request(struct rpc_call *call, const Databroker__PutRequest *request)
{
    const char *why = NULL;
    if (request->n_records > STORE_PUT_MAX)
        why = "too many records";
    if (request->n_expected_versions && request->n_expected_versions != request->n_records)
        why = "expected_versions must be parallel to records";
    for (size_t i = 0; !why && i < request->n_records; i++) {
        const Databroker__Record *r = request->records[i];
        broker_audit(call, r->type, r->id);
        why = check_record(r);
        if (!why && !allow_record(call, r, expected_of(request, i)))
            return false;
    }
    if (why)
        rpc_finish(call, RPC_INVALID_ARGUMENT, why);
    return !why;
}

void call_put(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    struct broker *b = ctx;
    const Databroker__PutRequest *request = (const Databroker__PutRequest *)message;
    if (!check_request(call, request))
        return;
    struct put_job *p = mem_zalloc(sizeof(*p));
    p->put.base.done = done_put;
    p->broker = b;
    p->call_id = rpc_call_id(call);
    p->expected = mem_zalloc_array(request->n_records, sizeof(*p->expected));
    p->versions = mem_zalloc_array(request->n_records, sizeof(*p->versions));
    for (size_t i = 0; i < request->n_records; i++) {
        const Databroker__Record *r = request->records[i];
        struct record_row row = {.type = r->type, .id = r->id, .deleted_ms = r->deleted_at ? 1 : 0};
        if (!r->deleted_at)
            row.data = view_of(r->data->value.data, r->data->value.len);
        record_page_add(&p->put.rows, &row);
        p->expected[i] = expected_of(request, i);
    }
    p->put.put = (struct store_put){.rows = p->put.rows.items,
                                    .expected = p->expected,
                                    .count = p->put.rows.count,
                                    .versions = p->versions};
    enum err e = engine_put(b->engine, &p->put);
    if (e != OK) {
        rpc_fail(call, e);
        put_free(p);
    }
}

/* --- options --- */

struct options_job {
    struct broker_job job;
    char *type;
    struct history_options options;
};

static void options_free(struct options_job *o)
{
    mem_free(o->options.fields);
    mem_free(o->type);
    mem_free(o);
}

/* GetOptionsResponse and SetOptionsResponse are alike. */
static void reply_options(struct rpc_call *call, const struct options_job *o)
{
    struct convert_options options;
    convert_options(&o->options, &options);
    if (strcmp(rpc_call_method(call)->name, "GetOptions") == 0) {
        Databroker__GetOptionsResponse response = DATABROKER__GET_OPTIONS_RESPONSE__INIT;
        response.options = &options.options;
        rpc_reply(call, &response.base);
    } else {
        Databroker__SetOptionsResponse response = DATABROKER__SET_OPTIONS_RESPONSE__INIT;
        response.options = &options.options;
        rpc_reply(call, &response.base);
    }
    convert_options_fini(&options);
}

static void done_options(struct engine_job *base)
{
    struct options_job *o = CONTAINER_OF(base, struct options_job, job.base);
    struct rpc_call *call = broker_job_call(&o->job);
    if (call && o->job.err != OK)
        rpc_fail(call, o->job.err);
    else if (call)
        reply_options(call, o);
    options_free(o);
}

static void run_get_options(struct engine_job *base, struct store *store)
{
    struct options_job *o = CONTAINER_OF(base, struct options_job, job.base);
    struct history *h = store_history(store, o->type);
    o->job.err = h->ops->get_options(h, o->type, &o->options);
}

static void run_set_options(struct engine_job *base, struct store *store)
{
    struct options_job *o = CONTAINER_OF(base, struct options_job, job.base);
    o->job.err = store_set_options(store, o->type, &o->options);
}

static bool check_options(struct rpc_call *call, const char *type, unsigned right)
{
    broker_audit(call, type, NULL);
    if (!type_is_valid(type)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "not a record type");
        return false;
    }
    return broker_allow(call, type, right);
}

void call_get_options(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__GetOptionsRequest *request = (const Databroker__GetOptionsRequest *)message;
    if (!check_options(call, request->type, ACCESS_READ))
        return;
    struct options_job *o = broker_job_new(call, ctx, sizeof(*o));
    o->job.base = (struct engine_job){.run = run_get_options, .done = done_options};
    o->type = mem_strdup(request->type);
    broker_read(call, &o->job);
}

static bool is_field(const char *name)
{
    struct view v = view_str(name);
    for (size_t i = 0; i < v.len; i++)
        if (!text_is_alpha(v.ptr[i]) && !text_is_digit(v.ptr[i]) && v.ptr[i] != '_' &&
            v.ptr[i] != '.')
            return false;
    return v.len > 0 && v.len <= 100;
}

/* The fields one per line. */
static bool join_fields(const Databroker__Options *options, char **out)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 4096);
    if (options->n_indexable_fields > 16)
        return false;
    for (size_t i = 0; i < options->n_indexable_fields; i++) {
        if (!is_field(options->indexable_fields[i]))
            return false;
        CHECK(buf_printf(&b, "%s%s", i ? "\n" : "", options->indexable_fields[i]) == OK);
    }
    *out = buf_to_str(&b);
    return true;
}

void call_set_options(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    struct broker *b = ctx;
    const Databroker__SetOptionsRequest *request = (const Databroker__SetOptionsRequest *)message;
    if (!check_options(call, request->type, ACCESS_PUT))
        return;
    static const Databroker__Options none = DATABROKER__OPTIONS__INIT;
    const Databroker__Options *options = request->options ? request->options : &none;
    char *fields = NULL;
    if (!join_fields(options, &fields)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "at most 16 fields, each a path of names");
        return;
    }
    struct options_job *o = broker_job_new(call, ctx, sizeof(*o));
    o->job.base = (struct engine_job){.run = run_set_options, .done = done_options};
    o->type = mem_strdup(request->type);
    o->options =
        (struct history_options){.ttl_ms = convert_duration(options->ttl), .fields = fields};
    if (options->capacity_set_case == DATABROKER__OPTIONS__CAPACITY_SET_CAPACITY)
        o->options.capacity = options->capacity;
    engine_write(b->engine, &o->job.base);
}
