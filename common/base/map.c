#include "common/base/map.h"

#include "common/base/mem.h"

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)map_hash(view_of(keyptr, keylen)))
#define uthash_malloc(size) mem_zalloc(size)
#define uthash_free(ptr, size) mem_free(ptr)
#include <uthash.h>

struct map_entry {
    UT_hash_handle hh;
    void *value;
    size_t key_len;
    uint8_t key[];
};

static uint64_t seed[2];

static uint64_t load_le(const uint8_t *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

void map_seed(const uint8_t key[16])
{
    seed[0] = load_le(key, 8);
    seed[1] = load_le(key + 8, 8);
}

static uint64_t rotl(uint64_t v, int n)
{
    return v << n | v >> (64 - n);
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds--) {
        v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
        v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
    }
}

uint64_t map_hash(struct view d)
{
    uint64_t v[4] = {seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
                     seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    uint64_t last = (uint64_t)d.len << 56;
    for (; d.len >= 8; d = view_skip(d, 8)) {
        uint64_t m = load_le(d.ptr, 8);
        v[3] ^= m;
        sip_rounds(v, 2);
        v[0] ^= m;
    }
    last |= load_le(d.ptr, d.len);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static struct map_entry *find(const struct map *m, struct view key)
{
    struct map_entry *e = NULL;
    HASH_FIND(hh, m->head, key.ptr, key.len, e);
    return e;
}

void *map_get(const struct map *m, struct view key)
{
    struct map_entry *e = find(m, key);
    return e ? e->value : NULL;
}

void *map_put(struct map *m, struct view key, void *value)
{
    struct map_entry *e = find(m, key);
    if (e) {
        void *old = e->value;
        e->value = value;
        return old;
    }
    e = mem_zalloc(sizeof *e + key.len);
    e->value = value;
    e->key_len = key.len;
    if (key.len)
        memcpy(e->key, key.ptr, key.len);
    HASH_ADD_KEYPTR(hh, m->head, e->key, e->key_len, e);
    return NULL;
}

void *map_remove(struct map *m, struct view key)
{
    struct map_entry *e = find(m, key);
    if (!e)
        return NULL;
    void *value = e->value;
    HASH_DEL(m->head, e);
    mem_free(e);
    return value;
}

size_t map_count(const struct map *m)
{
    return HASH_COUNT(m->head);
}

void map_fini(struct map *m)
{
    struct map_entry *e, *next;
    HASH_ITER(hh, m->head, e, next)
    {
        HASH_DEL(m->head, e);
        mem_free(e);
    }
    m->head = NULL;
}

struct map_iter map_iter(const struct map *m)
{
    return (struct map_iter){.next = m->head};
}

bool map_next(struct map_iter *i)
{
    struct map_entry *e = i->next;
    if (!e)
        return false;
    i->key = view_of(e->key, e->key_len);
    i->value = e->value;
    i->next = e->hh.next;
    return true;
}
