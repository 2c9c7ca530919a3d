#include "proxy/front/credentials.h"

#include "common/base/check.h"
#include "common/http/cookie.h"

/* Three parts, none of them empty, in the alphabet of RFC 7515. */
static bool is_jwt(struct view token)
{
    struct view rest = token;
    struct view part;
    size_t parts = 0;
    while (view_next(&rest, '.', &part)) {
        if (!part.len || ++parts > 3)
            return false;
        for (size_t i = 0; i < part.len; i++) {
            uint8_t c = part.ptr[i];
            if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
                c != '-' && c != '_' && c != '=')
                return false;
        }
    }
    return parts == 3;
}

static struct view cookie_token(const struct fields *f, const char *cookie_name)
{
    for (size_t i = 0; i < f->count; i++) {
        struct view rest = f->items[i].value;
        struct view name;
        struct view value;
        if (!view_eq_case(f->items[i].name, VIEW("Cookie")))
            continue;
        while (cookie_next(&rest, &name, &value)) {
            if (view_eq_str(name, cookie_name) && is_jwt(value))
                return value;
        }
    }
    return (struct view){0};
}

/* What follows `scheme` and `prefix` in an Authorization field. */
static struct view authorization(const struct fields *f, struct view scheme, struct view prefix)
{
    for (size_t i = 0; i < f->count; i++) {
        if (!view_eq_case(f->items[i].name, VIEW("Authorization")))
            continue;
        struct view rest = f->items[i].value;
        struct view word = view_word(&rest);
        struct view token = view_trim(rest);
        if (view_eq_case(word, scheme) && view_starts_with(token, prefix) && token.len > prefix.len)
            return view_skip(token, prefix.len);
    }
    return (struct view){0};
}

static struct view query_token(struct view path)
{
    static const struct view name = {(const uint8_t *)"pomerium_session=", 17};
    ptrdiff_t mark = view_find(path, '?');
    struct view part;
    if (mark < 0)
        return (struct view){0};
    struct view rest = view_skip(path, (size_t)mark + 1);
    while (view_next(&rest, '&', &part)) {
        if (view_starts_with(part, name) && part.len > name.len)
            return view_skip(part, name.len);
    }
    return (struct view){0};
}

struct credentials credentials_find(const struct fields *f, struct view path,
                                    const char *cookie_name)
{
    const struct credentials found[] = {
        {cookie_token(f, cookie_name), TUNNEL_TOKEN_COOKIE},
        {fields_get(f, "X-Pomerium-Authorization"), TUNNEL_TOKEN_HEADER},
        {authorization(f, VIEW("Pomerium"), VIEW("")), TUNNEL_TOKEN_HEADER},
        {authorization(f, VIEW("Bearer"), VIEW("Pomerium-")), TUNNEL_TOKEN_HEADER},
        {query_token(path), TUNNEL_TOKEN_QUERY},
    };
    for (size_t i = 0; i < ARRAY_LEN(found); i++) {
        if (found[i].token.len)
            return found[i];
    }
    return (struct credentials){.place = TUNNEL_TOKEN_NONE};
}
