/*
 * What each target said to our keys last, so that the next connection begins with the right type.
 * It is forgotten with the process; the oldest go first when there are KEY_HINTS_MAX.
 */
#ifndef PROXY_KEY_HINTS_H
#define PROXY_KEY_HINTS_H

#include "common/base/map.h"
#include "common/crypto/key.h"

enum {
    KEY_HINTS_MAX = 1024,
};

struct key_hint {
    const struct key_alg *first; /* NULL: nothing is known */
    bool is_known;               /* the target took it */
};

/* A zeroed struct is empty. */
struct key_hints {
    struct map by_address;
};

/* `address` is "HOST:PORT" of the route. hint->first is not NULL. */
void key_hints_put(struct key_hints *h, const char *address, struct key_hint hint);
struct key_hint key_hints_get(const struct key_hints *h, const char *address);
void key_hints_fini(struct key_hints *h);

#endif
