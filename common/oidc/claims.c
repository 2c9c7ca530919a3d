#include "common/oidc/claims.h"

#include <stdlib.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

enum { CLAIM_TEXT_MAX = 1 << 20 };

static void claim_fini(struct claim *c)
{
    for (size_t i = 0; i < c->count; i++)
        mem_free(c->values[i]);
    mem_free(c->values);
    mem_free(c->name);
}

void claims_fini(struct claims *c)
{
    for (size_t i = 0; i < c->count; i++)
        claim_fini(&c->items[i]);
    mem_free(c->items);
    *c = (struct claims){0};
}

static struct claim *find(const struct claims *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->items[i].name, name) == 0)
            return &c->items[i];
    }
    return NULL;
}

static enum err add_value(struct claims *c, const char *name, const struct json *value)
{
    AUTO(buf_fini) struct buf text;
    buf_init(&text, CLAIM_TEXT_MAX);
    if (c->values == CLAIMS_VALUES_MAX || strlen(name) > CLAIMS_NAME_MAX)
        return ERR_LIMIT;
    TRY(json_text(value, &text));
    struct claim *claim = find(c, name);
    if (!claim) {
        c->items = mem_realloc(c->items, (c->count + 1) * sizeof *c->items);
        claim = &c->items[c->count++];
        *claim = (struct claim){.name = mem_strdup(name)};
    }
    claim->values = mem_realloc(claim->values, (claim->count + 1) * sizeof *claim->values);
    claim->values[claim->count++] = buf_to_str(&text);
    c->values++;
    return OK;
}

/* The depth is that of a parsed document, JSON_DEPTH_MAX. */
static enum err add(struct claims *c, const char *name, const struct json *value)
{
    switch (json_kind(value)) {
    case JSON_KIND_NONE:
    case JSON_KIND_NULL:
        return OK;
    case JSON_KIND_BOOL:
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
    case JSON_KIND_STR:
        return add_value(c, name, value);
    case JSON_KIND_ARRAY:
        for (size_t i = 0; i < json_len(value); i++)
            TRY(add(c, name, json_at(value, i)));
        return OK;
    case JSON_KIND_OBJECT:
        for (struct json_iter i = json_iter(value); json_next(&i);) {
            AUTO_FREE char *path =
                mem_printf("%s%s%.*s", name, name[0] ? "." : "", VIEW_FMT(i.name));
            TRY(add(c, path, i.value));
        }
        return OK;
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct claim *)a)->name, ((const struct claim *)b)->name);
}

enum err claims_flatten(const struct json *object, struct claims *out)
{
    AUTO(claims_fini) struct claims c = {0};
    if (json_kind(object) != JSON_KIND_OBJECT)
        return ERR_SYNTAX;
    TRY(add(&c, "", object));
    if (c.count)
        qsort(c.items, c.count, sizeof *c.items, by_name);
    claims_fini(out);
    *out = c;
    c = (struct claims){0};
    return OK;
}

const struct claim *claims_get(const struct claims *c, const char *name)
{
    return find(c, name);
}

const char *claims_first(const struct claims *c, const char *name)
{
    const struct claim *claim = find(c, name);
    return claim && claim->count ? claim->values[0] : "";
}
