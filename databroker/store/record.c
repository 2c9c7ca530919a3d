#include "databroker/store/record.h"

#include "common/base/mem.h"

enum { RECORD_OVERHEAD = 160 };

size_t record_size(const struct record_row *r)
{
    return strlen(r->type) + strlen(r->id) + r->data.len + RECORD_OVERHEAD;
}

void record_page_fini(struct record_page *p)
{
    for (size_t i = 0; i < p->count; i++)
        mem_free((void *)(uintptr_t)p->items[i].type);
    mem_free(p->items);
    *p = (struct record_page){0};
}

void record_page_add(struct record_page *p, const struct record_row *r)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 16;
        p->items = mem_realloc(p->items, p->cap * sizeof(*p->items));
    }
    size_t type_len = strlen(r->type) + 1;
    size_t id_len = strlen(r->id) + 1;
    char *copy = mem_zalloc(type_len + id_len + r->data.len);
    memcpy(copy, r->type, type_len);
    memcpy(copy + type_len, r->id, id_len);
    if (r->data.len)
        memcpy(copy + type_len + id_len, r->data.ptr, r->data.len);
    p->items[p->count] = *r;
    p->items[p->count].type = copy;
    p->items[p->count].id = copy + type_len;
    p->items[p->count].data = view_of(copy + type_len + id_len, r->data.len);
    p->count++;
    p->bytes += record_size(r);
}
