/*
 * Why tunnels have ended, by their ids: the last REASONS_MAX, each for REASONS_KEEP_MS. Whoever
 * knows an id was its client. Pure: time comes in.
 */
#ifndef PROXY_TUNNEL_REASONS_H
#define PROXY_TUNNEL_REASONS_H

#include "common/base/map.h"
#include "common/base/view.h"

enum {
    REASONS_MAX = 4096,
    REASONS_TEXT_MAX = 512,
    REASONS_KEEP_MS = 5 * 60 * 1000,
};

struct reason {
    char *id;
    char *text;
    uint64_t till;
};

/* A zeroed struct is empty. */
struct reasons {
    struct reason *ring; /* REASONS_MAX, with the first one */
    size_t next;
    struct map by_id;
};

void reasons_fini(struct reasons *r);
void reasons_put(struct reasons *r, const char *id, const char *text, uint64_t now);

/* NULL when it is not known. Until the next put. */
const char *reasons_get(const struct reasons *r, struct view id, uint64_t now);

#endif
