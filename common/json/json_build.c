#include <jansson.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/json/json.h"

static json_t *inner(const struct json *v)
{
    return (json_t *)(uintptr_t)v;
}

static struct json *made(json_t *v)
{
    CHECK(v);
    return (struct json *)v;
}

struct json *json_new_object(void)
{
    return made(json_object());
}

struct json *json_new_array(void)
{
    return made(json_array());
}

/* NULL when the text is no UTF-8 or has a NUL, which no reader of ours could take back. */
static json_t *new_str(struct view value)
{
    if (view_find(value, 0) >= 0)
        return NULL;
    return json_stringn(value.len ? (const char *)value.ptr : "", value.len);
}

static enum err set(struct json *object, const char *name, json_t *child)
{
    /* The library takes the child over, also when it fails, and takes NULL as a failure. */
    return json_object_set_new(inner(object), name, child) == 0 ? OK : ERR_SYNTAX;
}

static enum err add(struct json *array, json_t *child)
{
    return json_array_append_new(inner(array), child) == 0 ? OK : ERR_SYNTAX;
}

enum err json_set(struct json *object, const char *name, struct json *child)
{
    return set(object, name, inner(child));
}

enum err json_set_copy(struct json *object, const char *name, const struct json *value)
{
    return set(object, name, json_deep_copy(inner(value)));
}

enum err json_set_str(struct json *object, const char *name, struct view value)
{
    return set(object, name, new_str(value));
}

enum err json_set_i64(struct json *object, const char *name, int64_t value)
{
    return set(object, name, json_integer(value));
}

enum err json_set_bool(struct json *object, const char *name, bool value)
{
    return set(object, name, json_boolean(value));
}

enum err json_add(struct json *array, struct json *child)
{
    return add(array, inner(child));
}

enum err json_add_str(struct json *array, struct view value)
{
    return add(array, new_str(value));
}

void json_remove(struct json *object, const char *name)
{
    (void)json_object_del(inner(object), name);
}

struct dump {
    struct buf *out;
    enum err err;
};

static int on_dump(const char *bytes, size_t n, void *ctx)
{
    struct dump *d = ctx;
    d->err = buf_append(d->out, view_of(bytes, n));
    return d->err == OK ? 0 : -1;
}

enum err json_write(const struct json *v, enum json_order order, struct buf *out)
{
    struct dump d = {.out = out};
    size_t before = out->len;
    size_t flags = JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15) |
                   (order == JSON_ORDER_SORTED ? JSON_SORT_KEYS : 0);
    if (json_dump_callback(inner(v), on_dump, &d, flags) == 0)
        return OK;
    buf_truncate(out, before);
    return d.err == OK ? ERR_INTERNAL : d.err;
}
