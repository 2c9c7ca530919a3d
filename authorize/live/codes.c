#include "authorize/live/codes.h"

#include "common/base/check.h"
#include "common/base/ip.h"
#include "common/base/mem.h"

struct source {
    size_t count;
};

/* What `address` is counted as; a view into it or into `ip`. */
static struct view source_key(struct view address, struct ip *ip)
{
    return ip_parse_zoned(address, ip) == OK ? ip_source(ip) : address;
}

static bool is_of(const struct code *code, struct view key)
{
    struct ip ip;
    return view_eq(source_key(view_str(code->source), &ip), key);
}

void codes_fini(struct codes *c)
{
    for (struct map_iter i = map_iter(&c->by_text); map_next(&i);)
        codes_remove(c, i.value);
    map_fini(&c->by_text);
    map_fini(&c->by_binding);
    map_fini(&c->sources);
    heap_fini(&c->expiry);
}

static struct code *find_victim(const struct codes *c, struct view source, bool any_source)
{
    struct code *victim = NULL;
    for (struct map_iter i = map_iter(&c->by_text); map_next(&i);) {
        struct code *code = i.value;
        if (code->waiting || code->writing)
            continue;
        if (!any_source && !is_of(code, source))
            continue;
        if (!victim || code->created_ms < victim->created_ms)
            victim = code;
    }
    return victim;
}

enum err codes_room(const struct codes *c, struct view source, struct code **out_victim)
{
    struct ip ip;
    struct view key = source_key(source, &ip);
    const struct source *s = map_get(&c->sources, key);
    *out_victim = NULL;
    if (s && s->count >= CODES_PER_SOURCE_MAX) {
        *out_victim = find_victim(c, key, false);
        return ERR_LIMIT;
    }
    if (map_count(&c->by_text) >= CODES_MAX) {
        *out_victim = find_victim(c, key, true);
        return ERR_BUSY;
    }
    return OK;
}

struct code *codes_add(struct codes *c, const struct code_spec *spec)
{
    struct code *code = mem_zalloc(sizeof *code);
    code->text = mem_strdup(spec->text);
    code->binding = mem_strdup(spec->binding);
    code->source = mem_strdup(spec->source);
    code->key_type = mem_strdup(spec->key_type);
    code->fingerprint = mem_strdup(spec->fingerprint);
    code->idp_id = mem_strdup(spec->idp_id);
    code->created_ms = spec->created_ms;
    code->expires_ms = spec->expires_ms;
    CHECK(!map_put(&c->by_text, view_str(code->text), code));
    if (!map_get(&c->by_binding, view_str(code->binding)))
        map_put(&c->by_binding, view_str(code->binding), code);
    heap_set(&c->expiry, &code->expiry, code->expires_ms);
    struct ip ip;
    struct view key = source_key(view_str(code->source), &ip);
    struct source *s = map_get(&c->sources, key);
    if (!s) {
        s = mem_zalloc(sizeof *s);
        map_put(&c->sources, key, s);
    }
    s->count++;
    return code;
}

void codes_settle(struct codes *c, struct code *code)
{
    if (map_get(&c->by_binding, view_str(code->binding)) == code)
        map_remove(&c->by_binding, view_str(code->binding));
    code->settled = true;
    code->dirty = false;
}

void codes_remove(struct codes *c, struct code *code)
{
    codes_settle(c, code);
    map_remove(&c->by_text, view_str(code->text));
    heap_remove(&c->expiry, &code->expiry);
    struct ip ip;
    struct view key = source_key(view_str(code->source), &ip);
    struct source *s = map_get(&c->sources, key);
    if (--s->count == 0) {
        map_remove(&c->sources, key);
        mem_free(s);
    }
    map_fini(&code->mine);
    mem_free(code->text);
    mem_free(code->binding);
    mem_free(code->source);
    mem_free(code->key_type);
    mem_free(code->fingerprint);
    mem_free(code->idp_id);
    mem_free(code);
}

struct code *codes_find(const struct codes *c, struct view text)
{
    return map_get(&c->by_text, text);
}

struct code *codes_find_binding(const struct codes *c, struct view binding)
{
    return map_get(&c->by_binding, binding);
}

struct code *codes_expired(const struct codes *c, uint64_t now_ms)
{
    struct heap_node *first = heap_first(&c->expiry);
    return first && first->key <= now_ms ? CONTAINER_OF(first, struct code, expiry) : NULL;
}

uint64_t codes_deadline(const struct codes *c)
{
    const struct heap_node *first = heap_first(&c->expiry);
    return first ? first->key : UINT64_MAX;
}
