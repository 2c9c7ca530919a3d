#include "proxy/replica_table.h"

#include <string.h>

#include "common/base/mem.h"

struct replica *replica_table_find(struct replica_table *t, const char *address)
{
    for (size_t i = 0; i < t->count; i++) {
        if (strcmp(t->items[i].address, address) == 0)
            return &t->items[i];
    }
    return NULL;
}

static bool is_named(const struct replica *r, const struct address *addresses, size_t count)
{
    char text[ADDRESS_TEXT_MAX];
    for (size_t i = 0; i < count; i++) {
        address_text(&addresses[i], text);
        if (strcmp(text, r->address) == 0)
            return true;
    }
    return false;
}

static void remove_unnamed(struct replica_table *t, unsigned source,
                           const struct address *addresses, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (t->items[i].source != source || is_named(&t->items[i], addresses, count))
            t->items[kept++] = t->items[i];
    }
    t->count = kept;
}

size_t replica_table_set(struct replica_table *t, unsigned source, const struct address *addresses,
                         size_t count, uint64_t now)
{
    size_t fresh = 0;
    remove_unnamed(t, source, addresses, count);
    for (size_t i = 0; i < count && t->count < REPLICAS_MAX; i++) {
        struct replica r = {.source = source, .ready_at = now, .wait_ms = REPLICA_WAIT_MIN_MS};
        address_text(&addresses[i], r.address);
        if (replica_table_find(t, r.address))
            continue;
        t->items[t->count++] = r;
        fresh++;
    }
    return fresh;
}

void replica_table_failed(struct replica_table *t, const char *address, uint64_t now)
{
    struct replica *r = replica_table_find(t, address);
    if (!r)
        return;
    r->ready_at = now + r->wait_ms;
    r->wait_ms = r->wait_ms * 2 < REPLICA_WAIT_MAX_MS ? r->wait_ms * 2 : REPLICA_WAIT_MAX_MS;
}

void replica_table_good(struct replica_table *t, const char *address, uint64_t now)
{
    struct replica *r = replica_table_find(t, address);
    if (!r)
        return;
    r->ready_at = now;
    r->wait_ms = REPLICA_WAIT_MIN_MS;
}

static bool is_used(const struct replica *r, struct replica_used used)
{
    for (size_t i = 0; i < used.count; i++) {
        if (used.addresses[i] && strcmp(used.addresses[i], r->address) == 0)
            return true;
    }
    return false;
}

const struct replica *replica_table_pick(const struct replica_table *t, uint64_t now, uint64_t draw,
                                         struct replica_used used)
{
    const struct replica *ready[REPLICAS_MAX];
    const struct replica *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct replica *r = &t->items[i];
        if (is_used(r, used))
            continue;
        if (r->ready_at <= now)
            ready[n++] = r;
        if (!first || r->ready_at < first->ready_at)
            first = r;
    }
    return n ? ready[draw % n] : first;
}
