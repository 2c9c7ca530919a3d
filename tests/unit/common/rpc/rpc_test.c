/* Calls and streams of common/rpc, over TLS on loopback. */
// links: common/crypto
#include "tests/unit/common/rpc/fixture.h"

static void test_unary(void **state)
{
    struct fixture *f = *state;
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_OK);
    assert_string_equal(f->id, "one");
    assert_int_equal(f->peer.caller, RPC_CALLER_AUTHORIZE);
    assert_string_equal(f->peer.name, "authorize");
    get(f, "missing", 5000);
    assert_int_equal(f->status, RPC_NOT_FOUND);
    assert_string_equal(f->text, "record not found");
    for (unsigned i = 0; i < 200; i++)
        get(f, "more", 5000);
    assert_int_equal(f->status, RPC_OK);
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    get(f, "one", 5000); /* connected: the server gets the next call before its deadline */
    get(f, "never", 1000);
    assert_int_equal(f->status, RPC_DEADLINE_EXCEEDED);
    while (f->cancelled_ends < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->cancelled_ends, 1);
    assert_null(rpc_call_get(f->server, f->call_id));
}

static void test_cancel(void **state)
{
    struct fixture *f = *state;
    Databroker__GetRequest request = DATABROKER__GET_REQUEST__INIT;
    request.id = (char *)(uintptr_t) "never";
    uint64_t id = rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Get"}, &request.base,
                            (struct rpc_unary_options){.timeout_ms = 5000}, on_unary, f);
    while (!f->call_id)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    rpc_unary_cancel(f->channel, id);
    rpc_unary_cancel(f->channel, id);
    while (f->cancelled_ends < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_false(f->done);
}

static void test_unknown_method(void **state)
{
    struct fixture *f = *state;
    Databroker__PutRequest request = DATABROKER__PUT_REQUEST__INIT;
    rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Put"}, &request.base,
              (struct rpc_unary_options){.timeout_ms = 5000}, on_unary, f);
    turn_until(f, &f->done);
    assert_int_equal(f->status, RPC_UNIMPLEMENTED);
    assert_string_equal(f->denied, "authorize /databroker.DataBrokerService/Put");
}

static void test_server_stream(void **state)
{
    struct fixture *f = *state;
    f->to_send = 20000;
    open_sync(f);
    turn_until(f, &f->done);
    assert_true(f->opened);
    assert_int_equal(f->received, 20000);
    assert_int_equal(f->status, RPC_ABORTED);
    assert_string_equal(f->text, "invalid record version");
    while (f->ends < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->cancelled_ends, 0);
}

/* Much more than a queue takes, without being refused once. */
static void test_paced(void **state)
{
    struct fixture *f = *state;
    f->to_send = 400;
    f->paced = 100000;
    open_sync(f);
    turn_until(f, &f->done);
    assert_int_equal(f->status, RPC_ABORTED);
    assert_true(f->received >= 400);
    assert_int_equal(f->received, f->sent);
    assert_true(f->pauses > 0);
}

static void on_first_then_close(void *ctx, const ProtobufCMessage *message)
{
    struct fixture *f = ctx;
    on_record(f, message);
    rpc_stream_close(f->stream);
    f->stream = NULL;
}

static void test_stream_close(void **state)
{
    struct fixture *f = *state;
    static const struct rpc_stream_events events = {.on_message = on_first_then_close,
                                                    .on_end = on_stream_end};
    f->to_send = 1000000;
    f->stream = rpc_stream_open(f->channel, (struct rpc_method_name){SERVICE, "Sync"}, &events, f);
    Databroker__SyncRequest request = DATABROKER__SYNC_REQUEST__INIT;
    CHECK_OK(rpc_stream_send(f->stream, &request.base));
    while (f->ends < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    assert_int_equal(f->cancelled_ends, 1);
    assert_int_equal(f->received, 1);
    assert_false(f->done);
}

static void send_hellos(void *ctx)
{
    struct fixture *f = ctx;
    while (f->sent < 5000) {
        char id[16];
        snprintf(id, sizeof(id), "%u", f->sent + 1);
        Postern__Hello hello = POSTERN__HELLO__INIT;
        hello.instance_id = id;
        Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
        m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_HELLO;
        m.hello = &hello;
        enum err e = rpc_stream_send(f->stream, &m.base);
        if (e == ERR_BUSY)
            return;
        CHECK_OK(e);
        f->sent++;
    }
    rpc_stream_half_close(f->stream);
}

static void on_hello(void *ctx, const ProtobufCMessage *message)
{
    struct fixture *f = ctx;
    const Postern__AuthorizeMessage *m = (const Postern__AuthorizeMessage *)message;
    char id[16];
    snprintf(id, sizeof(id), "%u", ++f->received);
    assert_string_equal(m->hello->instance_id, id);
}

static const struct rpc_stream_events hello_events = {
    .on_message = on_hello, .on_writable = send_hellos, .on_end = on_stream_end};

static void test_both_ways(void **state)
{
    struct fixture *f = *state;
    f->stream =
        rpc_stream_open(f->channel, (struct rpc_method_name){DECIDE, "Stream"}, &hello_events, f);
    send_hellos(f);
    turn_until(f, &f->done);
    assert_int_equal(f->status, RPC_OK);
    assert_int_equal(f->received, 5000);
    assert_int_equal(f->seen, 5000);
}

/* The server goes while a stream is up: the client hears of it, nothing hangs. */
static void test_shutdown_with_stream(void **state)
{
    struct fixture *f = *state;
    f->sent = 4999;
    f->received = 4999;
    f->stream =
        rpc_stream_open(f->channel, (struct rpc_method_name){DECIDE, "Stream"}, &hello_events, f);
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.instance_id = (char *)(uintptr_t) "5000";
    Postern__WorkerMessage m = POSTERN__WORKER_MESSAGE__INIT;
    m.message_case = POSTERN__WORKER_MESSAGE__MESSAGE_HELLO;
    m.hello = &hello;
    CHECK_OK(rpc_stream_send(f->stream, &m.base));
    while (f->received < 5000)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    rpc_server_close(f->server, on_closed, f);
    for (int i = 0; i < 10; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(f->closed, 0);
    assert_non_null(rpc_call_get(f->server, f->call_id));
    rpc_server_cancel(f->server);
    f->server = NULL;
    while (f->closed < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    f->closed = 0;
    turn_until(f, &f->done);
    assert_int_not_equal(f->status, RPC_OK);
    assert_int_equal(f->ends, 1);
}

static void test_close_with_everything_under_way(void **state)
{
    struct fixture *f = *state;
    f->to_send = 100000;
    open_sync(f);
    Databroker__GetRequest request = DATABROKER__GET_REQUEST__INIT;
    request.id = (char *)(uintptr_t) "never";
    rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Get"}, &request.base,
              (struct rpc_unary_options){.timeout_ms = 60000}, on_unary, f);
    while (f->received < 100)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    rpc_channel_close(f->channel, on_closed, f);
    f->channel = NULL;
    while (f->closed < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    f->closed = 0;
    assert_false(f->done);
}

static void test_address_taken(void **state)
{
    struct fixture *f = *state;
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%u", rpc_server_port(f->server));
    struct rpc_server_config config = {.address = address,
                                       .identity = service(f, "databroker"),
                                       .methods = methods,
                                       .count = ARRAY_LEN(methods)};
    struct rpc_server *second = NULL;
    CHECK_ERR(rpc_server_open(f->rpc, &config, &second), ERR_IO);
    assert_null(second);
}

static void test_next_target(void **state)
{
    struct fixture *f = *state;
    serve_as(f, service(f, "databroker"));
    /* Port 1 of loopback: nobody listens. */
    const char *targets[] = {"127.0.0.1:1", f->target};
    struct rpc_channel_config config = {.targets = targets,
                                        .count = 2,
                                        .identity = service(f, "authorize"),
                                        .service = "databroker"};
    CHECK_OK(rpc_channel_open(f->rpc, &config, &f->channel));
    get(f, "one", 5000);
    assert_int_equal(f->status, RPC_UNAVAILABLE);
    get(f, "two", 5000);
    assert_int_equal(f->status, RPC_OK);
}

static void test_wait_for_server(void **state)
{
    struct fixture *f = *state;
    serve_as(f, service(f, "databroker"));
    unsigned port = rpc_server_port(f->server);
    rpc_server_close(f->server, on_closed, f);
    while (f->closed < 1)
        uv_run(&f->loop.uv, UV_RUN_ONCE);
    f->closed = 0;
    f->server = NULL;
    dial_as(f, service(f, "authorize"));
    Databroker__GetRequest request = DATABROKER__GET_REQUEST__INIT;
    rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Get"}, &request.base,
              (struct rpc_unary_options){.timeout_ms = 30000, .wait = true}, on_unary, f);
    for (int i = 0; i < 3; i++)
        uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    char address[64];
    snprintf(address, sizeof(address), "127.0.0.1:%u", port);
    struct rpc_server_config config = {.address = address,
                                       .identity = service(f, "databroker"),
                                       .methods = methods,
                                       .count = ARRAY_LEN(methods),
                                       .ctx = f};
    CHECK_OK(rpc_server_open(f->rpc, &config, &f->server));
    turn_until(f, &f->done);
    assert_int_equal(f->status, RPC_OK);
}

static void test_bad_targets(void **state)
{
    struct fixture *f = *state;
    static const char *const bad[] = {
        "",           "http://127.0.0.1:1", "https://",  "https://a/b",
        "https://:1", "https://u@h:1",      "https://h:"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct rpc_channel_config config = {.targets = &bad[i],
                                            .count = 1,
                                            .identity = service(f, "proxy"),
                                            .service = "authorize"};
        struct rpc_channel *c = NULL;
        CHECK_ERR(rpc_channel_open(f->rpc, &config, &c), ERR_CONFIG);
        x509_pair_fini(&f->pairs[--f->pair_count]);
    }
}

static void test_too_large(void **state)
{
    struct fixture *f = *state;
    Databroker__GetRequest request = DATABROKER__GET_REQUEST__INIT;
    request.id = mem_zalloc(RPC_MESSAGE_MAX + 1);
    memset(request.id, 'x', RPC_MESSAGE_MAX);
    rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Get"}, &request.base,
              (struct rpc_unary_options){.timeout_ms = 5000}, on_unary, f);
    mem_free(request.id);
    turn_until(f, &f->done);
    assert_int_equal(f->status, RPC_RESOURCE_EXHAUSTED);
}

/* `depth` lists around a null, as a filter. */
static void query_nested(struct fixture *f, unsigned depth)
{
    Google__Protobuf__Value *values = mem_zalloc_array(depth + 1, sizeof(*values));
    Google__Protobuf__Value **pointers = mem_zalloc_array(depth + 1, sizeof(*pointers));
    Google__Protobuf__ListValue *lists = mem_zalloc_array(depth + 1, sizeof(*lists));
    for (unsigned i = 0; i <= depth; i++) {
        google__protobuf__value__init(&values[i]);
        google__protobuf__list_value__init(&lists[i]);
        pointers[i] = &values[i];
        if (i == 0)
            continue;
        lists[i].n_values = 1;
        lists[i].values = &pointers[i - 1];
        values[i].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
        values[i].list_value = &lists[i];
    }
    Google__Protobuf__Struct__FieldsEntry entry = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *entries[] = {&entry};
    entry.value = &values[depth];
    Google__Protobuf__Struct filter = GOOGLE__PROTOBUF__STRUCT__INIT;
    filter.n_fields = 1;
    filter.fields = entries;
    Databroker__QueryRequest request = DATABROKER__QUERY_REQUEST__INIT;
    request.filter = &filter;
    f->done = false;
    rpc_unary(f->channel, (struct rpc_method_name){SERVICE, "Query"}, &request.base,
              (struct rpc_unary_options){.timeout_ms = 5000}, on_unary, f);
    mem_free(values);
    mem_free(pointers);
    mem_free(lists);
    turn_until(f, &f->done);
}

static void test_nesting(void **state)
{
    struct fixture *f = *state;
    query_nested(f, 20);
    assert_int_equal(f->status, RPC_OK);
    query_nested(f, 100);
    assert_int_equal(f->status, RPC_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(test_unary),
        PAIR(test_deadline),
        PAIR(test_cancel),
        PAIR(test_unknown_method),
        PAIR(test_server_stream),
        PAIR(test_paced),
        PAIR(test_stream_close),
        PAIR(test_both_ways),
        PAIR(test_shutdown_with_stream),
        PAIR(test_close_with_everything_under_way),
        PAIR(test_address_taken),
        ALONE(test_next_target),
        ALONE(test_wait_for_server),
        ALONE(test_bad_targets),
        PAIR(test_too_large),
        PAIR(test_nesting),
    };
    return RUN(tests);
}
