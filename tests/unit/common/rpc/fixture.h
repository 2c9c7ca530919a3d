/* A server and a channel of common/rpc on one loop, and certificates for both. */
#ifndef TESTS_UNIT_COMMON_RPC_FIXTURE_H
#define TESTS_UNIT_COMMON_RPC_FIXTURE_H

#include "tests/support/test.h"

#include "common/crypto/x509.h"
#include "common/io/loop.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "proto/databroker/databroker.pb-c.h"
#include "proto/postern/decide.pb-c.h"

#define SERVICE (&databroker__data_broker_service__descriptor)
#define DECIDE (&postern__decide__descriptor)

static const uint64_t year_2100 = UINT64_C(4102444800000);

struct fixture {
    struct loop loop;
    struct rpc *rpc;
    struct rpc_server *server;
    struct rpc_channel *channel;
    struct x509_pair ca;
    struct x509_pair pairs[16];
    size_t pair_count;
    char target[64];
    /* what the server saw */
    struct rpc_peer peer;
    char denied[128];
    unsigned ends;
    unsigned cancelled_ends;
    unsigned seen;
    uint64_t call_id;
    unsigned to_send;
    size_t paced; /* bytes of each, sent while there is room; 0 = as many as are taken */
    unsigned pauses;
    /* what the client saw */
    bool done;
    bool opened;
    enum rpc_status status;
    char text[256];
    char id[64];
    unsigned received;
    unsigned sent;
    struct rpc_stream *stream;
    unsigned closed;
};

static inline void turn_until(struct fixture *f, const bool *flag)
{
    while (!*flag)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
}

static inline void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    f->closed++;
}

/* --- identities --- */

static inline struct rpc_identity leaf(struct fixture *f, const struct x509_pair *ca,
                                       const char *uri, const char *dns)
{
    const char *const uris[] = {uri, NULL};
    const char *const names[] = {dns, NULL};
    struct x509_leaf l = {.common_name = "test",
                          .uris = uris,
                          .dns = names,
                          .not_before_at = 0,
                          .not_after_at = year_2100,
                          .server_auth = true,
                          .client_auth = true};
    struct x509_pair *pair = &f->pairs[f->pair_count++];
    CHECK_OK(x509_make_leaf(ca, &l, pair));
    return (struct rpc_identity){f->ca.cert_pem, pair->cert_pem, pair->key_pem};
}

static inline struct rpc_identity service(struct fixture *f, const char *name)
{
    AUTO_FREE char *uri = rpc_service_uri(name);
    return leaf(f, &f->ca, uri, NULL);
}

/* --- the server's handlers --- */

static inline void on_get(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    struct fixture *f = ctx;
    const Databroker__GetRequest *request = (const Databroker__GetRequest *)message;
    f->peer = *rpc_call_peer(call);
    if (strcmp(request->id, "missing") == 0) {
        rpc_finish(call, RPC_NOT_FOUND, "record not found");
        return;
    }
    if (strcmp(request->id, "never") == 0) {
        f->call_id = rpc_call_id(call);
        return;
    }
    Databroker__Record record = DATABROKER__RECORD__INIT;
    record.id = request->id;
    record.type = request->type;
    Databroker__GetResponse response = DATABROKER__GET_RESPONSE__INIT;
    response.record = &record;
    rpc_reply(call, &response.base);
}

static inline void on_query(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    (void)message;
    (void)ctx;
    Databroker__QueryResponse response = DATABROKER__QUERY_RESPONSE__INIT;
    rpc_reply(call, &response.base);
}

static inline void on_end(struct rpc_call *call, bool cancelled, void *ctx)
{
    struct fixture *f = ctx;
    (void)call;
    f->ends++;
    f->cancelled_ends += cancelled;
}

static inline enum err send_record(struct fixture *f, struct rpc_call *call, size_t padding)
{
    AUTO_FREE char *id = mem_zalloc(padding + 1);
    memset(id, 'x', padding);
    Databroker__Record record = DATABROKER__RECORD__INIT;
    record.version = f->sent + 1;
    record.id = id;
    Databroker__SyncResponse response = DATABROKER__SYNC_RESPONSE__INIT;
    response.response_case = DATABROKER__SYNC_RESPONSE__RESPONSE_RECORD;
    response.record = &record;
    TRY(rpc_send(call, &response.base));
    f->sent++;
    return OK;
}

/* Streams to_send records, the number in `version`, then says what was refused. */
static inline void send_more(struct rpc_call *call, void *ctx)
{
    struct fixture *f = ctx;
    while (f->sent < f->to_send) {
        if (f->paced && !rpc_has_room(call)) {
            f->pauses++;
            CHECK_OK(send_record(f, call, 0)); /* others find their place */
            return;
        }
        enum err e = send_record(f, call, f->paced);
        if (e == ERR_BUSY || e == ERR_CLOSED)
            return;
        CHECK_OK(e);
    }
    rpc_finish(call, RPC_ABORTED, "invalid record version");
}

static inline void on_sync(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    (void)message;
    send_more(call, ctx);
}

static inline void on_echo(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    struct fixture *f = ctx;
    const Postern__WorkerMessage *m = (const Postern__WorkerMessage *)message;
    assert_int_equal(m->message_case, POSTERN__WORKER_MESSAGE__MESSAGE_HELLO);
    f->seen++;
    f->call_id = rpc_call_id(call);
    Postern__AuthorizeMessage answer = POSTERN__AUTHORIZE_MESSAGE__INIT;
    answer.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HELLO;
    Postern__Hello hello = *m->hello;
    answer.hello = &hello;
    CHECK_OK(rpc_send(call, &answer.base));
}

static inline void on_echo_half_close(struct rpc_call *call, void *ctx)
{
    (void)ctx;
    rpc_finish(call, RPC_OK, NULL);
}

static const struct rpc_method methods[] = {
    {.service = SERVICE,
     .name = "Get",
     .kind = RPC_UNARY,
     .callers = RPC_CALLER_AUTHORIZE | RPC_CALLER_ADMIN,
     .on_message = on_get,
     .on_end = on_end},
    {.service = SERVICE,
     .name = "Query",
     .kind = RPC_UNARY,
     .callers = RPC_CALLER_AUTHORIZE,
     .on_message = on_query,
     .on_end = on_end},
    {.service = SERVICE,
     .name = "Sync",
     .kind = RPC_SERVER_STREAM,
     .callers = RPC_CALLER_AUTHORIZE,
     .on_message = on_sync,
     .on_writable = send_more,
     .on_end = on_end},
    {.service = DECIDE,
     .name = "Stream",
     .kind = RPC_BIDI,
     .callers = RPC_CALLER_AUTHORIZE,
     .on_message = on_echo,
     .on_half_close = on_echo_half_close,
     .on_end = on_end},
};

static inline void on_denied(const struct rpc_peer *peer, const char *address, const char *method,
                             void *ctx)
{
    struct fixture *f = ctx;
    assert_string_equal(address, "127.0.0.1");
    snprintf(f->denied, sizeof(f->denied), "%s %s", peer->name, method);
}

static inline void serve_as(struct fixture *f, struct rpc_identity identity)
{
    struct rpc_server_config config = {.address = "127.0.0.1:0",
                                       .identity = identity,
                                       .methods = methods,
                                       .count = ARRAY_LEN(methods),
                                       .ctx = f,
                                       .on_denied = on_denied};
    CHECK_OK(rpc_server_open(f->rpc, &config, &f->server));
    snprintf(f->target, sizeof(f->target), "https://127.0.0.1:%u", rpc_server_port(f->server));
}

static inline void dial_as(struct fixture *f, struct rpc_identity identity)
{
    const char *targets[] = {f->target};
    struct rpc_channel_config config = {
        .targets = targets, .count = 1, .identity = identity, .service = "databroker"};
    CHECK_OK(rpc_channel_open(f->rpc, &config, &f->channel));
}

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    loop_init(&f->loop);
    f->rpc = rpc_open(&f->loop);
    CHECK_OK(x509_make_ca("test", 0, year_2100, &f->ca));
    *state = f;
    return 0;
}

/* The usual pair: databroker serves authorize. */
static inline int setup_pair(void **state)
{
    setup(state);
    struct fixture *f = *state;
    serve_as(f, service(f, "databroker"));
    dial_as(f, service(f, "authorize"));
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    unsigned owners = 1;
    if (f->channel) {
        rpc_channel_close(f->channel, on_closed, f);
        owners++;
    }
    if (f->server) {
        rpc_server_close(f->server, on_closed, f);
        rpc_server_cancel(f->server);
        owners++;
    }
    rpc_close(f->rpc, on_closed, f);
    while (f->closed < owners)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    loop_fini(&f->loop);
    x509_pair_fini(&f->ca);
    for (size_t i = 0; i < f->pair_count; i++)
        x509_pair_fini(&f->pairs[i]);
    mem_free(f);
    return 0;
}

/* --- the client's side --- */

static inline void on_unary(void *ctx, enum rpc_status status, const char *text,
                            const ProtobufCMessage *response)
{
    struct fixture *f = ctx;
    f->done = true;
    f->status = status;
    snprintf(f->text, sizeof(f->text), "%s", text);
    assert_true((status == RPC_OK) == (response != NULL));
    if (response && response->descriptor == &databroker__get_response__descriptor)
        snprintf(f->id, sizeof(f->id), "%s",
                 ((const Databroker__GetResponse *)response)->record->id);
}

static inline void get(struct fixture *f, const char *id, uint64_t timeout_ms)
{
    Databroker__GetRequest request = DATABROKER__GET_REQUEST__INIT;
    request.type = (char *)(uintptr_t) "t";
    request.id = (char *)(uintptr_t)id;
    f->done = false;
    rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Get"}, &request.base,
              (struct rpc_unary_options){.timeout_ms = timeout_ms}, on_unary, f);
    assert_false(f->done);
    turn_until(f, &f->done);
}

static inline void on_stream_open(void *ctx)
{
    struct fixture *f = ctx;
    f->opened = true;
}

static inline void on_record(void *ctx, const ProtobufCMessage *message)
{
    struct fixture *f = ctx;
    const Databroker__SyncResponse *r = (const Databroker__SyncResponse *)message;
    assert_int_equal(r->record->version, ++f->received);
}

static inline void on_stream_end(void *ctx, enum rpc_status status, const char *text)
{
    struct fixture *f = ctx;
    f->done = true;
    f->status = status;
    snprintf(f->text, sizeof(f->text), "%s", text);
}

static const struct rpc_stream_events sync_events = {
    .on_open = on_stream_open, .on_message = on_record, .on_end = on_stream_end};

static inline void open_sync(struct fixture *f)
{
    f->stream =
        rpc_stream_open(f->channel, (struct rpc_method_name){SERVICE, "Sync"}, &sync_events, f);
    Databroker__SyncRequest request = DATABROKER__SYNC_REQUEST__INIT;
    CHECK_OK(rpc_stream_send(f->stream, &request.base));
    rpc_stream_half_close(f->stream);
}

#define PAIR(test) cmocka_unit_test_setup_teardown(test, setup_pair, teardown)
#define ALONE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
