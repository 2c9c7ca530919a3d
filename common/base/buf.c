#include "common/base/buf.h"

#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"

enum { BUF_FIRST = 256 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    size_t max = b->max;
    mem_free(b->data);
    buf_init(b, max);
}

void buf_wipe(struct buf *b)
{
    mem_wipe(b->data, b->cap);
    buf_fini(b);
}

static void grow(struct buf *b, size_t need)
{
    size_t cap = b->cap ? b->cap : BUF_FIRST;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > b->max)
        cap = b->max;
    b->data = mem_realloc(b->data, cap);
    b->cap = cap;
}

enum err buf_reserve(struct buf *b, size_t n, uint8_t **out_ptr)
{
    if (n > b->max || b->len > b->max - n)
        return ERR_LIMIT;
    if (b->len + n > b->cap - b->start || !b->data) {
        if (b->start && b->data) {
            memmove(b->data, b->data + b->start, b->len);
            b->start = 0;
        }
        if (b->len + n > b->cap || !b->data)
            grow(b, b->len + n);
    }
    *out_ptr = b->data + b->start + b->len;
    return OK;
}

void buf_commit(struct buf *b, size_t n)
{
    CHECK(n <= b->cap - b->start - b->len);
    b->len += n;
}

enum err buf_append(struct buf *b, struct view bytes)
{
    uint8_t *p;
    if (bytes.len == 0)
        return OK;
    TRY(buf_reserve(b, bytes.len, &p));
    memcpy(p, bytes.ptr, bytes.len);
    buf_commit(b, bytes.len);
    return OK;
}

enum err buf_append_str(struct buf *b, const char *s)
{
    return buf_append(b, view_str(s));
}

enum err buf_append_u8(struct buf *b, uint8_t byte)
{
    return buf_append(b, view_of(&byte, 1));
}

enum err buf_vprintf(struct buf *b, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0)
        return ERR_INTERNAL;
    /* vsnprintf writes a NUL behind the text, which is not part of the buffer. */
    AUTO_FREE char *text = mem_zalloc((size_t)n + 1);
    (void)vsnprintf(text, (size_t)n + 1, format, args);
    return buf_append(b, view_of(text, (size_t)n));
}

enum err buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum err e = buf_vprintf(b, format, args);
    va_end(args);
    return e;
}

void buf_consume(struct buf *b, size_t n)
{
    CHECK(n <= b->len);
    b->len -= n;
    b->start = b->len ? b->start + n : 0;
}

void buf_truncate(struct buf *b, size_t len)
{
    CHECK(len <= b->len);
    b->len = len;
}

void buf_clear(struct buf *b)
{
    b->start = 0;
    b->len = 0;
}

void buf_trim(struct buf *b)
{
    if (b->len == 0)
        buf_fini(b);
}

size_t buf_room(const struct buf *b)
{
    return b->max - b->len;
}

struct view buf_view(const struct buf *b)
{
    return b->data ? view_of(b->data + b->start, b->len) : (struct view){NULL, 0};
}

uint8_t *buf_ptr(struct buf *b)
{
    return b->data ? b->data + b->start : NULL;
}

char *buf_to_str(const struct buf *b)
{
    struct view v = buf_view(b);
    return mem_strndup(v.ptr, v.len);
}
