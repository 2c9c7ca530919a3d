/*
 * Reader and writer of binary formats, with sticky failure: after the first failure reads give 0
 * or an empty view and writes do nothing, so a decoder reads like its grammar and checks once.
 * Integers are big endian; strings and mpints are those of RFC 4251 §5.
 */
#ifndef COMMON_BASE_WIRE_H
#define COMMON_BASE_WIRE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

struct reader {
    const uint8_t *pos;
    const uint8_t *end;
    bool failed;
};

struct reader reader_of(struct view v);

uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);

/* RFC 4251 §5: any value but 0 is true. */
bool read_bool(struct reader *r);

/* Views into the input. */
struct view read_bytes(struct reader *r, size_t n);
struct view read_string(struct reader *r);
struct view read_rest(struct reader *r);

/* A string of at most `max` bytes; longer fails. */
struct view read_string_max(struct reader *r, size_t max);

/*
 * A non-negative mpint without its leading zero byte. Fails when it is negative or not in the
 * shortest form.
 */
struct view read_mpint(struct reader *r);

size_t reader_left(const struct reader *r);
void reader_fail(struct reader *r);

/* OK when nothing failed and nothing is left, else ERR_SYNTAX. */
enum err reader_done(const struct reader *r);

/* OK when nothing failed; bytes may be left. */
enum err reader_ok(const struct reader *r);

struct writer {
    struct buf *buf;
    enum err err;
};

/* Appends to `b`. On failure what was written before stays in `b`. */
struct writer writer_to(struct buf *b);

void write_u8(struct writer *w, uint8_t v);
void write_u16(struct writer *w, uint16_t v);
void write_u32(struct writer *w, uint32_t v);
void write_u64(struct writer *w, uint64_t v);
void write_bool(struct writer *w, bool v);
void write_bytes(struct writer *w, struct view v);
void write_string(struct writer *w, struct view v);
void write_cstring(struct writer *w, const char *s);

/* Big endian magnitude -> mpint: leading zeros dropped, one added where the top bit is set. */
void write_mpint(struct writer *w, struct view magnitude);

/*
 * A u32 length written later: mark = write_begin(&w); …; write_end(&w, mark). The mark is an
 * offset into the buffer, which must not be consumed from in between.
 */
size_t write_begin(struct writer *w);
void write_end(struct writer *w, size_t mark);

/* The first failure (ERR_LIMIT), else OK. */
enum err writer_done(const struct writer *w);

/* Unaligned big endian loads and stores. */
static inline uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

static inline uint64_t load_u64(const uint8_t *p)
{
    return (uint64_t)load_u32(p) << 32 | load_u32(p + 4);
}

static inline void store_u64(uint8_t *p, uint64_t v)
{
    store_u32(p, (uint32_t)(v >> 32));
    store_u32(p + 4, (uint32_t)v);
}

#endif
