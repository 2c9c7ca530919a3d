#include "databroker/convert.h"

#include "common/base/check.h"
#include "common/base/mem.h"

Google__Protobuf__Timestamp convert_time(uint64_t ms)
{
    Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    t.seconds = (int64_t)(ms / 1000);
    t.nanos = (int32_t)(ms % 1000) * 1000000;
    return t;
}

void convert_row(const struct record_row *row, struct convert_record *out)
{
    databroker__record__init(&out->record);
    google__protobuf__any__init(&out->data);
    out->record.version = row->version;
    out->record.type = (char *)(uintptr_t)row->type;
    out->record.id = (char *)(uintptr_t)row->id;
    out->modified = convert_time(row->modified_ms);
    out->record.modified_at = &out->modified;
    if (row->deleted_ms) {
        out->deleted = convert_time(row->deleted_ms);
        out->record.deleted_at = &out->deleted;
        return;
    }
    out->data.type_url = out->record.type;
    out->data.value.data = (uint8_t *)(uintptr_t)row->data.ptr;
    out->data.value.len = row->data.len;
    out->record.data = &out->data;
}

uint64_t convert_duration(const Google__Protobuf__Duration *d)
{
    if (!d || d->seconds < 0 || d->nanos < 0 || d->seconds > INT32_MAX)
        return 0;
    return (uint64_t)d->seconds * 1000 + (uint64_t)d->nanos / 1000000;
}

void convert_options(const struct history_options *o, struct convert_options *out)
{
    *out = (struct convert_options){.text = mem_strdup(o->fields)};
    databroker__options__init(&out->options);
    google__protobuf__duration__init(&out->ttl);
    if (o->capacity) {
        out->options.capacity_set_case = DATABROKER__OPTIONS__CAPACITY_SET_CAPACITY;
        out->options.capacity = o->capacity;
    }
    if (o->ttl_ms) {
        out->ttl.seconds = (int64_t)(o->ttl_ms / 1000);
        out->ttl.nanos = (int32_t)(o->ttl_ms % 1000) * 1000000;
        out->options.ttl = &out->ttl;
    }
    char *rest = out->text;
    while (*rest && out->options.n_indexable_fields < ARRAY_LEN(out->fields)) {
        out->fields[out->options.n_indexable_fields++] = rest;
        char *end = strchr(rest, '\n');
        if (!end)
            break;
        *end = 0;
        rest = end + 1;
    }
    out->options.indexable_fields = out->fields;
}

void convert_options_fini(struct convert_options *o)
{
    mem_free(o->text);
}
