#include "authorize/policy/reason.h"

static const char *const texts[REASON_COUNT] = {
#define R(name, text) text,
#include "authorize/policy/reason.def"
#undef R
};

_Static_assert(REASON_COUNT <= 64, "a set of reasons is 64 bits");

const char *reason_text(enum reason r)
{
    return r < REASON_COUNT ? texts[r] : "unknown";
}

size_t reasons_texts(struct reasons set, const char *out[REASON_COUNT])
{
    size_t n = 0;
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        if (reasons_has(set, (enum reason)r))
            out[n++] = texts[r];
    }
    return n;
}
