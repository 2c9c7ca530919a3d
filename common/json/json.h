/*
 * JSON values (RFC 8259): parse, read, build, write. Only this folder knows the library below.
 * A tree has one owner, the root; what is inside is borrowed and lives as long as the root.
 * Strings are UTF-8 without NUL.
 */
#ifndef COMMON_JSON_JSON_H
#define COMMON_JSON_JSON_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum { JSON_DEPTH_MAX = 32 };

struct json;

enum json_kind {
    JSON_KIND_NONE, /* no value (NULL) */
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_STR,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
};

/*
 * An object or array and nothing behind it. ERR_SYNTAX (also for duplicate keys, invalid UTF-8,
 * \u0000 and numbers that do not fit), ERR_LIMIT above JSON_DEPTH_MAX. The caller limits the size.
 */
enum err json_parse(struct view text, struct json **out);

/* NULL is fine. Only for roots. */
void json_free(struct json *v);

/* For AUTO(json_free_ptr) struct json *v = NULL; */
void json_free_ptr(struct json **v);

/* A deep copy. */
struct json *json_clone(const struct json *v);

/* Reading. `v` may be NULL everywhere: nothing is found. */

enum json_kind json_kind(const struct json *v);

/* The member called `name`, whatever bytes it has; NULL when there is none or v is no object. */
const struct json *json_member(const struct json *v, struct view name);

/* By a dotted path, "a.b.c". A member whose name is the whole (rest of the) path goes first. */
const struct json *json_get(const struct json *v, const char *path);

/* .ptr is NULL when there is nothing or something else. NUL terminated otherwise. */
struct view json_get_str(const struct json *v, const char *path);

/* `fallback` when there is nothing or something else. */
bool json_get_bool(const struct json *v, const char *path, bool fallback);

/* Reals are cut to integers. ERR_NOT_FOUND; ERR_SYNTAX when it is no number; ERR_RANGE. */
enum err json_get_i64(const struct json *v, const char *path, int64_t *out);

/* The value itself: string, number or bool as above. */
struct view json_str(const struct json *v);
bool json_bool(const struct json *v, bool fallback);
enum err json_i64(const struct json *v, int64_t *out);

/* The text of a string, a number ("12", "1.5") or a bool; ERR_SYNTAX for everything else. */
enum err json_text(const struct json *v, struct buf *out);

/* Members of an object or elements of an array; 0 for everything else. */
size_t json_len(const struct json *v);

/* Element of an array; NULL beyond its end. */
const struct json *json_at(const struct json *v, size_t index);

/*
 * Members in order of insertion:
 * for (struct json_iter i = json_iter(v); json_next(&i);) i.name, i.value.
 */
struct json_iter {
    const struct json *object;
    void *at;
    bool begun;
    struct view name; /* NUL terminated */
    const struct json *value;
};
struct json_iter json_iter(const struct json *v);
bool json_next(struct json_iter *i);

/* Building. A set replaces. Children are taken over, also on failure. ERR_SYNTAX: no UTF-8. */

struct json *json_new_object(void);
struct json *json_new_array(void);
enum err json_set(struct json *object, const char *name, struct json *child);
enum err json_set_copy(struct json *object, const char *name, const struct json *value);
enum err json_set_str(struct json *object, const char *name, struct view value);
enum err json_set_i64(struct json *object, const char *name, int64_t value);
enum err json_set_bool(struct json *object, const char *name, bool value);
enum err json_add(struct json *array, struct json *child);
enum err json_add_str(struct json *array, struct view value);

/* No error when it is not there. */
void json_remove(struct json *object, const char *name);

/* Compact; members in order of insertion, or sorted by name. Appends; ERR_LIMIT. */
enum json_order {
    JSON_ORDER_INSERTED,
    JSON_ORDER_SORTED,
};
enum err json_write(const struct json *v, enum json_order order, struct buf *out);

#endif
