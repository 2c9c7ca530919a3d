#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/channel.h"
#include "common/rpc/codec.h"

/* One call, one batch. */
struct unary {
    struct rpc_tag tag;
    struct rpc_channel *channel;
    size_t target;
    uint64_t id; /* 0 once nobody waits */
    const ProtobufCMessageDescriptor *output;
    grpc_call *call;
    grpc_byte_buffer *request;
    grpc_byte_buffer *response;
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice details;
    rpc_unary_fn done;
    void (*drop)(void *ctx);
    void *ctx;
};

static void unary_free(struct unary *u)
{
    if (u->call)
        grpc_call_unref(u->call);
    if (u->request)
        grpc_byte_buffer_destroy(u->request);
    if (u->response)
        grpc_byte_buffer_destroy(u->response);
    grpc_metadata_array_destroy(&u->initial);
    grpc_metadata_array_destroy(&u->trailing);
    struct rpc_channel *c = u->channel;
    mem_free(u);
    channel_drop(c);
}

/* A server that says OK without a message that can be read has broken the protocol. */
static void report(struct unary *u, enum rpc_status status, const char *text)
{
    ProtobufCMessage *response = NULL;
    if (status == RPC_OK) {
        response = u->response ? codec_unpack(u->output, u->response) : NULL;
        if (!response) {
            status = RPC_INTERNAL;
            text = "malformed answer";
        }
    }
    u->done(u->ctx, status, text, response);
    if (response)
        protobuf_c_message_free_unpacked(response, NULL);
}

static void on_done(struct rpc_tag *tag)
{
    struct unary *u = CONTAINER_OF(tag, struct unary, tag);
    enum rpc_status status = (enum rpc_status)u->status;
    AUTO_FREE char *text = channel_text(status, u->details);
    channel_result(u->channel, u->target, status);
    if (u->id) {
        slots_remove(&u->channel->unary, u->id);
        report(u, status, text);
    }
    unary_free(u);
}

static void start(struct unary *u, bool wait)
{
    grpc_op ops[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA,
         .flags = wait ? GRPC_INITIAL_METADATA_WAIT_FOR_READY |
                             GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET
                       : 0},
        {.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = u->request},
        {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &u->initial},
        {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &u->response},
        {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
         .data.recv_status_on_client = {.trailing_metadata = &u->trailing,
                                        .status = &u->status,
                                        .status_details = &u->details}},
    };
    grpc_call_error e = grpc_call_start_batch(u->call, ops, ARRAY_LEN(ops), &u->tag, NULL);
    CHECK(e == GRPC_CALL_OK);
}

uint64_t rpc_unary(struct rpc_channel *channel, struct rpc_method_name method,
                   const ProtobufCMessage *request, struct rpc_unary_options options,
                   rpc_unary_fn done, void *ctx)
{
    CHECK(!channel->closing);
    const ProtobufCMethodDescriptor *d =
        protobuf_c_service_descriptor_get_method_by_name(method.service, method.name);
    CHECK(d);
    struct unary *u = mem_zalloc(sizeof(*u));
    *u = (struct unary){.tag.on_loop = on_done,
                        .channel = channel,
                        .target = channel->current,
                        .output = d->output,
                        .details = grpc_empty_slice(),
                        .done = done,
                        .drop = options.drop,
                        .ctx = ctx};
    grpc_metadata_array_init(&u->initial);
    grpc_metadata_array_init(&u->trailing);
    u->id = slots_add(&channel->unary, u);
    uint64_t id = u->id;
    channel->live++;
    if (codec_pack(request, &u->request) != OK) {
        u->status = GRPC_STATUS_RESOURCE_EXHAUSTED;
        uv_mutex_lock(&channel->rpc->lock);
        bool wake = rpc_push_locked(channel->rpc, &u->tag);
        uv_mutex_unlock(&channel->rpc->lock);
        if (wake)
            rpc_wake(channel->rpc);
        return id;
    }
    u->call = channel_call(channel, u->target, method, options.timeout_ms);
    start(u, options.wait);
    return id;
}

static void abandon(struct unary *u)
{
    slots_remove(&u->channel->unary, u->id);
    u->id = 0;
    if (u->call)
        grpc_call_cancel(u->call, NULL);
    if (u->drop)
        u->drop(u->ctx);
}

void rpc_unary_cancel(struct rpc_channel *channel, uint64_t id)
{
    struct unary *u = slots_get(&channel->unary, id);
    if (u)
        abandon(u);
}

void unary_abandon_all(struct rpc_channel *c)
{
    size_t cursor = 0;
    struct unary *u;
    while ((u = slots_next(&c->unary, &cursor)))
        abandon(u);
}
