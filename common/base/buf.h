/*
 * Owned bytes with a maximum: append at the end, consume from the front. The bytes are allocated
 * as needed and never more than `max`; growing beyond it is ERR_LIMIT and changes nothing.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/view.h"

struct buf {
    uint8_t *data; /* allocation, cap bytes */
    size_t start;  /* first live byte */
    size_t len;    /* live bytes */
    size_t cap;
    size_t max; /* limit for len */
};

/* No allocation. A zeroed struct buf is a valid buffer whose maximum is 0. */
void buf_init(struct buf *b, size_t max);

/* Frees and leaves an empty buffer with the same maximum. Contents are not wiped. */
void buf_fini(struct buf *b);

/* Wipes the whole allocation, then as buf_fini. */
void buf_wipe(struct buf *b);

enum err buf_append(struct buf *b, struct view bytes);
enum err buf_append_str(struct buf *b, const char *s);
enum err buf_append_u8(struct buf *b, uint8_t byte);

[[gnu::format(printf, 2, 3)]] enum err buf_printf(struct buf *b, const char *format, ...);
[[gnu::format(printf, 2, 0)]] enum err buf_vprintf(struct buf *b, const char *format, va_list args);

/*
 * Room for `n` more bytes behind the live ones; write there, then buf_commit what was written.
 * The pointer is valid until the next call on `b`.
 */
enum err buf_reserve(struct buf *b, size_t n, uint8_t **out_ptr);
void buf_commit(struct buf *b, size_t n);

/* Drops `n` bytes from the front; n <= len. */
void buf_consume(struct buf *b, size_t n);

/* Drops bytes from the end so that `len` are left; len <= b->len. */
void buf_truncate(struct buf *b, size_t len);

/* Empties; keeps the allocation. */
void buf_clear(struct buf *b);

/* Gives an empty buffer's allocation back. */
void buf_trim(struct buf *b);

/* How many bytes may still be appended. */
size_t buf_room(const struct buf *b);

/* The live bytes; valid until the next change. */
struct view buf_view(const struct buf *b);

/* The live bytes, writable, for work in place. */
uint8_t *buf_ptr(struct buf *b);

/* The live bytes as a fresh NUL terminated string. */
char *buf_to_str(const struct buf *b);

#endif
