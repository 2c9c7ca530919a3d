#include "common/http/fields.h"

#include "common/base/mem.h"
#include "common/base/text.h"

/* RFC 9110 §5.6.2 */
static bool is_tchar(uint8_t c)
{
    return text_is_alpha(c) || text_is_digit(c) ||
           (c && view_find(VIEW("!#$%&'*+-.^_`|~"), c) >= 0);
}

bool is_token(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (!is_tchar(v.ptr[i]))
            return false;
    }
    return v.len > 0;
}

/* RFC 9110 §5.5: HTAB, SP, VCHAR, obs-text */
bool is_field_value(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static void release(struct fields *f, struct field *item)
{
    f->bytes -= item->name.len + item->value.len;
    mem_free((void *)item->name.ptr);
}

void fields_clear(struct fields *f)
{
    for (size_t i = 0; i < f->count; i++)
        release(f, &f->items[i]);
    f->count = 0;
}

void fields_fini(struct fields *f)
{
    fields_clear(f);
    mem_free(f->items);
    *f = (struct fields){0};
}

static void copy_bytes(uint8_t *to, struct view v)
{
    if (v.len)
        memcpy(to, v.ptr, v.len);
    to[v.len] = 0;
}

enum err fields_add(struct fields *f, struct view name, struct view value)
{
    value = view_trim(value);
    if (!is_token(name) || !is_field_value(value))
        return ERR_SYNTAX;
    size_t room = FIELDS_BYTES_MAX - f->bytes;
    if (f->count == FIELDS_COUNT_MAX || name.len > room || value.len > room - name.len)
        return ERR_LIMIT;
    if (f->count == f->cap) {
        f->cap = f->cap ? f->cap * 2 : 16;
        f->items = mem_realloc(f->items, f->cap * sizeof *f->items);
    }
    /* One allocation holds both. */
    uint8_t *bytes = mem_zalloc(name.len + value.len + 2);
    copy_bytes(bytes, name);
    copy_bytes(bytes + name.len + 1, value);
    f->items[f->count++] = (struct field){
        .name = view_of(bytes, name.len),
        .value = view_of(bytes + name.len + 1, value.len),
    };
    f->bytes += name.len + value.len;
    return OK;
}

enum err fields_add_str(struct fields *f, const char *name, const char *value)
{
    return fields_add(f, view_str(name), view_str(value));
}

enum err fields_set(struct fields *f, const char *name, struct view value)
{
    value = view_trim(value);
    if (!is_token(view_str(name)) || !is_field_value(value))
        return ERR_SYNTAX;
    /* `value` may be a view into what is removed. */
    AUTO_FREE char *copy = mem_strndup(value.ptr, value.len);
    (void)fields_remove(f, name);
    return fields_add(f, view_str(name), view_of(copy, value.len));
}

enum err fields_append(struct fields *f, const struct fields *from)
{
    for (size_t i = 0; i < from->count; i++)
        TRY(fields_add(f, from->items[i].name, from->items[i].value));
    return OK;
}

static bool is_named(const struct field *item, const char *name)
{
    return view_eq_case(item->name, view_str(name));
}

struct view fields_get(const struct fields *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (is_named(&f->items[i], name))
            return f->items[i].value;
    }
    return (struct view){0};
}

size_t fields_count(const struct fields *f, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++)
        n += is_named(&f->items[i], name);
    return n;
}

static size_t remove_where(struct fields *f, struct view name, bool prefix)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->count; i++) {
        struct view have = f->items[i].name;
        if (view_eq_case(prefix ? view_take(have, name.len) : have, name))
            release(f, &f->items[i]);
        else
            f->items[kept++] = f->items[i];
    }
    size_t removed = f->count - kept;
    f->count = kept;
    return removed;
}

size_t fields_remove(struct fields *f, const char *name)
{
    return remove_where(f, view_str(name), false);
}

size_t fields_remove_prefix(struct fields *f, const char *prefix)
{
    return remove_where(f, view_str(prefix), true);
}

struct fields_iter fields_tokens(const struct fields *f, const char *name)
{
    return (struct fields_iter){.fields = f, .name = name};
}

bool fields_next_token(struct fields_iter *i, struct view *out_token)
{
    for (;;) {
        struct view part;
        while (i->rest.ptr && view_next(&i->rest, ',', &part)) {
            part = view_trim(part);
            if (part.len) {
                *out_token = part;
                return true;
            }
        }
        while (i->index < i->fields->count && !is_named(&i->fields->items[i->index], i->name))
            i->index++;
        if (i->index == i->fields->count)
            return false;
        i->rest = i->fields->items[i->index++].value;
    }
}

bool fields_has_token(const struct fields *f, const char *name, const char *token)
{
    struct view part;
    for (struct fields_iter i = fields_tokens(f, name); fields_next_token(&i, &part);) {
        if (view_eq_case(part, view_str(token)))
            return true;
    }
    return false;
}

void fields_remove_hop_by_hop(struct fields *f)
{
    static const char *const names[] = {
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Upgrade",
    };
    struct view part;
    struct fields listed = {0};
    for (struct fields_iter i = fields_tokens(f, "Connection"); fields_next_token(&i, &part);)
        IGNORE(fields_add(&listed, part, VIEW("")), "what is no name names no field");
    for (size_t i = 0; i < listed.count; i++)
        (void)remove_where(f, listed.items[i].name, false);
    fields_fini(&listed);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)fields_remove(f, names[i]);
}

enum err fields_write(const struct fields *f, struct buf *out)
{
    for (size_t i = 0; i < f->count; i++) {
        TRY(buf_append(out, f->items[i].name));
        TRY(buf_append(out, VIEW(": ")));
        TRY(buf_append(out, f->items[i].value));
        TRY(buf_append(out, VIEW("\r\n")));
    }
    return OK;
}
