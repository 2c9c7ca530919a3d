#include "authorize/policy/facts.h"

static bool is_same_path(const char *name, struct view path)
{
    if (strlen(name) != path.len)
        return false;
    for (size_t i = 0; i < path.len; i++) {
        char a = name[i] == '/' ? '.' : name[i];
        char b = path.ptr[i] == '/' ? '.' : (char)path.ptr[i];
        if (a != b)
            return false;
    }
    return true;
}

static const struct claim *find(const struct claims *claims, struct view path)
{
    for (size_t i = 0; i < claims->count; i++) {
        if (is_same_path(claims->items[i].name, path))
            return &claims->items[i];
    }
    return NULL;
}

const struct claim *facts_claim(const struct facts *f, struct view path)
{
    const struct claim *claim = find(&f->user_claims, path);
    return claim ? claim : find(&f->session_claims, path);
}
