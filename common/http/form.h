/* application/x-www-form-urlencoded: bodies and query strings. */
#ifndef COMMON_HTTP_FORM_H
#define COMMON_HTTP_FORM_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum {
    FORM_ITEMS_MAX = 256,
    FORM_BYTES_MAX = 1 << 20,
};

struct form_item {
    struct view name;
    struct view value;
};

/* A zeroed struct form is empty. */
struct form {
    struct form_item *items;
    size_t count;
    struct buf text; /* decoded */
};

/*
 * Replaces what was in `out`. "+" is a blank. ERR_SYNTAX for an incomplete %XX or a NUL byte,
 * ERR_LIMIT. `out` is to be ended with form_fini; the text is wiped there.
 */
enum err form_parse(struct view text, struct form *out);
void form_fini(struct form *f);

/* The first value; .ptr is NULL when there is none. Lives until form_fini. */
struct view form_get(const struct form *f, const char *name);

/* How often the name is there. */
size_t form_count(const struct form *f, const char *name);

/* Appends "name=value", with "&" in front unless `out` is empty. */
enum err form_add(struct buf *out, const char *name, struct view value);

/* Appends `text` in the encoding of form values (RFC 6749 appendix B). */
enum err form_encode(struct view text, struct buf *out);

#endif
