/*
 * What a running tunnel says on stderr. On a terminal the last line shows how much has gone each
 * way and is rewritten every second; sentences go above it.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>

#include "common/base/buf.h"
#include "common/io/timer.h"

struct progress_counts {
    size_t tunnels;
    uint64_t bytes_up;
    uint64_t bytes_down;
};

struct progress {
    struct timer timer;
    struct progress_counts (*count)(void *ctx);
    void *ctx;
    struct progress_counts last;
    uint64_t last_ms;
    struct loop *loop;
    bool shown; /* a line is there and has to be wiped before a sentence */
};

/* `enabled`: also show the line. */
void progress_init(struct progress *p, struct loop *l, bool enabled,
                   struct progress_counts (*count)(void *ctx), void *ctx);
void progress_fini(struct progress *p);

/* "postern: " and the sentence on a line of its own. */
[[gnu::format(printf, 2, 3)]] void progress_say(struct progress *p, const char *format, ...);

/* Appends "3 tunnels, up 1.2 MB (10.0 kB/s), down 3.4 MB (1.0 MB/s)". */
enum err progress_line(const struct progress_counts *now, const struct progress_counts *before,
                       uint64_t elapsed_ms, struct buf *out);

#endif
