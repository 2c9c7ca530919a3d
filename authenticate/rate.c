#include "authenticate/rate.h"

#include "common/base/ip.h"
#include "common/base/mem.h"

struct entry {
    uint64_t level_ms; /* how much of burst * refill_ms is used, as of at_ms */
    uint64_t at_ms;
};

void rate_init(struct rate *r, uint32_t burst, uint64_t refill_ms)
{
    *r = (struct rate){.burst = burst, .refill_ms = refill_ms};
}

void rate_fini(struct rate *r)
{
    for (struct map_iter i = map_iter(&r->entries); map_next(&i);)
        mem_free(i.value);
    map_fini(&r->entries);
}

/* Entries are in the order in which they were last put. */
static void drop_oldest(struct rate *r)
{
    struct map_iter i = map_iter(&r->entries);
    if (map_next(&i))
        mem_free(map_remove(&r->entries, i.key));
}

bool rate_take(struct rate *r, struct view key, uint64_t now_ms)
{
    struct entry *e = map_remove(&r->entries, key);
    if (!e) {
        if (map_count(&r->entries) >= RATE_KEYS_MAX)
            drop_oldest(r);
        e = mem_zalloc(sizeof *e);
        e->at_ms = now_ms;
    }
    uint64_t passed = now_ms > e->at_ms ? now_ms - e->at_ms : 0;
    e->level_ms = e->level_ms > passed ? e->level_ms - passed : 0;
    e->at_ms = now_ms;
    bool ok = e->level_ms + r->refill_ms <= r->burst * r->refill_ms;
    if (ok)
        e->level_ms += r->refill_ms;
    (void)map_put(&r->entries, key, e);
    return ok;
}

struct view rate_address_key(const char *address, uint8_t buffer[RATE_ADDRESS_KEY])
{
    struct ip ip;
    if (ip_parse_zoned(view_str(address), &ip) != OK)
        return view_str(address);
    struct view source = ip_source(&ip);
    memcpy(buffer, source.ptr, source.len);
    return view_of(buffer, source.len);
}

void rate_forgive(struct rate *r, struct view key)
{
    mem_free(map_remove(&r->entries, key));
}
