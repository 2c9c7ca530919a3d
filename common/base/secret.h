/* Bytes that are wiped when they go, and that nothing can print. */
#ifndef COMMON_BASE_SECRET_H
#define COMMON_BASE_SECRET_H

#include "common/base/view.h"

struct secret {
    uint8_t *data;
    size_t len;
};

/* A copy. A zeroed struct secret is empty. */
void secret_set(struct secret *s, struct view bytes);
void secret_fini(struct secret *s);
struct view secret_view(const struct secret *s);

/* In time that depends on the lengths alone. */
bool secret_equal(struct view a, struct view b);

#endif
