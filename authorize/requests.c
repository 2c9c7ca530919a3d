#include "authorize/requests.h"

#include "common/base/mem.h"

void request_free(struct request *r)
{
    mem_free(r->code);
    mem_free(r->key);
    mem_free(r->idp_id);
    mem_free(r->source);
    mem_free(r->key_type);
    mem_free(r->fingerprint);
    for (size_t i = 0; i < r->waiting_count; i++) {
        mem_free(r->waiting[i].connection_id);
        mem_free(r->waiting[i].address);
        mem_free(r->waiting[i].login);
        mem_free(r->waiting[i].route);
        mem_free(r->waiting[i].client_version);
    }
    mem_free(r);
}

static void free_all(struct map *m)
{
    for (struct map_iter i = map_iter(m); map_next(&i);)
        request_free(i.value);
    map_fini(m);
    *m = (struct map){0};
}

void requests_fini(struct requests *r)
{
    map_fini(&r->by_key);
    free_all(&r->now);
    free_all(&r->next);
    *r = (struct requests){0};
}

void requests_clear(struct requests *r)
{
    free_all(&r->next);
    r->renewing = true;
}

void requests_complete(struct requests *r)
{
    if (!r->renewing)
        return;
    map_fini(&r->by_key);
    r->by_key = (struct map){0};
    free_all(&r->now);
    r->now = r->next;
    r->next = (struct map){0};
    r->renewing = false;
    for (struct map_iter i = map_iter(&r->now); map_next(&i);) {
        struct request *request = i.value;
        if (request->state == REQUEST_IN_FLIGHT)
            map_put(&r->by_key, view_str(request->key), request);
    }
}

static void forget(struct requests *r, struct request *old)
{
    if (!old)
        return;
    if (map_get(&r->by_key, view_str(old->key)) == old)
        map_remove(&r->by_key, view_str(old->key));
    request_free(old);
}

void requests_put(struct requests *r, const char *code, struct request *request)
{
    struct map *m = r->renewing ? &r->next : &r->now;
    struct view key = view_str(code);
    struct request *old = request ? map_put(m, key, request) : map_remove(m, key);
    forget(r, old);
    if (request && !r->renewing && request->state == REQUEST_IN_FLIGHT)
        map_put(&r->by_key, view_str(request->key), request);
}

const struct request *requests_find(const struct requests *r, const char *code)
{
    return map_get(&r->now, view_str(code));
}

const struct request *requests_find_key(const struct requests *r, const char *key, uint64_t now_ms)
{
    const struct request *request = map_get(&r->by_key, view_str(key));
    return request && request->expires_ms > now_ms ? request : NULL;
}
