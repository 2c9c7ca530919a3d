/*
 * Claims flattened to lists of strings: {"a":{"b":[1,"x"]}} is a.b = ["1", "x"]. Numbers and bools
 * become their text, null and empty containers nothing.
 */
#ifndef COMMON_OIDC_CLAIMS_H
#define COMMON_OIDC_CLAIMS_H

#include "common/base/err.h"
#include "common/json/json.h"

enum {
    CLAIMS_VALUES_MAX = 10000,
    CLAIMS_NAME_MAX = 1024, /* bytes of "a.b.c" */
};

struct claim {
    char *name;
    char **values;
    size_t count;
};

/* A zeroed struct claims is empty. Sorted by name. */
struct claims {
    struct claim *items;
    size_t count;
    size_t values; /* of all items together */
};

/* ERR_LIMIT. Replaces what was in `out`. */
enum err claims_flatten(const struct json *object, struct claims *out);
void claims_fini(struct claims *c);

/* NULL when absent. */
const struct claim *claims_get(const struct claims *c, const char *name);

/* The first value; "" when absent. */
const char *claims_first(const struct claims *c, const char *name);

#endif
