#include "common/base/view.h"

#include "common/base/text.h"

bool view_starts_with(struct view v, struct view prefix)
{
    return v.len >= prefix.len && view_eq(view_take(v, prefix.len), prefix);
}

bool view_ends_with(struct view v, struct view suffix)
{
    return v.len >= suffix.len && view_eq(view_skip(v, v.len - suffix.len), suffix);
}

bool view_eq_case(struct view a, struct view b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (text_lower(a.ptr[i]) != text_lower(b.ptr[i]))
            return false;
    }
    return true;
}

int view_cmp(struct view a, struct view b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int r = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (r)
        return r < 0 ? -1 : 1;
    return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t view_find(struct view v, uint8_t c)
{
    const uint8_t *p = v.len ? memchr(v.ptr, c, v.len) : NULL;
    return p ? p - v.ptr : -1;
}

ptrdiff_t view_rfind(struct view v, uint8_t c)
{
    const uint8_t *p = v.len ? memrchr(v.ptr, c, v.len) : NULL;
    return p ? p - v.ptr : -1;
}

ptrdiff_t view_search(struct view v, struct view needle)
{
    if (needle.len == 0)
        return 0;
    const uint8_t *p = v.len ? memmem(v.ptr, v.len, needle.ptr, needle.len) : NULL;
    return p ? p - v.ptr : -1;
}

struct view view_trim(struct view v)
{
    while (v.len && (v.ptr[0] == ' ' || v.ptr[0] == '\t'))
        v = view_skip(v, 1);
    while (v.len && (v.ptr[v.len - 1] == ' ' || v.ptr[v.len - 1] == '\t'))
        v.len--;
    return v;
}

struct view view_word(struct view *rest)
{
    struct view from = view_trim(*rest);
    size_t n = 0;
    while (n < from.len && from.ptr[n] != ' ' && from.ptr[n] != '\t')
        n++;
    *rest = view_trim(view_skip(from, n));
    return view_take(from, n);
}

bool view_next(struct view *rest, uint8_t sep, struct view *out_part)
{
    if (!rest->ptr)
        return false;
    ptrdiff_t at = view_find(*rest, sep);
    if (at < 0) {
        *out_part = *rest;
        *rest = (struct view){NULL, 0};
        return true;
    }
    *out_part = view_take(*rest, (size_t)at);
    *rest = view_skip(*rest, (size_t)at + 1);
    return true;
}

bool view_list_has(struct view list, struct view name)
{
    struct view part;
    while (view_next(&list, ',', &part)) {
        if (view_eq(part, name))
            return true;
    }
    return false;
}
