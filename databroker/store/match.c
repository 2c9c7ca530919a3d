#include "databroker/store/match.h"

#include "common/base/mem.h"
#include "common/base/text.h"

/* --- the wire --- */

struct field {
    uint32_t number;
    unsigned wire;
    struct view value; /* of wire type 2 */
};

static bool take_varint(struct view *v, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && v->len; shift += 7) {
        uint8_t byte = v->ptr[0];
        *v = view_skip(*v, 1);
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out = value;
            return true;
        }
    }
    return false;
}

static bool take_field(struct view *v, struct field *out)
{
    uint64_t key;
    uint64_t n = 0;
    if (v->len == 0 || !take_varint(v, &key) || key >> 3 == 0 || key >> 3 > UINT32_MAX)
        return false;
    *out = (struct field){.number = (uint32_t)(key >> 3), .wire = key & 7};
    if (out->wire == 0)
        return take_varint(v, &n);
    if (out->wire == 2 && !take_varint(v, &n))
        return false;
    if (out->wire == 1 || out->wire == 5)
        n = out->wire == 1 ? 8 : 4;
    else if (out->wire != 2)
        return false;
    if (n > v->len)
        return false;
    out->value = view_take(*v, (size_t)n);
    *v = view_skip(*v, (size_t)n);
    return true;
}

/* --- conditions --- */

/* The recursion is as deep as the path is long. */
static bool has_value(struct view message, const uint32_t *path, size_t path_len, struct view value)
{
    struct field f;
    while (take_field(&message, &f)) {
        if (f.number != path[0] || f.wire != 2)
            continue;
        if (path_len == 1 ? view_eq(f.value, value)
                          : has_value(f.value, path + 1, path_len - 1, value))
            return true;
    }
    return false;
}

static bool contains(struct view text, struct view lower)
{
    if (lower.len == 0)
        return true;
    for (size_t i = 0; i + lower.len <= text.len; i++) {
        size_t k = 0;
        while (k < lower.len && text_lower(text.ptr[i + k]) == lower.ptr[k])
            k++;
        if (k == lower.len)
            return true;
    }
    return false;
}

static bool is_text(struct view v)
{
    for (size_t i = 0; i < v.len; i++)
        if (v.ptr[i] < 0x20 || v.ptr[i] == 0x7f)
            return false;
    return true;
}

/*
 * Without a descriptor a string and a message look alike: what has no control bytes is taken as
 * text, the rest is tried as a message.
 */
static bool has_text(struct view message, struct view lower, unsigned depth)
{
    struct field f;
    while (take_field(&message, &f)) {
        if (f.wire != 2)
            continue;
        if (is_text(f.value) ? contains(f.value, lower)
                             : depth < MATCH_DEPTH_MAX && has_text(f.value, lower, depth + 1))
            return true;
    }
    return false;
}

/* --- the tree --- */

void match_fini(struct match *m)
{
    for (size_t i = 0; i < m->count; i++)
        match_fini(&m->children[i]);
    mem_free(m->children);
    mem_free(m->value);
    *m = (struct match){0};
}

struct match *match_add(struct match *m)
{
    m->children = mem_realloc(m->children, (m->count + 1) * sizeof(*m->children));
    m->children[m->count] = (struct match){0};
    return &m->children[m->count++];
}

static bool match_children(const struct match *m, const struct record_row *r, bool wanted)
{
    for (size_t i = 0; i < m->count; i++)
        if (match_row(&m->children[i], r) == wanted)
            return true;
    return false;
}

bool match_row(const struct match *m, const struct record_row *r)
{
    struct view value = view_str(m->value);
    switch (m->kind) {
    case MATCH_ALL:
        return !match_children(m, r, false);
    case MATCH_ANY:
        return match_children(m, r, true);
    case MATCH_ID:
        return view_eq_str(value, r->id);
    case MATCH_FIELD:
        return has_value(r->data, m->path, m->path_len, value);
    case MATCH_TEXT:
        return contains(view_str(r->id), value) || has_text(r->data, value, 0);
    }
    return false;
}
