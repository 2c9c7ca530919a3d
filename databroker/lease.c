#include "databroker/lease.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/text.h"

struct lease {
    char id[LEASE_ID_LEN + 1];
    uint64_t ends_at;
};

void leases_fini(struct leases *l)
{
    for (struct map_iter i = map_iter(&l->by_name); map_next(&i);)
        mem_free(i.value);
    map_fini(&l->by_name);
    l->by_name = (struct map){0};
}

static void draw_id(const struct rng *rng, struct lease *lease)
{
    uint8_t bytes[LEASE_ID_LEN / 2];
    AUTO(buf_fini) struct buf hex;
    rng_fill(rng, bytes, sizeof(bytes));
    buf_init(&hex, LEASE_ID_LEN);
    CHECK(text_hex(view_of(bytes, sizeof(bytes)), &hex) == OK);
    memcpy(lease->id, buf_ptr(&hex), LEASE_ID_LEN);
}

static bool is_duration(uint64_t ms)
{
    return ms > 0 && ms <= LEASE_DURATION_MAX_MS;
}

static bool is_holder(const struct lease *lease, const char *id)
{
    return lease && secret_equal(view_str(lease->id), view_str(id));
}

enum err lease_acquire(struct leases *l, const char *name, uint64_t duration_ms, uint64_t now_ms,
                       const char **out_id)
{
    struct view key = view_str(name);
    if (key.len == 0 || key.len > LEASE_NAME_MAX)
        return ERR_SYNTAX;
    if (!is_duration(duration_ms))
        return ERR_RANGE;
    struct lease *lease = map_get(&l->by_name, key);
    if (lease && lease->ends_at > now_ms)
        return ERR_EXISTS;
    if (!lease) {
        if (map_count(&l->by_name) >= LEASE_COUNT_MAX)
            return ERR_LIMIT;
        lease = mem_zalloc(sizeof(*lease));
        map_put(&l->by_name, key, lease);
    }
    draw_id(l->rng, lease);
    lease->ends_at = now_ms + duration_ms;
    *out_id = lease->id;
    return OK;
}

enum err lease_renew(struct leases *l, const char *name, const char *id, uint64_t duration_ms,
                     uint64_t now_ms)
{
    if (!is_duration(duration_ms))
        return ERR_RANGE;
    struct lease *lease = map_get(&l->by_name, view_str(name));
    if (!is_holder(lease, id) || lease->ends_at <= now_ms)
        return ERR_EXISTS;
    lease->ends_at = now_ms + duration_ms;
    return OK;
}

size_t lease_count(const struct leases *l, uint64_t now_ms)
{
    size_t count = 0;
    for (struct map_iter i = map_iter(&l->by_name); map_next(&i);) {
        const struct lease *lease = i.value;
        count += lease->ends_at > now_ms;
    }
    return count;
}

void lease_release(struct leases *l, const char *name, const char *id)
{
    if (is_holder(map_get(&l->by_name, view_str(name)), id))
        mem_free(map_remove(&l->by_name, view_str(name)));
}
