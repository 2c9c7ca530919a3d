#include "proxy/key_hints.h"

#include "common/base/mem.h"

static void drop_oldest(struct key_hints *h)
{
    struct map_iter i = map_iter(&h->by_address);
    if (map_next(&i))
        mem_free(map_remove(&h->by_address, i.key));
}

void key_hints_put(struct key_hints *h, const char *address, struct key_hint hint)
{
    struct key_hint *known = map_get(&h->by_address, view_str(address));
    if (known) {
        *known = hint;
        return;
    }
    if (map_count(&h->by_address) >= KEY_HINTS_MAX)
        drop_oldest(h);
    struct key_hint *fresh = mem_zalloc(sizeof *fresh);
    *fresh = hint;
    (void)map_put(&h->by_address, view_str(address), fresh);
}

struct key_hint key_hints_get(const struct key_hints *h, const char *address)
{
    const struct key_hint *known = map_get(&h->by_address, view_str(address));
    return known ? *known : (struct key_hint){0};
}

void key_hints_fini(struct key_hints *h)
{
    for (struct map_iter i = map_iter(&h->by_address); map_next(&i);)
        mem_free(i.value);
    map_fini(&h->by_address);
}
