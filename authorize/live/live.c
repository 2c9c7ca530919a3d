#include "authorize/live/live.h"

#include "common/base/check.h"
#include "common/base/mem.h"

struct live_bucket {
    struct live_node *first;
    size_t count;
    size_t key_len;
    uint8_t key[];
};

void live_fini(struct live *l)
{
    CHECK(map_count(&l->by_id) == 0);
    map_fini(&l->by_id);
    for (unsigned by = 0; by < LIVE_BY_COUNT; by++)
        map_fini(&l->index[by]);
    heap_fini(&l->expiry);
    heap_fini(&l->held);
}

bool live_add(struct live *l, struct live_node *n, struct view id)
{
    if (map_get(&l->by_id, id))
        return false;
    n->id = mem_strndup(id.ptr, id.len);
    map_put(&l->by_id, id, n);
    return true;
}

static void unlink_from(struct live *l, struct live_node *n, enum live_by by)
{
    struct live_link *link = &n->link[by];
    struct live_bucket *bucket = link->bucket;
    if (!bucket)
        return;
    if (link->prev)
        link->prev->link[by].next = link->next;
    else
        bucket->first = link->next;
    if (link->next)
        link->next->link[by].prev = link->prev;
    *link = (struct live_link){0};
    if (--bucket->count == 0) {
        map_remove(&l->index[by], view_of(bucket->key, bucket->key_len));
        mem_free(bucket);
    }
}

void live_remove(struct live *l, struct live_node *n)
{
    for (unsigned by = 0; by < LIVE_BY_COUNT; by++)
        unlink_from(l, n, (enum live_by)by);
    heap_remove(&l->expiry, &n->expiry);
    heap_remove(&l->held, &n->hold);
    map_remove(&l->by_id, view_str(n->id));
    mem_free(n->id);
    *n = (struct live_node){0};
}

struct live_node *live_get(const struct live *l, struct view id)
{
    return map_get(&l->by_id, id);
}

size_t live_count(const struct live *l)
{
    return map_count(&l->by_id);
}

struct view live_id(const struct live_node *n)
{
    return view_str(n->id);
}

static struct live_bucket *bucket_for(struct live *l, enum live_by by, struct view key)
{
    struct live_bucket *bucket = map_get(&l->index[by], key);
    if (bucket)
        return bucket;
    bucket = mem_zalloc(sizeof *bucket + key.len);
    bucket->key_len = key.len;
    memcpy(bucket->key, key.ptr, key.len);
    map_put(&l->index[by], key, bucket);
    return bucket;
}

void live_index(struct live *l, struct live_node *n, enum live_by by, struct view key)
{
    struct live_link *link = &n->link[by];
    if (link->bucket && view_eq(view_of(link->bucket->key, link->bucket->key_len), key))
        return;
    unlink_from(l, n, by);
    if (key.len == 0)
        return;
    link->bucket = bucket_for(l, by, key);
    link->next = link->bucket->first;
    if (link->next)
        link->next->link[by].prev = n;
    link->bucket->first = n;
    link->bucket->count++;
}

struct live_node *live_first(const struct live *l, enum live_by by, struct view key)
{
    const struct live_bucket *bucket = map_get(&l->index[by], key);
    return bucket ? bucket->first : NULL;
}

struct live_node *live_next(const struct live_node *n, enum live_by by)
{
    return n->link[by].next;
}

size_t live_count_by(const struct live *l, enum live_by by, struct view key)
{
    const struct live_bucket *bucket = map_get(&l->index[by], key);
    return bucket ? bucket->count : 0;
}

struct map_iter live_iter(const struct live *l)
{
    return map_iter(&l->by_id);
}

void live_expire_at(struct live *l, struct live_node *n, uint64_t at_ms)
{
    if (at_ms == UINT64_MAX)
        heap_remove(&l->expiry, &n->expiry);
    else
        heap_set(&l->expiry, &n->expiry, at_ms);
}

struct live_node *live_pop_expired(struct live *l, uint64_t now_ms)
{
    struct heap_node *node = heap_pop(&l->expiry, now_ms);
    return node ? CONTAINER_OF(node, struct live_node, expiry) : NULL;
}

uint64_t live_deadline(const struct live *l)
{
    const struct heap_node *first = heap_first(&l->expiry);
    return first ? first->key : UINT64_MAX;
}

void live_hold(struct live *l, struct live_node *n, uint64_t record_version)
{
    heap_set(&l->held, &n->hold, record_version);
}

struct live_node *live_pop_held(struct live *l, uint64_t record_version)
{
    struct heap_node *node = heap_pop(&l->held, record_version);
    return node ? CONTAINER_OF(node, struct live_node, hold) : NULL;
}

bool live_is_held(const struct live_node *n)
{
    return n->hold.place != 0;
}
