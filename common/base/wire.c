#include "common/base/wire.h"

#include "common/base/check.h"

struct reader reader_of(struct view v)
{
    static const uint8_t none;
    const uint8_t *p = v.ptr ? v.ptr : &none;
    return (struct reader){.pos = p, .end = p + v.len};
}

size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->pos);
}

void reader_fail(struct reader *r)
{
    r->failed = true;
    r->pos = r->end;
}

static const uint8_t *take(struct reader *r, size_t n)
{
    if (r->failed || n > reader_left(r)) {
        reader_fail(r);
        return NULL;
    }
    const uint8_t *p = r->pos;
    r->pos += n;
    return p;
}

uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = take(r, 1);
    return p ? *p : 0;
}

uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = take(r, 2);
    return (uint16_t)(p ? p[0] << 8 | p[1] : 0);
}

uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = take(r, 4);
    return p ? load_u32(p) : 0;
}

uint64_t read_u64(struct reader *r)
{
    const uint8_t *p = take(r, 8);
    return p ? load_u64(p) : 0;
}

bool read_bool(struct reader *r)
{
    return read_u8(r) != 0;
}

struct view read_bytes(struct reader *r, size_t n)
{
    const uint8_t *p = take(r, n);
    return p ? view_of(p, n) : (struct view){NULL, 0};
}

struct view read_string(struct reader *r)
{
    uint32_t n = read_u32(r);
    return read_bytes(r, n);
}

struct view read_string_max(struct reader *r, size_t max)
{
    struct view v = read_string(r);
    if (v.len > max) {
        reader_fail(r);
        return (struct view){NULL, 0};
    }
    return v;
}

struct view read_rest(struct reader *r)
{
    return read_bytes(r, reader_left(r));
}

struct view read_mpint(struct reader *r)
{
    struct view v = read_string(r);
    if (v.len == 0)
        return v;
    bool negative = v.ptr[0] & 0x80;
    bool padded = v.ptr[0] == 0 && (v.len == 1 || !(v.ptr[1] & 0x80));
    if (negative || padded) {
        reader_fail(r);
        return (struct view){NULL, 0};
    }
    return v.ptr[0] == 0 ? view_skip(v, 1) : v;
}

enum err reader_ok(const struct reader *r)
{
    return r->failed ? ERR_SYNTAX : OK;
}

enum err reader_done(const struct reader *r)
{
    return r->failed || r->pos != r->end ? ERR_SYNTAX : OK;
}

struct writer writer_to(struct buf *b)
{
    return (struct writer){.buf = b};
}

void write_bytes(struct writer *w, struct view v)
{
    if (w->err == OK)
        w->err = buf_append(w->buf, v);
}

void write_u8(struct writer *w, uint8_t v)
{
    write_bytes(w, view_of(&v, 1));
}

void write_u16(struct writer *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    write_bytes(w, view_of(b, sizeof b));
}

void write_u32(struct writer *w, uint32_t v)
{
    uint8_t b[4];
    store_u32(b, v);
    write_bytes(w, view_of(b, sizeof b));
}

void write_u64(struct writer *w, uint64_t v)
{
    uint8_t b[8];
    store_u64(b, v);
    write_bytes(w, view_of(b, sizeof b));
}

void write_bool(struct writer *w, bool v)
{
    write_u8(w, v ? 1 : 0);
}

void write_string(struct writer *w, struct view v)
{
    if (v.len > UINT32_MAX) {
        w->err = ERR_LIMIT;
        return;
    }
    write_u32(w, (uint32_t)v.len);
    write_bytes(w, v);
}

void write_cstring(struct writer *w, const char *s)
{
    write_string(w, view_str(s));
}

void write_mpint(struct writer *w, struct view magnitude)
{
    while (magnitude.len && magnitude.ptr[0] == 0)
        magnitude = view_skip(magnitude, 1);
    bool pad = magnitude.len && (magnitude.ptr[0] & 0x80);
    write_u32(w, (uint32_t)magnitude.len + pad);
    if (pad)
        write_u8(w, 0);
    write_bytes(w, magnitude);
}

size_t write_begin(struct writer *w)
{
    size_t mark = w->buf->len;
    write_u32(w, 0);
    return mark;
}

void write_end(struct writer *w, size_t mark)
{
    if (w->err != OK)
        return;
    CHECK(mark + 4 <= w->buf->len);
    size_t n = w->buf->len - mark - 4;
    if (n > UINT32_MAX) {
        w->err = ERR_LIMIT;
        return;
    }
    store_u32(buf_ptr(w->buf) + mark, (uint32_t)n);
}

enum err writer_done(const struct writer *w)
{
    return w->err;
}
