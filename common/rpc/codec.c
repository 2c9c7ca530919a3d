#include "common/rpc/codec.h"

#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "common/base/mem.h"
#include "common/rpc/rpc.h"

/* Field numbers have 29 bits. */
enum { FIELD_MAX = (1 << 29) - 1 };

enum err codec_pack(const ProtobufCMessage *message, grpc_byte_buffer **out)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    if (len > RPC_MESSAGE_MAX)
        return ERR_LIMIT;
    grpc_slice slice = grpc_slice_malloc(len);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    *out = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return OK;
}

static bool take_varint(struct view *v, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && v->len; shift += 7) {
        uint8_t byte = v->ptr[0];
        *v = view_skip(*v, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

/* The value of a field of wire type `wire`, only filled in for length-delimited ones (type 2). */
static bool take_value(struct view *v, unsigned wire, struct view *out)
{
    static const uint8_t fixed_len[] = {[1] = 8, [5] = 4};
    uint64_t n;
    *out = (struct view){NULL, 0};
    switch (wire) {
    case 0:
        return take_varint(v, &n);
    case 1:
    case 5:
        if (v->len < fixed_len[wire])
            return false;
        *v = view_skip(*v, fixed_len[wire]);
        return true;
    case 2:
        if (!take_varint(v, &n) || n > v->len)
            return false;
        *out = view_take(*v, (size_t)n);
        *v = view_skip(*v, (size_t)n);
        return true;
    default:
        return false;
    }
}

/* The recursion is bounded by what this function is for. */
static bool is_shallow(const ProtobufCMessageDescriptor *descriptor, struct view v, unsigned depth)
{
    if (depth > CODEC_DEPTH_MAX)
        return false;
    while (v.len) {
        uint64_t key;
        struct view value;
        if (!take_varint(&v, &key) || key >> 3 == 0 || key >> 3 > FIELD_MAX ||
            !take_value(&v, key & 7, &value))
            return false;
        if ((key & 7) != 2)
            continue;
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field(descriptor, (unsigned)(key >> 3));
        if (field && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            !is_shallow(field->descriptor, value, depth + 1))
            return false;
    }
    return true;
}

ProtobufCMessage *codec_unpack_view(const ProtobufCMessageDescriptor *descriptor, struct view bytes)
{
    if (bytes.len > RPC_MESSAGE_MAX || !is_shallow(descriptor, bytes, 0))
        return NULL;
    return protobuf_c_message_unpack(descriptor, NULL, bytes.len,
                                     bytes.ptr ? bytes.ptr : (const uint8_t *)"");
}

ProtobufCMessage *codec_unpack(const ProtobufCMessageDescriptor *descriptor,
                               grpc_byte_buffer *buffer)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer))
        return NULL;
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    ProtobufCMessage *message = codec_unpack_view(
        descriptor, view_of(GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice)));
    grpc_slice_unref(slice);
    grpc_byte_buffer_reader_destroy(&reader);
    return message;
}

char *codec_path(const ProtobufCServiceDescriptor *service, const char *method)
{
    return mem_printf("/%s/%s", service->name, method);
}
