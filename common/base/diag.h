/*
 * What a parser has to say to a human: located sentences, all of one run. Errors and warnings are
 * kept in order; the text of one is "FILE:LINE:COLUMN: KEY: SENTENCE" with the parts that it has.
 */
#ifndef COMMON_BASE_DIAG_H
#define COMMON_BASE_DIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct diag_place {
    const char *file; /* may be NULL; not owned */
    uint32_t line;    /* 1 is the first; 0 = unknown */
    uint32_t column;
};

struct diag_item {
    char *text;
    char *key; /* "" when there is none */
    bool warning;
};

struct diag {
    struct diag_item *items;
    size_t count;
    size_t errors; /* how many items are no warnings */
};

/* A zeroed struct diag is empty. At most DIAG_MAX items are kept, errors are counted on. */
enum { DIAG_MAX = 200 };
void diag_fini(struct diag *d);

[[gnu::format(printf, 4, 5)]] void diag_error(struct diag *d, struct diag_place at, const char *key,
                                              const char *format, ...);
[[gnu::format(printf, 4, 5)]] void diag_warn(struct diag *d, struct diag_place at, const char *key,
                                             const char *format, ...);

#endif
