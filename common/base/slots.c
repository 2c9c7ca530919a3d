#include "common/base/slots.h"

#include "common/base/check.h"
#include "common/base/mem.h"

void slots_fini(struct slots *s)
{
    mem_free(s->items);
    *s = (struct slots){0};
}

static void grow(struct slots *s)
{
    size_t cap = s->cap ? s->cap * 2 : 16;
    CHECK(cap < UINT32_MAX);
    s->items = mem_realloc(s->items, cap * sizeof *s->items);
    for (size_t i = cap; i-- > s->cap;) {
        s->items[i] = (struct slot){.generation = 1, .next_free = s->free_head};
        s->free_head = (uint32_t)i + 1;
    }
    s->cap = cap;
}

uint64_t slots_add(struct slots *s, void *ptr)
{
    CHECK(ptr);
    if (!s->free_head)
        grow(s);
    uint32_t index = s->free_head - 1;
    struct slot *item = &s->items[index];
    s->free_head = item->next_free;
    item->ptr = ptr;
    s->count++;
    return (uint64_t)item->generation << 32 | index;
}

static struct slot *find(const struct slots *s, uint64_t id)
{
    uint32_t index = (uint32_t)id;
    if (index >= s->cap)
        return NULL;
    struct slot *item = &s->items[index];
    return item->ptr && item->generation == (uint32_t)(id >> 32) ? item : NULL;
}

void *slots_get(const struct slots *s, uint64_t id)
{
    struct slot *item = find(s, id);
    return item ? item->ptr : NULL;
}

void *slots_remove(struct slots *s, uint64_t id)
{
    struct slot *item = find(s, id);
    if (!item)
        return NULL;
    void *ptr = item->ptr;
    item->ptr = NULL;
    item->generation = item->generation == UINT32_MAX ? 1 : item->generation + 1;
    item->next_free = s->free_head;
    s->free_head = (uint32_t)id + 1;
    s->count--;
    return ptr;
}

void *slots_next(const struct slots *s, size_t *cursor)
{
    while (*cursor < s->cap) {
        void *ptr = s->items[(*cursor)++].ptr;
        if (ptr)
            return ptr;
    }
    return NULL;
}
