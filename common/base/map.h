/*
 * Map from bytes to pointers, hashed with SipHash under a key that each process draws once, so a
 * peer who chooses keys cannot choose collisions. Keys are copied. Built on uthash.
 */
#ifndef COMMON_BASE_MAP_H
#define COMMON_BASE_MAP_H

#include "common/base/view.h"

struct map_entry;

struct map {
    struct map_entry *head;
};

/* 16 random bytes, before the first map is filled. Without it the key is zero (tests). */
void map_seed(const uint8_t key[16]);

/* SipHash-2-4 of `v` under that key. */
uint64_t map_hash(struct view v);

/* A zeroed struct map is empty. The values are the caller's. */
void map_fini(struct map *m);

/* NULL when absent. */
void *map_get(const struct map *m, struct view key);

/* Returns the value that was there before, or NULL. `value` is not NULL. */
void *map_put(struct map *m, struct view key, void *value);

/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct view key);

size_t map_count(const struct map *m);

/*
 * Iteration in order of insertion: for (struct map_iter i = map_iter(&m); map_next(&i);) i.key,
 * i.value. The current entry may be removed while iterating, others may not.
 */
struct map_iter {
    struct map_entry *next;
    struct view key;
    void *value;
};
struct map_iter map_iter(const struct map *m);
bool map_next(struct map_iter *i);

#endif
