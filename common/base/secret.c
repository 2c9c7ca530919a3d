#include "common/base/secret.h"

#include "common/base/mem.h"

void secret_set(struct secret *s, struct view bytes)
{
    uint8_t *copy = mem_zalloc(bytes.len);
    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    secret_fini(s);
    s->data = copy;
    s->len = bytes.len;
}

void secret_fini(struct secret *s)
{
    mem_wipe(s->data, s->len);
    mem_free(s->data);
    *s = (struct secret){0};
}

struct view secret_view(const struct secret *s)
{
    return view_of(s->data, s->len);
}

bool secret_equal(struct view a, struct view b)
{
    if (a.len != b.len)
        return false;
    volatile uint8_t difference = 0;
    for (size_t i = 0; i < a.len; i++)
        difference |= a.ptr[i] ^ b.ptr[i];
    return difference == 0;
}
