/* Reasons of a decision, and bounded sets of them (reason.def). */
#ifndef AUTHORIZE_POLICY_REASON_H
#define AUTHORIZE_POLICY_REASON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum reason {
#define R(name, text) REASON_##name,
#include "authorize/policy/reason.def"
#undef R
    REASON_COUNT
};

/* One bit per reason. A zeroed set is empty. */
struct reasons {
    uint64_t bits;
};

/* Static text, as in logs. Never NULL. */
const char *reason_text(enum reason r);

static inline struct reasons reasons_of(enum reason r)
{
    return (struct reasons){UINT64_C(1) << r};
}

static inline struct reasons reasons_union(struct reasons a, struct reasons b)
{
    return (struct reasons){a.bits | b.bits};
}

static inline bool reasons_has(struct reasons set, enum reason r)
{
    return (set.bits >> r & 1) != 0;
}

/* The texts of `set` in out[0 … n), n returned; static strings. */
size_t reasons_texts(struct reasons set, const char *out[REASON_COUNT]);

#endif
