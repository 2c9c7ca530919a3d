/*
 * Handles for things that callbacks outlive: a 64-bit id of index and generation. An id of a
 * removed object finds nothing, also after its place was used again.
 */
#ifndef COMMON_BASE_SLOTS_H
#define COMMON_BASE_SLOTS_H

#include <stddef.h>
#include <stdint.h>

struct slot {
    void *ptr;
    uint32_t generation;
    uint32_t next_free;
};

struct slots {
    struct slot *items;
    size_t cap;
    size_t count;
    uint32_t free_head; /* index + 1; 0 = none */
};

/* A zeroed struct slots is empty. */
void slots_fini(struct slots *s);

/* `ptr` is not NULL. The id is never 0. */
uint64_t slots_add(struct slots *s, void *ptr);

/* NULL when the id is stale. */
void *slots_get(const struct slots *s, uint64_t id);

/* Returns what was there, NULL when the id is stale. */
void *slots_remove(struct slots *s, uint64_t id);

/* Live objects by position: call with *cursor = 0, until NULL. Removing while iterating is fine. */
void *slots_next(const struct slots *s, size_t *cursor);

#endif
