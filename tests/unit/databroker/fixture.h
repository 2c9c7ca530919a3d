/* A databroker on loopback, and clients of it, on one loop. */
#ifndef TESTS_UNIT_DATABROKER_FIXTURE_H
#define TESTS_UNIT_DATABROKER_FIXTURE_H

#include "tests/unit/databroker/store/temp.h"

#include "common/crypto/x509.h"
#include "common/rpc/records.h"
#include "common/rpc/syncer.h"
#include "databroker/broker.h"
#include "databroker/store/types.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"
#include "proto/user/user.pb-c.h"

#define SESSION (&session__session__descriptor)
#define BINDING (&session__session_binding__descriptor)
#define ACCOUNT (&user__service_account__descriptor)
#define REQUEST (&session__session_binding_request__descriptor)
#define CONNECTION (&postern__connection__descriptor)
#define CUT (&postern__cut_request__descriptor)
#define HOST_KEY (&postern__host_key__descriptor)
#define SEALED (&postern__sealed_tokens__descriptor)
#define INSTANCE (&postern__instance__descriptor)
#define TYPE(name) TYPE_URL name

enum { WHO_AUTHENTICATE, WHO_AUTHORIZE, WHO_PROXY, WHO_ADMIN, WHO_COUNT };

struct fixture {
    struct loop loop;
    struct rpc *rpc;
    struct broker broker;
    struct rng rng;
    char *dir;
    struct x509_pair ca;
    struct x509_pair pairs[WHO_COUNT + 1];
    struct rpc_channel *channels[WHO_COUNT];
    struct records r[WHO_COUNT];
    unsigned port;
    unsigned closed;
    unsigned storage_reports;
    enum err storage;
    /* the last answer */
    bool done;
    enum err err;
    char text[200];
    uint64_t versions[4];
    size_t count;
    uint64_t total;
    uint64_t version;
    char data[400];
    char lease[64];
    char ids[1000];
};

static inline void turn(struct fixture *f)
{
    uv_run(&f->loop.uv, UV_RUN_ONCE);
}

static inline void wait_done(struct fixture *f)
{
    while (!f->done)
        turn(f);
}

static inline void on_closed(void *ctx)
{
    ((struct fixture *)ctx)->closed++;
}

static inline void wait_closed(struct fixture *f)
{
    while (!f->closed)
        turn(f);
    f->closed = 0;
}

/* --- the databroker --- */

static inline void on_changed(void *ctx, struct store_changed changed)
{
    watch_wake(&((struct fixture *)ctx)->broker, changed);
}

static inline void on_storage(void *ctx, enum err e)
{
    struct fixture *f = ctx;
    f->storage_reports++;
    f->storage = e;
}

static inline struct rpc_identity identity(struct fixture *f, size_t i)
{
    return (struct rpc_identity){f->ca.cert_pem, f->pairs[i].cert_pem, f->pairs[i].key_pem};
}

static inline void broker_start(struct fixture *f, uint64_t memory_version)
{
    struct store *s;
    char *why = NULL;
    struct store_config config = {
        .dir = f->dir, .durable_version = 11, .memory_version = memory_version};
    CHECK_OK(store_open(&config, &s, &why));
    struct engine_config engine = {
        .loop = &f->loop, .store = s, .ctx = f, .on_changed = on_changed, .on_storage = on_storage};
    f->broker = (struct broker){.loop = &f->loop, .build = "test"};
    f->broker.leases.rng = &f->rng;
    f->broker.engine = engine_open(&engine);
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%u", f->port);
    struct rpc_identity me = identity(f, WHO_COUNT);
    CHECK_OK(broker_serve(&f->broker, f->rpc, address, &me));
    f->port = rpc_server_port(f->broker.server);
}

static inline void broker_stop(struct fixture *f)
{
    rpc_server_close(f->broker.server, on_closed, f);
    watch_end_all(&f->broker);
    rpc_server_cancel(f->broker.server);
    wait_closed(f);
    f->broker.server = NULL;
    engine_close(f->broker.engine, on_closed, f);
    wait_closed(f);
    leases_fini(&f->broker.leases);
}

static inline void make_certificates(struct fixture *f)
{
    static const char *const uris[] = {"postern://service/authenticate",
                                       "postern://service/authorize", "postern://service/proxy",
                                       "postern://admin/alice", "postern://service/databroker"};
    uint64_t year_2100 = UINT64_C(4102444800000);
    CHECK_OK(x509_make_ca("test", 0, year_2100, &f->ca));
    for (size_t i = 0; i <= WHO_COUNT; i++) {
        const char *const uri[] = {uris[i], NULL};
        struct x509_leaf leaf = {.common_name = "test",
                                 .uris = uri,
                                 .not_after_at = year_2100,
                                 .server_auth = true,
                                 .client_auth = true};
        CHECK_OK(x509_make_leaf(&f->ca, &leaf, &f->pairs[i]));
    }
}

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    loop_init(&f->loop);
    f->rng = rng_system();
    f->dir = temp_new();
    make_certificates(f);
    f->rpc = rpc_open(&f->loop);
    broker_start(f, 22);
    char target[64];
    snprintf(target, sizeof(target), "https://127.0.0.1:%u", f->port);
    const char *targets[] = {target};
    for (size_t i = 0; i < WHO_COUNT; i++) {
        struct rpc_channel_config config = {
            .targets = targets, .count = 1, .identity = identity(f, i), .service = "databroker"};
        CHECK_OK(rpc_channel_open(f->rpc, &config, &f->channels[i]));
        f->r[i] = (struct records){.channel = f->channels[i]};
    }
    *state = f;
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < WHO_COUNT; i++) {
        rpc_channel_close(f->channels[i], on_closed, f);
        wait_closed(f);
    }
    broker_stop(f);
    rpc_close(f->rpc, on_closed, f);
    wait_closed(f);
    loop_fini(&f->loop);
    temp_free(f->dir);
    x509_pair_fini(&f->ca);
    for (size_t i = 0; i <= WHO_COUNT; i++)
        x509_pair_fini(&f->pairs[i]);
    mem_free(f);
    return 0;
}

/* --- calls --- */

static inline void note(struct fixture *f, enum err e, const char *text)
{
    f->done = true;
    f->err = e;
    snprintf(f->text, sizeof(f->text), "%s", text);
}

static inline void on_put(void *ctx, enum err e, const char *text, const uint64_t *versions,
                          size_t count)
{
    struct fixture *f = ctx;
    note(f, e, text);
    f->count = count;
    for (size_t i = 0; i < count && i < ARRAY_LEN(f->versions); i++)
        f->versions[i] = versions[i];
}

static inline enum err put_all(struct fixture *f, size_t who, const struct record_write *writes,
                               size_t count)
{
    f->done = false;
    records_put(&f->r[who], writes, count, on_put, f);
    wait_done(f);
    return f->err;
}

/* A message of `type` whose field `name` is `value`; value NULL deletes. */
static inline enum err put(struct fixture *f, size_t who, const ProtobufCMessageDescriptor *type,
                           const char *id, const char *value, uint64_t expected)
{
    AUTO_FREE ProtobufCMessage *m = mem_zalloc(type->sizeof_message);
    protobuf_c_message_init(type, m);
    for (unsigned i = 0; i < type->n_fields; i++)
        if (type->fields[i].type == PROTOBUF_C_TYPE_STRING &&
            type->fields[i].label != PROTOBUF_C_LABEL_REPEATED) {
            *(char **)(void *)((char *)m + type->fields[i].offset) = (char *)(uintptr_t)value;
            break;
        }
    struct record_write w = {
        .type = type, .id = id, .message = value ? m : NULL, .expected = expected};
    return put_all(f, who, &w, 1);
}

static inline void on_get(void *ctx, enum err e, const char *text, const struct record *found)
{
    struct fixture *f = ctx;
    note(f, e, text);
    assert_true((e == OK) == (found != NULL));
    f->version = found ? found->version : 0;
    f->data[0] = 0;
    if (found) {
        assert_true(found->modified_ms > 1000000);
        /* The first string of the message, behind its key and length. */
        snprintf(f->data, sizeof(f->data), "%.*s", VIEW_FMT(view_skip(found->data, 2)));
    }
}

static inline enum err get(struct fixture *f, size_t who, const ProtobufCMessageDescriptor *type,
                           const char *id)
{
    f->done = false;
    records_get(&f->r[who], type, id, on_get, f);
    wait_done(f);
    return f->err;
}

static inline void on_query(void *ctx, enum err e, const char *text, const struct record_list *list)
{
    struct fixture *f = ctx;
    note(f, e, text);
    f->ids[0] = 0;
    if (!list)
        return;
    f->total = list->total;
    for (size_t i = 0; i < list->count; i++) {
        size_t at = strlen(f->ids);
        snprintf(f->ids + at, sizeof(f->ids) - at, "%s ", list->items[i].id);
    }
}

static inline enum err query(struct fixture *f, size_t who, struct record_search search)
{
    f->done = false;
    records_query(&f->r[who], &search, on_query, f);
    wait_done(f);
    return f->err;
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
