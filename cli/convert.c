#include "cli/convert.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "proto/directory/directory.pb-c.h"
#include "proto/google/protobuf/struct.pb-c.h"
#include "proto/google/protobuf/timestamp.pb-c.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"
#include "proto/user/user.pb-c.h"

enum { TEXT_MAX = 4 << 20 };

const ProtobufCMessageDescriptor *const convert_types[] = {
    &session__session__descriptor,
    &session__session_binding_request__descriptor,
    &session__session_binding__descriptor,
    &session__identity_binding__descriptor,
    &user__user__descriptor,
    &user__service_account__descriptor,
    &directory__user__descriptor,
    &postern__connection__descriptor,
    &postern__cut_request__descriptor,
    &postern__host_key__descriptor,
    &postern__sealed_tokens__descriptor,
    &postern__instance__descriptor,
    &postern__probe_request__descriptor,
    NULL,
};

const ProtobufCMessageDescriptor *convert_type_find(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *full = slash ? slash + 1 : name;
    for (size_t i = 0; convert_types[i]; i++) {
        if (strcmp(full, convert_types[i]->name) == 0 ||
            strcmp(full, convert_types[i]->short_name) == 0)
            return convert_types[i];
    }
    return NULL;
}

/* What comes from a record may hold any bytes; JSON takes UTF-8 alone. */
static void set_text(struct json *object, const char *name, struct view text)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, TEXT_MAX);
    IGNORE(text_printable(text, &b), "a record has at most 1 MiB");
    IGNORE(json_set_str(object, name, buf_view(&b)), "printable text is UTF-8");
}

static void set_time(struct json *object, const char *name, int64_t seconds, int32_t nanos)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 64);
    IGNORE(text_rfc3339((uint64_t)seconds * 1000 + (uint64_t)nanos / 1000000, &b), "in range");
    IGNORE(json_set_str(object, name, buf_view(&b)), "ASCII");
}

static void set_bytes(struct json *object, const char *name, const ProtobufCBinaryData *d)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, TEXT_MAX);
    IGNORE(text_base64(view_of(d->data, d->len), &b), "a record has at most 1 MiB");
    IGNORE(json_set_str(object, name, buf_view(&b)), "ASCII");
}

static void set_value(struct json *object, const char *name, const ProtobufCFieldDescriptor *field,
                      const void *at);

static struct json *list_value(const Google__Protobuf__ListValue *list)
{
    struct json *array = json_new_array();
    for (size_t i = 0; i < list->n_values; i++) {
        const Google__Protobuf__Value *v = list->values[i];
        if (v->kind_case == GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
            IGNORE(json_add_str(array, view_str(v->string_value)), "left out if no UTF-8");
    }
    return array;
}

static struct json *message_value(const ProtobufCMessage *m)
{
    if (m->descriptor == &google__protobuf__list_value__descriptor)
        return list_value((const Google__Protobuf__ListValue *)(const void *)m);
    return convert_message(m);
}

static void set_message(struct json *object, const char *name, const ProtobufCMessage *m)
{
    if (!m)
        return;
    if (m->descriptor == &google__protobuf__timestamp__descriptor) {
        const Google__Protobuf__Timestamp *t = (const void *)m;
        set_time(object, name, t->seconds, t->nanos);
        return;
    }
    IGNORE(json_set(object, name, message_value(m)), "a fresh name");
}

static void set_enum(struct json *object, const char *name, const ProtobufCEnumDescriptor *type,
                     int value)
{
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(type, value);
    set_text(object, name, view_str(v ? v->name : "unknown"));
}

static void set_value(struct json *object, const char *name, const ProtobufCFieldDescriptor *field,
                      const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        set_text(object, name, view_str(*(const char *const *)at));
        return;
    case PROTOBUF_C_TYPE_BYTES:
        set_bytes(object, name, at);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        set_message(object, name, *(const ProtobufCMessage *const *)at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        IGNORE(json_set_bool(object, name, *(const protobuf_c_boolean *)at), "a fresh name");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        set_enum(object, name, field->descriptor, *(const int *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        IGNORE(json_set_i64(object, name, *(const int64_t *)at), "a fresh name");
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        IGNORE(json_set_i64(object, name, *(const int32_t *)at), "a fresh name");
        return;
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        return; /* no record has one */
    }
}

/* protobuf-c makes a map into repeated messages of key and value. */
static bool is_map(const ProtobufCFieldDescriptor *field)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return false;
    const ProtobufCMessageDescriptor *d = field->descriptor;
    return d->n_fields == 2 && strcmp(d->fields[0].name, "key") == 0 &&
           strcmp(d->fields[1].name, "value") == 0 && strstr(d->name, "Entry");
}

static const void *field_at(const ProtobufCMessage *m, unsigned offset)
{
    return (const char *)m + offset;
}

static void set_map(struct json *object, const ProtobufCFieldDescriptor *field,
                    ProtobufCMessage *const *entries, size_t count)
{
    struct json *map = json_new_object();
    for (size_t i = 0; i < count; i++) {
        const ProtobufCFieldDescriptor *fields = entries[i]->descriptor->fields;
        const char *key = *(const char *const *)field_at(entries[i], fields[0].offset);
        set_value(map, key, &fields[1], field_at(entries[i], fields[1].offset));
    }
    IGNORE(json_set(object, field->name, map), "a fresh name");
}

static void set_repeated(struct json *object, const ProtobufCMessage *m,
                         const ProtobufCFieldDescriptor *field)
{
    size_t count = *(const size_t *)field_at(m, field->quantifier_offset);
    const void *items = *(const void *const *)field_at(m, field->offset);
    if (is_map(field)) {
        set_map(object, field, items, count);
        return;
    }
    struct json *array = json_new_array();
    for (size_t i = 0; i < count; i++) {
        if (field->type == PROTOBUF_C_TYPE_STRING) {
            IGNORE(json_add_str(array, view_str(((char *const *)items)[i])), "else left out");
        } else if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
            IGNORE(json_add(array, message_value(((ProtobufCMessage *const *)items)[i])), "grows");
        }
    }
    IGNORE(json_set(object, field->name, array), "a fresh name");
}

static void set_fields(struct json *object, const ProtobufCMessage *m)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &m->descriptor->fields[i];
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
            set_repeated(object, m, field);
        else
            set_value(object, field->name, field, field_at(m, field->offset));
    }
}

struct json *convert_message(const ProtobufCMessage *m)
{
    struct json *object = json_new_object();
    set_fields(object, m);
    return object;
}

struct json *convert_record(const struct record *r)
{
    struct json *object = json_new_object();
    const ProtobufCMessageDescriptor *type = convert_type_find(r->type);
    ProtobufCMessage *m = type ? record_unpack(r, type) : NULL;
    if (m)
        set_fields(object, m);
    else
        set_bytes(object, "data", &(ProtobufCBinaryData){r->data.len, (uint8_t *)r->data.ptr});
    /* A message may have fields of these names; the record's are what counts. */
    set_text(object, "type", view_str(r->type));
    set_text(object, "id", view_str(r->id));
    IGNORE(json_set_i64(object, "version", (int64_t)r->version), "replaces");
    set_time(object, "modified_at", (int64_t)(r->modified_ms / 1000),
             (int32_t)(r->modified_ms % 1000) * 1000000);
    protobuf_c_message_free_unpacked(m, NULL);
    return object;
}
