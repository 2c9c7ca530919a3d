#include "common/json/json.h"

#include <inttypes.h>
#include <jansson.h>

#include "common/base/mem.h"

static json_t *inner(const struct json *v)
{
    return (json_t *)(uintptr_t)v;
}

static struct json *outer(json_t *v)
{
    return (struct json *)v;
}

/* Brackets outside of strings; the library's own limit is fixed at 2,048. */
static bool is_shallow(struct view text)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else
                in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX)
                return false;
        } else if ((c == ']' || c == '}') && depth) {
            depth--;
        }
    }
    return true;
}

enum err json_parse(struct view text, struct json **out)
{
    json_error_t why;
    if (!is_shallow(text))
        return ERR_LIMIT;
    if (!text.len)
        return ERR_SYNTAX;
    json_t *v = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, &why);
    if (!v)
        return ERR_SYNTAX;
    *out = outer(v);
    return OK;
}

void json_free(struct json *v)
{
    json_decref(inner(v));
}

void json_free_ptr(struct json **v)
{
    json_free(*v);
}

struct json *json_clone(const struct json *v)
{
    return outer(json_deep_copy(inner(v)));
}

enum json_kind json_kind(const struct json *v)
{
    if (!v)
        return JSON_KIND_NONE;
    switch (json_typeof(inner(v))) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_STR;
    case JSON_INTEGER:
        return JSON_KIND_INT;
    case JSON_REAL:
        return JSON_KIND_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    case JSON_NULL:
        return JSON_KIND_NULL;
    }
    return JSON_KIND_NONE;
}

const struct json *json_member(const struct json *v, struct view name)
{
    if (json_kind(v) != JSON_KIND_OBJECT || view_find(name, 0) >= 0)
        return NULL;
    AUTO_FREE char *key = mem_strndup(name.ptr, name.len);
    return outer(json_object_get(inner(v), key));
}

const struct json *json_get(const struct json *v, const char *path)
{
    while (v && path) {
        const struct json *whole = json_member(v, view_str(path));
        const char *dot = strchr(path, '.');
        if (whole || !dot)
            return whole;
        v = json_member(v, view_of(path, (size_t)(dot - path)));
        path = dot + 1;
    }
    return NULL;
}

struct view json_str(const struct json *v)
{
    if (json_kind(v) != JSON_KIND_STR)
        return (struct view){0};
    return view_of(json_string_value(inner(v)), json_string_length(inner(v)));
}

bool json_bool(const struct json *v, bool fallback)
{
    return json_kind(v) == JSON_KIND_BOOL ? json_is_true(inner(v)) : fallback;
}

enum err json_i64(const struct json *v, int64_t *out)
{
    enum json_kind kind = json_kind(v);
    if (kind == JSON_KIND_NONE)
        return ERR_NOT_FOUND;
    if (kind == JSON_KIND_INT) {
        *out = json_integer_value(inner(v));
        return OK;
    }
    if (kind != JSON_KIND_REAL)
        return ERR_SYNTAX;
    double real = json_real_value(inner(v));
    /* 2^63 itself does not fit. */
    if (!(real >= -0x1p63 && real < 0x1p63))
        return ERR_RANGE;
    *out = (int64_t)real;
    return OK;
}

struct view json_get_str(const struct json *v, const char *path)
{
    return json_str(json_get(v, path));
}

bool json_get_bool(const struct json *v, const char *path, bool fallback)
{
    return json_bool(json_get(v, path), fallback);
}

enum err json_get_i64(const struct json *v, const char *path, int64_t *out)
{
    return json_i64(json_get(v, path), out);
}

enum err json_text(const struct json *v, struct buf *out)
{
    switch (json_kind(v)) {
    case JSON_KIND_STR:
        return buf_append(out, json_str(v));
    case JSON_KIND_BOOL:
        return buf_append_str(out, json_bool(v, false) ? "true" : "false");
    case JSON_KIND_INT:
        return buf_printf(out, "%" PRId64, (int64_t)json_integer_value(inner(v)));
    case JSON_KIND_REAL:
        return buf_printf(out, "%.15g", json_real_value(inner(v)));
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        break;
    }
    return ERR_SYNTAX;
}

size_t json_len(const struct json *v)
{
    if (json_kind(v) == JSON_KIND_OBJECT)
        return json_object_size(inner(v));
    return json_kind(v) == JSON_KIND_ARRAY ? json_array_size(inner(v)) : 0;
}

const struct json *json_at(const struct json *v, size_t index)
{
    return json_kind(v) == JSON_KIND_ARRAY ? outer(json_array_get(inner(v), index)) : NULL;
}

struct json_iter json_iter(const struct json *v)
{
    return (struct json_iter){.object = json_kind(v) == JSON_KIND_OBJECT ? v : NULL};
}

bool json_next(struct json_iter *i)
{
    if (!i->object)
        return false;
    i->at = i->begun ? json_object_iter_next(inner(i->object), i->at)
                     : json_object_iter(inner(i->object));
    i->begun = true;
    if (!i->at) {
        i->object = NULL;
        return false;
    }
    i->name = view_str(json_object_iter_key(i->at));
    i->value = outer(json_object_iter_value(i->at));
    return true;
}
