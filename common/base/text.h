/* Text forms of bytes and numbers. Pure; nothing here depends on a locale. */
#ifndef COMMON_BASE_TEXT_H
#define COMMON_BASE_TEXT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

static inline uint8_t text_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static inline bool text_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool text_is_alpha(uint8_t c)
{
    return text_lower(c) >= 'a' && text_lower(c) <= 'z';
}

/* Lower-cases ASCII in place. */
void text_lower_str(char *s);

/* Appends to `out`. */
enum err text_hex(struct view bytes, struct buf *out);
enum err text_base64(struct view bytes, struct buf *out);     /* RFC 4648 §4, padded */
enum err text_base64_raw(struct view bytes, struct buf *out); /* §4, no padding */
enum err text_base64url(struct view bytes, struct buf *out);  /* §5, no padding */

/* Strict inverses, appended to `out`: ERR_SYNTAX on any other byte, wrong length or stray bits. */
enum err text_unhex(struct view text, struct buf *out);
enum err text_unbase64(struct view text, struct buf *out);    /* padding required */
enum err text_unbase64url(struct view text, struct buf *out); /* no padding */

/* Decimal, digits only, no sign, no leading blanks. ERR_SYNTAX, ERR_RANGE above `max`. */
enum err text_u64(struct view text, uint64_t max, uint64_t *out);

/*
 * A duration in Go's format, "1h30m", "250ms", "1.5s", "0": milliseconds, rounded down.
 * ERR_SYNTAX, or ERR_RANGE when negative or beyond 100 years.
 */
enum err text_duration_ms(struct view text, uint64_t *out_ms);

/* RFC 3339 with milliseconds and Z, from milliseconds since 1970. */
enum err text_rfc3339(uint64_t unix_ms, struct buf *out);

/* Length of the UTF-8 sequence at the start of `v` (RFC 3629 §4), 0 when there is none. */
size_t text_utf8_len(struct view v);

/*
 * Appends `text` with everything but printable ASCII made harmless (control bytes and invalid
 * UTF-8 become '?'); for text from a peer that ends up in a terminal or a log.
 */
enum err text_printable(struct view text, struct buf *out);

#endif
