/* Cookies (RFC 6265): the request's Cookie field, the response's Set-Cookie. */
#ifndef COMMON_HTTP_COOKIE_H
#define COMMON_HTTP_COOKIE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/http/fields.h"

enum {
    COOKIE_MAX = 4096, /* name, value and attributes, as browsers limit it */
    COOKIE_SESSION = -1,
};

/*
 * Cuts the next pair off the front of *rest, the value of a Cookie field; pairs without "=" are
 * skipped, quotes around a value are cut off. Views into the field.
 */
bool cookie_next(struct view *rest, struct view *out_name, struct view *out_value);

/* The first cookie of that name in all Cookie fields; .ptr is NULL when there is none. */
struct view cookie_get(const struct fields *f, const char *name);

/* Removes that cookie, in all its occurrences, from the Cookie fields. */
enum err cookie_remove(struct fields *f, const char *name);

enum cookie_same_site {
    COOKIE_SAME_SITE_UNSET,
    COOKIE_SAME_SITE_LAX,
    COOKIE_SAME_SITE_STRICT,
    COOKIE_SAME_SITE_NONE,
};

struct cookie {
    struct view name;
    struct view value;
    const char *path;   /* NULL = not written */
    const char *domain; /* NULL = not written: host only */
    int64_t max_age;    /* seconds; COOKIE_SESSION = not written; 0 = delete it */
    bool secure;
    bool http_only;
    enum cookie_same_site same_site;
};

/*
 * Appends the value of a Set-Cookie field. ERR_SYNTAX when a part has bytes that a cookie cannot
 * carry, ERR_LIMIT above COOKIE_MAX.
 */
enum err cookie_write(const struct cookie *c, struct buf *out);

#endif
