#include "proxy/tunnel/reasons.h"

#include <string.h>

#include "common/base/mem.h"

static void clear(struct reasons *r, struct reason *one)
{
    if (!one->id)
        return;
    if (map_get(&r->by_id, view_str(one->id)) == one)
        (void)map_remove(&r->by_id, view_str(one->id));
    mem_free(one->id);
    mem_free(one->text);
    *one = (struct reason){0};
}

void reasons_fini(struct reasons *r)
{
    for (size_t i = 0; r->ring && i < REASONS_MAX; i++)
        clear(r, &r->ring[i]);
    mem_free(r->ring);
    map_fini(&r->by_id);
    *r = (struct reasons){0};
}

void reasons_put(struct reasons *r, const char *id, const char *text, uint64_t now)
{
    if (!r->ring)
        r->ring = mem_zalloc_array(REASONS_MAX, sizeof *r->ring);
    struct reason *one = &r->ring[r->next];
    r->next = (r->next + 1) % REASONS_MAX;
    clear(r, one);
    one->id = mem_strdup(id);
    one->text = mem_strndup(text, strnlen(text, REASONS_TEXT_MAX));
    one->till = now + REASONS_KEEP_MS;
    (void)map_put(&r->by_id, view_str(id), one);
}

const char *reasons_get(const struct reasons *r, struct view id, uint64_t now)
{
    const struct reason *one = map_get(&r->by_id, id);
    return one && now < one->till ? one->text : NULL;
}
