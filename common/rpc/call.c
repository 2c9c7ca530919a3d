#include "common/rpc/call.h"

#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/address.h"
#include "common/rpc/codec.h"

/* The one URI of the verified certificate, by gRPC's name of that property. */
static void read_peer(struct rpc_call *call)
{
    grpc_auth_context *auth = grpc_call_auth_context(call->grpc);
    if (!auth)
        return;
    grpc_auth_property_iterator i =
        grpc_auth_context_find_properties_by_name(auth, GRPC_PEER_URI_PROPERTY_NAME);
    const grpc_auth_property *first = grpc_auth_property_iterator_next(&i);
    const grpc_auth_property *second = first ? grpc_auth_property_iterator_next(&i) : NULL;
    if (first && !second && grpc_auth_context_peer_is_authenticated(auth))
        IGNORE(rpc_peer_parse(view_of(first->value, first->value_length), &call->peer),
               "whoever cannot be parsed stays nobody");
    grpc_auth_context_release(auth);
}

/* Of a URI's text, in place: '[' and ']' come as "%5B" and "%5D". */
static void unescape(char *text)
{
    char *out = text;
    for (const char *in = text; *in; in++) {
        AUTO(buf_fini) struct buf byte;
        buf_init(&byte, 1);
        if (*in == '%' && text_unhex(view_of(in + 1, strnlen(in + 1, 2)), &byte) == OK &&
            byte.len) {
            *out++ = (char)buf_ptr(&byte)[0];
            in += 2;
        } else {
            *out++ = *in;
        }
    }
    *out = '\0';
}

/* gRPC says "ipv4:127.0.0.1:40000" and "ipv6:%5B::1%5D:40000"; whatever else there is, as it is. */
static char *read_address(grpc_call *grpc)
{
    char *peer = grpc_call_get_peer(grpc);
    struct address a;
    unescape(peer);
    bool is_ip = strncmp(peer, "ipv4:", 5) == 0 || strncmp(peer, "ipv6:", 5) == 0;
    char *out = NULL;
    if (is_ip && address_parse(view_str(peer + 5), &a) == OK) {
        out = mem_zalloc(ADDRESS_TEXT_MAX);
        address_ip_text(&a, out);
    } else {
        out = mem_strdup(peer);
    }
    gpr_free(peer);
    return out;
}

static void call_settle(struct rpc_call *call)
{
    if (!call->over || call->under_way || (call->pumping && !pump_is_idle(&call->pump)))
        return;
    struct rpc_server *server = call->server;
    if (call->pumping)
        pump_fini(&call->pump);
    grpc_call_unref(call->grpc);
    mem_free(call->address);
    mem_free(call->text);
    mem_free(call);
    server->live--;
    server_settle(server);
}

static void start_ops(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    call->under_way++;
    grpc_call_error e = grpc_call_start_batch(call->grpc, ops, count, tag, NULL);
    CHECK(e == GRPC_CALL_OK);
}

static grpc_op status_op(const struct rpc_call *call, grpc_slice *details)
{
    *details = grpc_slice_from_copied_string(call->text ? call->text : "");
    return (grpc_op){
        .op = GRPC_OP_SEND_STATUS_FROM_SERVER,
        .data.send_status_from_server = {.status = (grpc_status_code)call->status,
                                         .status_details = details},
    };
}

/* A unary call's metadata goes out with its status. */
static bool is_unary(const struct rpc_call *call)
{
    return !call->method || call->method->kind == RPC_UNARY;
}

static void send_status(struct rpc_call *call, grpc_byte_buffer *reply)
{
    grpc_slice details;
    grpc_op ops[3];
    size_t n = 0;
    call->finished = true;
    if (is_unary(call))
        ops[n++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    if (reply)
        ops[n++] = (grpc_op){.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = reply};
    ops[n++] = status_op(call, &details);
    start_ops(call, ops, n, &call->status_tag);
    grpc_slice_unref(details);
}

static void try_status(struct rpc_call *call)
{
    if (call->finishing && !call->finished && !call->over &&
        (!call->pumping || pump_is_drained(&call->pump)))
        send_status(call, NULL);
}

static void on_status(struct rpc_tag *tag)
{
    struct rpc_call *call = CONTAINER_OF(tag, struct rpc_call, status_tag);
    call->under_way--;
    call_settle(call);
}

static void on_metadata(struct rpc_tag *tag)
{
    struct rpc_call *call = CONTAINER_OF(tag, struct rpc_call, metadata_tag);
    call->under_way--;
    call_settle(call);
}

static void tell_done(const struct rpc_call *call, bool cancelled)
{
    const struct rpc_server *s = call->server;
    if (s->on_done)
        s->on_done(call->method ? call->method->name : "",
                   call->method ? call->method->kind : RPC_UNARY,
                   cancelled ? RPC_CANCELLED : call->status, (uv_hrtime() - call->began_ns) / 1000,
                   s->ctx);
}

static void on_close(struct rpc_tag *tag)
{
    struct rpc_call *call = CONTAINER_OF(tag, struct rpc_call, close_tag);
    call->under_way--;
    if (call->pumping)
        pump_stop(&call->pump);
    const struct rpc_method *m = call->method;
    bool cancelled = call->cancelled && !call->finishing;
    call->finishing = call->finished = true;
    if (m && m->on_end)
        m->on_end(call, cancelled, call->server->ctx);
    tell_done(call, cancelled);
    slots_remove(&call->server->calls, call->id);
    call->over = true;
    call_settle(call);
}

static void deliver(struct rpc_call *call, grpc_byte_buffer *buffer)
{
    const struct rpc_method *m = call->method;
    const ProtobufCMethodDescriptor *d =
        protobuf_c_service_descriptor_get_method_by_name(m->service, m->name);
    ProtobufCMessage *message = buffer ? codec_unpack(d->input, buffer) : NULL;
    if (!message) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "malformed message");
        return;
    }
    m->on_message(call, message, call->server->ctx);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void on_note(struct pump *p)
{
    struct rpc_call *call = CONTAINER_OF(p, struct rpc_call, pump);
    grpc_byte_buffer *buffer;
    while (!call->over && (buffer = pump_take(p))) {
        if (!call->finishing)
            deliver(call, buffer);
        grpc_byte_buffer_destroy(buffer);
    }
    const struct rpc_method *m = call->method;
    if (!call->over && !call->finishing && !call->half_closed && m->kind == RPC_BIDI &&
        pump_is_over(p)) {
        call->half_closed = true;
        if (m->on_half_close)
            m->on_half_close(call, call->server->ctx);
    }
    if (!call->over && !call->finishing && pump_take_writable(p) && m->on_writable)
        m->on_writable(call, call->server->ctx);
    try_status(call);
    call_settle(call);
}

static void begin_stream(struct rpc_call *call)
{
    call->pumping = true;
    pump_init(&call->pump, call->server->rpc, call->grpc, on_note);
    grpc_op op = {.op = GRPC_OP_SEND_INITIAL_METADATA};
    start_ops(call, &op, 1, &call->metadata_tag);
    if (call->method->kind == RPC_BIDI)
        pump_receive(&call->pump);
}

static void refuse(struct rpc_call *call, const struct rpc_call_start *start)
{
    if (call->server->on_denied)
        call->server->on_denied(&call->peer, call->address, start->path, call->server->ctx);
    bool unknown = !start->method;
    rpc_finish(call, unknown ? RPC_UNIMPLEMENTED : RPC_PERMISSION_DENIED,
               unknown ? "unknown method" : "this caller may not call this method");
}

void call_start(struct rpc_server *server, const struct rpc_call_start *start)
{
    struct rpc_call *call = mem_zalloc(sizeof(*call));
    *call = (struct rpc_call){.server = server,
                              .grpc = start->grpc,
                              .began_ns = uv_hrtime(),
                              .close_tag.on_loop = on_close,
                              .metadata_tag.on_loop = on_metadata,
                              .status_tag.on_loop = on_status};
    call->id = slots_add(&server->calls, call);
    server->live++;
    call->address = read_address(start->grpc);
    read_peer(call);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER,
                  .data.recv_close_on_server.cancelled = &call->cancelled};
    start_ops(call, &op, 1, &call->close_tag);
    const struct rpc_method *m = start->method;
    if (m && (m->callers & (unsigned)call->peer.caller)) {
        call->method = m;
        if (m->kind != RPC_UNARY)
            begin_stream(call);
        if (m->on_open)
            m->on_open(call, server->ctx);
        if (m->kind != RPC_BIDI)
            deliver(call, start->payload);
    } else {
        refuse(call, start);
    }
    if (start->payload)
        grpc_byte_buffer_destroy(start->payload);
}

/* --- the handler's side --- */

const struct rpc_peer *rpc_call_peer(const struct rpc_call *call)
{
    return &call->peer;
}

const char *rpc_call_address(const struct rpc_call *call)
{
    return call->address;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
    return call->method;
}

void rpc_call_set_data(struct rpc_call *call, void *data)
{
    call->data = data;
}

void *rpc_call_data(const struct rpc_call *call)
{
    return call->data;
}

uint64_t rpc_call_id(const struct rpc_call *call)
{
    return call->id;
}

struct rpc_call *rpc_call_get(struct rpc_server *server, uint64_t id)
{
    return slots_get(&server->calls, id);
}

struct rpc_server *rpc_call_server(const struct rpc_call *call)
{
    return call->server;
}

enum err rpc_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    if (call->finishing || !call->pumping)
        return ERR_CLOSED;
    return pump_push(&call->pump, message);
}

bool rpc_has_room(struct rpc_call *call)
{
    return !call->finishing && call->pumping && pump_has_room(&call->pump);
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
    grpc_byte_buffer *buffer;
    if (call->finishing)
        return;
    if (codec_pack(message, &buffer) != OK) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "the answer is too large");
        return;
    }
    call->finishing = true;
    send_status(call, buffer);
    grpc_byte_buffer_destroy(buffer);
}

void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *text)
{
    if (call->finishing)
        return;
    call->finishing = true;
    call->status = status;
    call->text = mem_strdup(text);
    try_status(call);
}

void rpc_fail(struct rpc_call *call, enum err e)
{
    rpc_finish(call, rpc_status_of(e), err_text(e));
}
