#include "common/base/mem.h"
#include "common/rpc/codec.h"
#include "common/rpc/convert.h"

#define URL_PREFIX "type.googleapis.com/"

char *record_type(const ProtobufCMessageDescriptor *descriptor)
{
    return mem_printf(URL_PREFIX "%s", descriptor->name);
}

bool record_is(const struct record *r, const ProtobufCMessageDescriptor *descriptor)
{
    struct view type = view_str(r->type);
    struct view prefix = VIEW(URL_PREFIX);
    return view_starts_with(type, prefix) &&
           view_eq_str(view_skip(type, prefix.len), descriptor->name);
}

ProtobufCMessage *record_unpack(const struct record *r,
                                const ProtobufCMessageDescriptor *descriptor)
{
    if (r->deleted || !record_is(r, descriptor))
        return NULL;
    return codec_unpack_view(descriptor, r->data);
}

static uint64_t timestamp_ms(const Google__Protobuf__Timestamp *t)
{
    if (!t || t->seconds < 0 || t->seconds > INT64_MAX / 1000 - 1 || t->nanos < 0)
        return 0;
    return (uint64_t)t->seconds * 1000 + (uint64_t)t->nanos / 1000000;
}

struct record record_of(const Databroker__Record *r)
{
    struct record out = {.type = r->type,
                         .id = r->id,
                         .version = r->version,
                         .modified_ms = timestamp_ms(r->modified_at),
                         .deleted = r->deleted_at != NULL};
    if (r->data && !out.deleted)
        out.data = view_of(r->data->value.data, r->data->value.len);
    return out;
}
