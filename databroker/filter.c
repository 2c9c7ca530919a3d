#include "databroker/filter.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "databroker/store/types.h"
#include "proto/directory/directory.pb-c.h"
#include "proto/postern/records.pb-c.h"
#include "proto/session/session.pb-c.h"
#include "proto/user/user.pb-c.h"

struct parser {
    const ProtobufCMessageDescriptor *descriptor; /* NULL: a type that we do not know */
    size_t conditions;
};

static const ProtobufCMessageDescriptor *find_descriptor(const char *type)
{
    static const ProtobufCMessageDescriptor *const known[] = {
        &session__session__descriptor,
        &session__session_binding__descriptor,
        &session__session_binding_request__descriptor,
        &session__identity_binding__descriptor,
        &user__user__descriptor,
        &user__service_account__descriptor,
        &directory__user__descriptor,
        &postern__connection__descriptor,
        &postern__cut_request__descriptor,
        &postern__host_key__descriptor,
        &postern__instance__descriptor,
        &postern__probe_request__descriptor,
    };
    struct view prefix = VIEW(TYPE_URL);
    if (!view_starts_with(view_str(type), prefix))
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(known[i]->name, type + prefix.len) == 0)
            return known[i];
    return NULL;
}

static enum err parse_path(const struct parser *p, struct view text, struct match *m)
{
    const ProtobufCMessageDescriptor *d = p->descriptor;
    const ProtobufCFieldDescriptor *f = NULL;
    struct view part;
    while (view_next(&text, '.', &part)) {
        AUTO_FREE char *name = mem_strndup(part.ptr, part.len);
        f = d ? protobuf_c_message_descriptor_get_field_by_name(d, name) : NULL;
        if (!f || m->path_len == MATCH_PATH_MAX)
            return ERR_NOT_FOUND;
        m->path[m->path_len++] = f->id;
        d = f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
    }
    return f && f->type == PROTOBUF_C_TYPE_STRING ? OK : ERR_NOT_FOUND;
}

static enum err parse_struct(struct parser *p, const Google__Protobuf__Struct *s, unsigned depth,
                             struct match *out);

/* The recursion is bounded by FILTER_DEPTH_MAX. */
static enum err parse_list(struct parser *p, const Google__Protobuf__Value *v, unsigned depth,
                           struct match *m)
{
    if (v->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE)
        return ERR_SYNTAX;
    for (size_t i = 0; i < v->list_value->n_values; i++) {
        const Google__Protobuf__Value *item = v->list_value->values[i];
        if (item->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE)
            return ERR_SYNTAX;
        TRY(parse_struct(p, item->struct_value, depth + 1, match_add(m)));
    }
    return OK;
}

static enum err parse_entry(struct parser *p, const Google__Protobuf__Struct__FieldsEntry *e,
                            unsigned depth, struct match *m)
{
    if (!e->value || ++p->conditions > FILTER_CONDITIONS_MAX)
        return e->value ? ERR_LIMIT : ERR_SYNTAX;
    if (strcmp(e->key, "$and") == 0 || strcmp(e->key, "$or") == 0) {
        m->kind = e->key[1] == 'a' ? MATCH_ALL : MATCH_ANY;
        return parse_list(p, e->value, depth, m);
    }
    if (e->value->kind_case != GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE)
        return ERR_SYNTAX;
    m->value = mem_strdup(e->value->string_value);
    if (strcmp(e->key, "id") == 0) {
        m->kind = MATCH_ID;
        return OK;
    }
    m->kind = MATCH_FIELD;
    return parse_path(p, view_str(e->key), m);
}

static enum err parse_struct(struct parser *p, const Google__Protobuf__Struct *s, unsigned depth,
                             struct match *out)
{
    if (depth > FILTER_DEPTH_MAX)
        return ERR_LIMIT;
    out->kind = MATCH_ALL;
    for (size_t i = 0; i < s->n_fields; i++)
        TRY(parse_entry(p, s->fields[i], depth, match_add(out)));
    return OK;
}

static enum err parse_query(const Databroker__QueryRequest *request, struct match *out)
{
    struct parser p = {.descriptor = find_descriptor(request->type)};
    out->kind = MATCH_ALL;
    if (strlen(request->query) > FILTER_TEXT_MAX)
        return ERR_LIMIT;
    if (request->query[0]) {
        struct match *m = match_add(out);
        m->kind = MATCH_TEXT;
        m->value = mem_strdup(request->query);
        text_lower_str(m->value);
    }
    return request->filter ? parse_struct(&p, request->filter, 0, match_add(out)) : OK;
}

enum err filter_parse(const Databroker__QueryRequest *request, struct match *out)
{
    struct match m = {0};
    enum err e = parse_query(request, &m);
    if (e == OK)
        *out = m;
    else
        match_fini(&m);
    return e;
}
