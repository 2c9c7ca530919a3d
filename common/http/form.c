#include "common/http/form.h"

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/url.h"

void form_fini(struct form *f)
{
    mem_free(f->items);
    buf_wipe(&f->text);
    *f = (struct form){0};
}

static enum err decode(struct view text, struct buf *out)
{
    struct view word;
    bool first = true;
    while (view_next(&text, '+', &word)) {
        if (!first)
            TRY(buf_append_u8(out, ' '));
        first = false;
        size_t before = out->len;
        TRY(url_decode(word, out));
        if (view_find(view_skip(buf_view(out), before), 0) >= 0)
            return ERR_SYNTAX;
    }
    return OK;
}

/* Decoded text is never longer than it was, so views into `text` stay where they are. */
static enum err parse_item(struct form *f, struct view part)
{
    ptrdiff_t equals = view_find(part, '=');
    struct view name = equals < 0 ? part : view_take(part, (size_t)equals);
    struct view value = equals < 0 ? (struct view){0} : view_skip(part, (size_t)equals + 1);
    if (f->count == FORM_ITEMS_MAX)
        return ERR_LIMIT;
    size_t start = f->text.len;
    TRY(decode(name, &f->text));
    size_t middle = f->text.len;
    TRY(decode(value, &f->text));
    f->items = mem_realloc(f->items, (f->count + 1) * sizeof *f->items);
    f->items[f->count++] = (struct form_item){
        .name = view_of(buf_ptr(&f->text) + start, middle - start),
        .value = view_of(buf_ptr(&f->text) + middle, f->text.len - middle),
    };
    return OK;
}

enum err form_parse(struct view text, struct form *out)
{
    AUTO(form_fini) struct form f = {0};
    uint8_t *unused;
    struct view part;
    if (text.len > FORM_BYTES_MAX)
        return ERR_LIMIT;
    buf_init(&f.text, text.len + 1);
    TRY(buf_reserve(&f.text, text.len + 1, &unused));
    while (view_next(&text, '&', &part)) {
        if (part.len)
            TRY(parse_item(&f, part));
    }
    form_fini(out);
    *out = f;
    f = (struct form){0};
    return OK;
}

struct view form_get(const struct form *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (view_eq_str(f->items[i].name, name))
            return f->items[i].value;
    }
    return (struct view){0};
}

size_t form_count(const struct form *f, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < f->count; i++)
        n += view_eq_str(f->items[i].name, name);
    return n;
}

enum err form_encode(struct view text, struct buf *out)
{
    struct view word;
    bool first = true;
    while (view_next(&text, ' ', &word)) {
        if (!first)
            TRY(buf_append_u8(out, '+'));
        first = false;
        TRY(url_encode(word, out));
    }
    return OK;
}

enum err form_add(struct buf *out, const char *name, struct view value)
{
    if (out->len)
        TRY(buf_append_u8(out, '&'));
    TRY(form_encode(view_str(name), out));
    TRY(buf_append_u8(out, '='));
    return form_encode(value, out);
}
