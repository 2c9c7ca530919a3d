/* Binary heap of nodes that are part of what they belong to: the smallest key first. */
#ifndef AUTHORIZE_LIVE_HEAP_H
#define AUTHORIZE_LIVE_HEAP_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed = in no heap. A node stays where it is in memory while it is in one. */
struct heap_node {
    uint64_t key;
    size_t place; /* index + 1; 0 = in no heap */
};

struct heap {
    struct heap_node **items;
    size_t count;
    size_t cap;
};

/* A zeroed struct heap is empty. The nodes are the caller's and are out of it afterwards. */
void heap_fini(struct heap *h);

/* Puts `n` in, or moves it, under `key`. */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key);

/* Takes `n` out; nothing happens when it is not in. */
void heap_remove(struct heap *h, struct heap_node *n);

/* The first node, or NULL. */
struct heap_node *heap_first(const struct heap *h);

/* Takes out and returns the first node whose key is <= `key`, or NULL. */
struct heap_node *heap_pop(struct heap *h, uint64_t key);

#endif
