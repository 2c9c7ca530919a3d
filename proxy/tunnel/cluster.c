#include "proxy/tunnel/cluster.h"

#include <string.h>

#include "common/base/mem.h"

static void free_tls(struct cluster_tls *t)
{
    if (t->key)
        mem_wipe(t->key, strlen(t->key));
    mem_free(t->key);
    mem_free(t->server_name);
    mem_free(t->ca);
    mem_free(t->certificate);
}

void cluster_spec_free(struct cluster_spec *s)
{
    if (!s)
        return;
    free_tls(&s->tls);
    for (size_t i = 0; i < s->endpoint_count; i++)
        mem_free(s->endpoints[i].address);
    mem_free(s->endpoints);
    mem_free(s->route_id);
    mem_free(s->route);
    mem_free(s);
}

bool cluster_uses_tls(const struct cluster_spec *s)
{
    return s->scheme == CLUSTER_TLS || s->scheme == CLUSTER_HTTPS_PROXY;
}

bool cluster_is_chained(const struct cluster_spec *s)
{
    return s->scheme == CLUSTER_HTTP_PROXY || s->scheme == CLUSTER_HTTPS_PROXY;
}

bool cluster_tls_eq(const struct cluster_tls *a, const struct cluster_tls *b)
{
    return a->skip_verify == b->skip_verify && strcmp(a->server_name, b->server_name) == 0 &&
           strcmp(a->ca, b->ca) == 0 && strcmp(a->certificate, b->certificate) == 0 &&
           strcmp(a->key, b->key) == 0;
}

struct cluster_specs *cluster_specs_new(void)
{
    return mem_zalloc(sizeof(struct cluster_specs));
}

void cluster_specs_add(struct cluster_specs *list, struct cluster_spec *s)
{
    if ((list->count & (list->count - 1)) == 0)
        list->items =
            mem_realloc(list->items, (list->count ? 2 * list->count : 1) * sizeof(void *));
    list->items[list->count++] = s;
}

void cluster_specs_free(struct cluster_specs *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        cluster_spec_free(list->items[i]);
    mem_free(list->items);
    mem_free(list);
}
