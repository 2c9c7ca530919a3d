/* Borrowed bytes. A view never owns; the header that returns one says how long it lives. */
#ifndef COMMON_BASE_VIEW_H
#define COMMON_BASE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct view {
    const uint8_t *ptr;
    size_t len;
};

/* For printf: printf("%.*s", VIEW_FMT(v)). */
#define VIEW_FMT(v) (int)(v).len, (const char *)(v).ptr

/* A string literal as a view. */
#define VIEW(literal) ((struct view){(const uint8_t *)(literal), sizeof(literal) - 1})

static inline struct view view_of(const void *ptr, size_t len)
{
    return (struct view){(const uint8_t *)ptr, len};
}

/* `s` may be NULL: an empty view. */
static inline struct view view_str(const char *s)
{
    return view_of(s, s ? strlen(s) : 0);
}

static inline bool view_eq(struct view a, struct view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool view_eq_str(struct view a, const char *s)
{
    return view_eq(a, view_str(s));
}

/* The rest after the first `n` bytes; empty when there are fewer. */
static inline struct view view_skip(struct view v, size_t n)
{
    return n >= v.len ? (struct view){v.ptr ? v.ptr + v.len : NULL, 0}
                      : view_of(v.ptr + n, v.len - n);
}

/* The first `n` bytes, or all when there are fewer. */
static inline struct view view_take(struct view v, size_t n)
{
    return view_of(v.ptr, n < v.len ? n : v.len);
}

bool view_starts_with(struct view v, struct view prefix);
bool view_ends_with(struct view v, struct view suffix);

/* ASCII case is ignored. */
bool view_eq_case(struct view a, struct view b);

/* -1, 0, 1 in byte order. */
int view_cmp(struct view a, struct view b);

/* Index of the first or last `c`, or -1. */
ptrdiff_t view_find(struct view v, uint8_t c);
ptrdiff_t view_rfind(struct view v, uint8_t c);

/* Index of the first `needle`, or -1. An empty needle is found at 0. */
ptrdiff_t view_search(struct view v, struct view needle);

/* Without spaces and tabs at both ends. */
struct view view_trim(struct view v);

/*
 * Cuts the first word off: what stands up to the next space or tab, blanks before and behind it
 * skipped. Empty when there is none.
 */
struct view view_word(struct view *rest);

/*
 * Cuts the next part up to `sep` off the front of *rest. False when *rest is used up:
 * "a,b" gives "a", "b"; "" gives one empty part, "a," gives "a", "".
 * Start with *rest = the whole; the end is marked by rest->ptr == NULL.
 */
bool view_next(struct view *rest, uint8_t sep, struct view *out_part);

/* True when `name` is an element of the comma separated `list`. */
bool view_list_has(struct view list, struct view name);

#endif
