#include "authorize/live/heap.h"

#include "common/base/mem.h"

void heap_fini(struct heap *h)
{
    for (size_t i = 0; i < h->count; i++)
        h->items[i]->place = 0;
    mem_free(h->items);
    *h = (struct heap){0};
}

static void place(struct heap *h, size_t at, struct heap_node *n)
{
    h->items[at] = n;
    n->place = at + 1;
}

static void sift_up(struct heap *h, size_t at)
{
    struct heap_node *n = h->items[at];
    while (at > 0) {
        size_t parent = (at - 1) / 2;
        if (h->items[parent]->key <= n->key)
            break;
        place(h, at, h->items[parent]);
        at = parent;
    }
    place(h, at, n);
}

static void sift_down(struct heap *h, size_t at)
{
    struct heap_node *n = h->items[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->count)
            break;
        if (child + 1 < h->count && h->items[child + 1]->key < h->items[child]->key)
            child++;
        if (n->key <= h->items[child]->key)
            break;
        place(h, at, h->items[child]);
        at = child;
    }
    place(h, at, n);
}

void heap_set(struct heap *h, struct heap_node *n, uint64_t key)
{
    n->key = key;
    if (n->place == 0) {
        if (h->count == h->cap) {
            h->cap = h->cap ? 2 * h->cap : 16;
            h->items = mem_realloc(h->items, h->cap * sizeof(struct heap_node *));
        }
        place(h, h->count++, n);
    }
    size_t at = n->place - 1;
    sift_up(h, at);
    sift_down(h, n->place - 1);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
    if (n->place == 0)
        return;
    size_t at = n->place - 1;
    struct heap_node *last = h->items[--h->count];
    n->place = 0;
    if (last == n)
        return;
    place(h, at, last);
    sift_up(h, at);
    sift_down(h, last->place - 1);
}

struct heap_node *heap_first(const struct heap *h)
{
    return h->count ? h->items[0] : NULL;
}

struct heap_node *heap_pop(struct heap *h, uint64_t key)
{
    struct heap_node *first = heap_first(h);
    if (!first || first->key > key)
        return NULL;
    heap_remove(h, first);
    return first;
}
