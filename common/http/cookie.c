#include "common/http/cookie.h"

#include <inttypes.h>

#include "common/base/mem.h"

static struct view unquote(struct view v)
{
    if (v.len >= 2 && v.ptr[0] == '"' && v.ptr[v.len - 1] == '"')
        return view_of(v.ptr + 1, v.len - 2);
    return v;
}

bool cookie_next(struct view *rest, struct view *out_name, struct view *out_value)
{
    struct view part;
    while (view_next(rest, ';', &part)) {
        ptrdiff_t equals = view_find(part, '=');
        if (equals <= 0)
            continue;
        struct view name = view_trim(view_take(part, (size_t)equals));
        if (!name.len)
            continue;
        *out_name = name;
        *out_value = unquote(view_trim(view_skip(part, (size_t)equals + 1)));
        return true;
    }
    return false;
}

struct view cookie_get(const struct fields *f, const char *name)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!view_eq_case(f->items[i].name, VIEW("Cookie")))
            continue;
        struct view rest = f->items[i].value;
        struct view have;
        struct view value;
        while (cookie_next(&rest, &have, &value)) {
            if (view_eq_str(have, name))
                return value;
        }
    }
    return (struct view){0};
}

static enum err remove_from(struct view field, const char *name, struct buf *out)
{
    struct view part;
    while (view_next(&field, ';', &part)) {
        ptrdiff_t equals = view_find(part, '=');
        struct view have = view_trim(equals < 0 ? part : view_take(part, (size_t)equals));
        if ((equals >= 0 && view_eq_str(have, name)) || !view_trim(part).len)
            continue;
        if (out->len)
            TRY(buf_append(out, VIEW("; ")));
        TRY(buf_append(out, view_trim(part)));
    }
    return OK;
}

enum err cookie_remove(struct fields *f, const char *name)
{
    AUTO(fields_fini) struct fields kept = {0};
    for (size_t i = 0; i < f->count; i++) {
        const struct field *item = &f->items[i];
        if (!view_eq_case(item->name, VIEW("Cookie"))) {
            TRY(fields_add(&kept, item->name, item->value));
            continue;
        }
        AUTO(buf_fini) struct buf rest;
        /* Parts without a blank between them get one. */
        buf_init(&rest, item->value.len * 2);
        TRY(remove_from(item->value, name, &rest));
        if (rest.len)
            TRY(fields_add(&kept, item->name, buf_view(&rest)));
    }
    struct fields old = *f;
    *f = kept;
    kept = old;
    return OK;
}

/* RFC 6265 §4.1.1 cookie-octet */
static bool is_value(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        if (c <= ' ' || c >= 0x7f || view_find(VIEW("\",;\\"), c) >= 0)
            return false;
    }
    return true;
}

/* RFC 6265 §4.1.1 av-octets */
static bool is_attribute(const char *s)
{
    return is_field_value(view_str(s)) && view_find(view_str(s), ';') < 0;
}

static enum err write_attributes(const struct cookie *c, struct buf *out)
{
    static const char *const same_site[] = {
        [COOKIE_SAME_SITE_UNSET] = "",
        [COOKIE_SAME_SITE_LAX] = "; SameSite=Lax",
        [COOKIE_SAME_SITE_STRICT] = "; SameSite=Strict",
        [COOKIE_SAME_SITE_NONE] = "; SameSite=None",
    };
    if (c->path)
        TRY(buf_printf(out, "; Path=%s", c->path));
    if (c->domain)
        TRY(buf_printf(out, "; Domain=%s", c->domain));
    if (c->max_age >= 0)
        TRY(buf_printf(out, "; Max-Age=%" PRId64, c->max_age));
    if (c->max_age == 0)
        TRY(buf_append_str(out, "; Expires=Thu, 01 Jan 1970 00:00:00 GMT"));
    if (c->secure)
        TRY(buf_append_str(out, "; Secure"));
    if (c->http_only)
        TRY(buf_append_str(out, "; HttpOnly"));
    return buf_append_str(out, same_site[c->same_site]);
}

enum err cookie_write(const struct cookie *c, struct buf *out)
{
    if (!is_token(c->name) || !is_value(c->value) || !is_attribute(c->path) ||
        !is_attribute(c->domain))
        return ERR_SYNTAX;
    AUTO(buf_wipe) struct buf text;
    buf_init(&text, COOKIE_MAX);
    TRY(buf_append(&text, c->name));
    TRY(buf_append_u8(&text, '='));
    TRY(buf_append(&text, c->value));
    TRY(write_attributes(c, &text));
    return buf_append(out, buf_view(&text));
}
