#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/rpc/channel.h"
#include "common/rpc/codec.h"
#include "common/rpc/pump.h"

struct rpc_stream {
    struct rpc_channel *channel;
    size_t target;
    uint64_t id; /* 0 once the owner is gone */
    const ProtobufCMessageDescriptor *output;
    const struct rpc_stream_events *events;
    void *ctx;
    grpc_call *call;
    struct pump pump;
    struct rpc_tag open_tag; /* metadata sent and received */
    struct rpc_tag status_tag;
    struct rpc_tag close_tag; /* half close */
    unsigned under_way;
    bool half_closing;
    bool half_closed;
    bool has_status;
    bool broken; /* a message that cannot be read */
    grpc_metadata_array initial;
    grpc_metadata_array trailing;
    grpc_status_code status;
    grpc_slice details;
};

static void stream_settle(struct rpc_stream *s)
{
    if (s->id || s->under_way || !pump_is_idle(&s->pump))
        return;
    struct rpc_channel *c = s->channel;
    pump_fini(&s->pump);
    grpc_metadata_array_destroy(&s->initial);
    grpc_metadata_array_destroy(&s->trailing);
    grpc_slice_unref(s->details);
    grpc_call_unref(s->call);
    mem_free(s);
    channel_drop(c);
}

static void start_ops(struct rpc_stream *s, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    s->under_way++;
    grpc_call_error e = grpc_call_start_batch(s->call, ops, count, tag, NULL);
    CHECK(e == GRPC_CALL_OK);
}

/* The end is told after the last message. */
static void try_end(struct rpc_stream *s)
{
    if (!s->id || !s->has_status || !pump_is_over(&s->pump))
        return;
    enum rpc_status status = s->broken ? RPC_INTERNAL : (enum rpc_status)s->status;
    AUTO_FREE char *text = s->broken ? mem_strdup("malformed message")
                                     : channel_text(status, grpc_slice_ref(s->details));
    channel_result(s->channel, s->target, status);
    slots_remove(&s->channel->streams, s->id);
    s->id = 0;
    s->events->on_end(s->ctx, status, text);
}

static void deliver(struct rpc_stream *s, grpc_byte_buffer *buffer)
{
    ProtobufCMessage *message = codec_unpack(s->output, buffer);
    if (!message) {
        s->broken = true;
        grpc_call_cancel(s->call, NULL);
        return;
    }
    s->events->on_message(s->ctx, message);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void try_half_close(struct rpc_stream *s)
{
    if (!s->half_closing || s->half_closed || s->has_status || !pump_is_drained(&s->pump))
        return;
    s->half_closed = true;
    grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};
    start_ops(s, &op, 1, &s->close_tag);
}

static void on_note(struct pump *p)
{
    struct rpc_stream *s = CONTAINER_OF(p, struct rpc_stream, pump);
    grpc_byte_buffer *buffer;
    while ((buffer = pump_take(p))) {
        if (s->id && !s->broken)
            deliver(s, buffer);
        grpc_byte_buffer_destroy(buffer);
    }
    if (s->id && pump_take_writable(p) && s->events->on_writable)
        s->events->on_writable(s->ctx);
    if (s->id)
        try_half_close(s);
    try_end(s);
    stream_settle(s);
}

static void on_open(struct rpc_tag *tag)
{
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, open_tag);
    s->under_way--;
    if (tag->ok && s->id && s->events->on_open)
        s->events->on_open(s->ctx);
    stream_settle(s);
}

static void on_closed(struct rpc_tag *tag)
{
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, close_tag);
    s->under_way--;
    stream_settle(s);
}

static void on_status(struct rpc_tag *tag)
{
    struct rpc_stream *s = CONTAINER_OF(tag, struct rpc_stream, status_tag);
    s->under_way--;
    s->has_status = true;
    try_end(s);
    stream_settle(s);
}

static void start(struct rpc_stream *s)
{
    grpc_op opening[] = {
        {.op = GRPC_OP_SEND_INITIAL_METADATA},
        {.op = GRPC_OP_RECV_INITIAL_METADATA,
         .data.recv_initial_metadata.recv_initial_metadata = &s->initial},
    };
    start_ops(s, opening, ARRAY_LEN(opening), &s->open_tag);
    grpc_op ending = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT,
                      .data.recv_status_on_client = {.trailing_metadata = &s->trailing,
                                                     .status = &s->status,
                                                     .status_details = &s->details}};
    start_ops(s, &ending, 1, &s->status_tag);
    pump_receive(&s->pump);
}

struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, struct rpc_method_name method,
                                   const struct rpc_stream_events *events, void *ctx)
{
    CHECK(!channel->closing);
    const ProtobufCMethodDescriptor *d =
        protobuf_c_service_descriptor_get_method_by_name(method.service, method.name);
    CHECK(d);
    struct rpc_stream *s = mem_zalloc(sizeof(*s));
    *s = (struct rpc_stream){.channel = channel,
                             .target = channel->current,
                             .output = d->output,
                             .events = events,
                             .ctx = ctx,
                             .open_tag.on_loop = on_open,
                             .status_tag.on_loop = on_status,
                             .close_tag.on_loop = on_closed,
                             .details = grpc_empty_slice()};
    grpc_metadata_array_init(&s->initial);
    grpc_metadata_array_init(&s->trailing);
    s->id = slots_add(&channel->streams, s);
    channel->live++;
    s->call = channel_call(channel, s->target, method, 0);
    pump_init(&s->pump, channel->rpc, s->call, on_note);
    start(s);
    return s;
}

enum err rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message)
{
    if (stream->has_status || stream->half_closing)
        return ERR_CLOSED;
    return pump_push(&stream->pump, message);
}

void rpc_stream_half_close(struct rpc_stream *stream)
{
    stream->half_closing = true;
    try_half_close(stream);
}

void stream_abandon(struct rpc_stream *s)
{
    slots_remove(&s->channel->streams, s->id);
    s->id = 0;
    grpc_call_cancel(s->call, NULL);
    pump_stop(&s->pump);
}

/* What is under way settles it later: at least the status is, as long as on_end has not run. */
void rpc_stream_close(struct rpc_stream *stream)
{
    if (stream)
        stream_abandon(stream);
}
