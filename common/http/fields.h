/*
 * Header fields: an ordered list of names and values (RFC 9110 §5). Names keep the case they came
 * in and are compared without it. Nothing that could break a message gets in: a name is a token,
 * a value has no CR, LF, NUL or other control byte but TAB and no blanks at its ends.
 */
#ifndef COMMON_HTTP_FIELDS_H
#define COMMON_HTTP_FIELDS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum {
    FIELDS_COUNT_MAX = 100,
    FIELDS_BYTES_MAX = 65536, /* names and values together */
};

/* Both are followed by a NUL byte that is not counted, so .ptr may be used as a string. */
struct field {
    struct view name;
    struct view value;
};

/* A zeroed struct fields is empty. Views into it live until the field is removed. */
struct fields {
    struct field *items;
    size_t count;
    size_t cap;
    size_t bytes;
};

void fields_fini(struct fields *f);
void fields_clear(struct fields *f);

/*
 * Copies both; blanks around the value are cut off. ERR_SYNTAX for bytes that are not allowed,
 * ERR_LIMIT above the limits.
 */
enum err fields_add(struct fields *f, struct view name, struct view value);
enum err fields_add_str(struct fields *f, const char *name, const char *value);

/* Instead of all fields of that name. */
enum err fields_set(struct fields *f, const char *name, struct view value);

/* Adds every field of `from`. */
enum err fields_append(struct fields *f, const struct fields *from);

/* The first value; .ptr is NULL when there is none. */
struct view fields_get(const struct fields *f, const char *name);

/* How many fields have that name. */
size_t fields_count(const struct fields *f, const char *name);

/* Removes all fields of that name; returns how many. */
size_t fields_remove(struct fields *f, const char *name);

/* Removes all fields whose name begins with `prefix`; returns how many. */
size_t fields_remove_prefix(struct fields *f, const char *prefix);

/* True when a comma separated element of any field of that name is `token`, without case. */
bool fields_has_token(const struct fields *f, const char *name, const char *token);

/*
 * The elements of all fields of that name, blanks cut off, empty ones skipped:
 * for (struct fields_iter i = fields_tokens(f, "TE"); fields_next_token(&i, &token);) …
 */
struct fields_iter {
    const struct fields *fields;
    const char *name;
    size_t index;
    struct view rest;
};
struct fields_iter fields_tokens(const struct fields *f, const char *name);
bool fields_next_token(struct fields_iter *i, struct view *out_token);

/*
 * RFC 9110 §7.6.1: removes what Connection lists, and Connection, Keep-Alive, Proxy-Connection,
 * Proxy-Authenticate, Proxy-Authorization, TE, Trailer, Transfer-Encoding and Upgrade.
 */
void fields_remove_hop_by_hop(struct fields *f);

/* "Name: value" CRLF for each. */
enum err fields_write(const struct fields *f, struct buf *out);

/* RFC 9110 §5.6.2 token, §5.5 field value. */
bool is_token(struct view v);
bool is_field_value(struct view v);

#endif
