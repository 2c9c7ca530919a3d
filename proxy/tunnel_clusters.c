#include "proxy/tunnel_clusters.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/daemon/metrics.h"
#include "proxy/tunnel_health.h"

struct clusters {
    struct loop *loop;
    struct health_checks *health;
    struct map by_route;
};

struct clusters *clusters_new(struct loop *l, const struct rng *rng)
{
    struct clusters *cs = mem_zalloc(sizeof *cs);
    cs->loop = l;
    cs->health = health_checks_new(l, rng);
    return cs;
}

void cluster_leave(struct cluster *c)
{
    if (--c->refs)
        return;
    endpoints_fini(&c->endpoints);
    tls_unref(c->tls);
    cluster_spec_free(c->spec);
    mem_free(c);
}

static void clear(struct map *m)
{
    for (struct map_iter i = map_iter(m); map_next(&i);)
        cluster_leave(i.value);
    map_fini(m);
    *m = (struct map){0};
}

void clusters_free(struct clusters *cs)
{
    if (!cs)
        return;
    health_checks_free(cs->health);
    clear(&cs->by_route);
    mem_free(cs);
}

static struct cluster *make(struct cluster_spec *spec, struct cluster *old)
{
    struct cluster *c = mem_zalloc(sizeof *c);
    c->refs = 1;
    c->spec = spec;
    endpoints_init(&c->endpoints, spec, old ? &old->endpoints : NULL);
    if (old && old->tls && cluster_tls_eq(&old->spec->tls, &spec->tls))
        c->tls = tls_ref(old->tls);
    return c;
}

void clusters_set(struct clusters *cs, struct cluster_specs *specs)
{
    struct map old = cs->by_route;
    health_checks_clear(cs->health);
    cs->by_route = (struct map){0};
    for (size_t i = 0; i < specs->count; i++) {
        struct view id = view_str(specs->items[i]->route_id);
        struct cluster *c = make(specs->items[i], map_get(&old, id));
        struct cluster *same = map_put(&cs->by_route, id, c);
        if (same)
            cluster_leave(same);
    }
    specs->count = 0; /* they are ours */
    cluster_specs_free(specs);
    clear(&old);
    for (struct map_iter i = map_iter(&cs->by_route); map_next(&i);)
        health_checks_add(cs->health, i.value);
}

void clusters_rest(struct clusters *cs)
{
    health_checks_clear(cs->health);
}

void clusters_measure(const struct clusters *cs)
{
    int64_t counts[3] = {0};
    uint64_t now = loop_now_ms(cs->loop);
    for (struct map_iter i = map_iter(&cs->by_route); map_next(&i);) {
        const struct cluster *c = i.value;
        for (size_t k = 0; k < c->endpoints.count; k++) {
            const struct endpoint *p = c->endpoints.seats[k].endpoint;
            counts[!endpoint_is_healthy(p) ? 1 : endpoint_is_ejected(p, now) ? 2 : 0]++;
        }
    }
    metrics_set(METRIC_ENDPOINTS, counts[0], "usable");
    metrics_set(METRIC_ENDPOINTS, counts[1], "unhealthy");
    metrics_set(METRIC_ENDPOINTS, counts[2], "ejected");
}

struct cluster *clusters_find(struct clusters *cs, const char *route_id)
{
    struct cluster *c = map_get(&cs->by_route, view_str(route_id));
    if (c)
        c->refs++;
    return c;
}

/* --- TLS --- */

/* The system's store is large: clusters that say the same share what was made of it. */
static struct tls_context *find_same(struct clusters *cs, const struct cluster *c)
{
    for (struct map_iter i = map_iter(&cs->by_route); map_next(&i);) {
        const struct cluster *other = i.value;
        struct cluster_tls tls = other->spec->tls;
        bool same_alpn = other->spec->scheme == c->spec->scheme;
        tls.server_name = c->spec->tls.server_name; /* is the stream's */
        if (other->tls && same_alpn && cluster_tls_eq(&tls, &c->spec->tls))
            return other->tls;
    }
    return NULL;
}

enum err clusters_tls(struct clusters *cs, struct cluster *c, struct tls_context **out,
                      char **out_why)
{
    if (!c->tls) {
        const struct cluster_tls *t = &c->spec->tls;
        struct tls_context *same = find_same(cs, c);
        const struct tls_client_spec spec = {
            .ca_pem = *t->ca ? t->ca : NULL,
            .skip_verify = t->skip_verify,
            .chain_pem = *t->certificate ? t->certificate : NULL,
            .key_pem = *t->key ? t->key : NULL,
            .alpn_http1 = c->spec->scheme == CLUSTER_HTTPS_PROXY,
        };
        if (same)
            c->tls = tls_ref(same);
        else
            TRY(tls_client_new(&spec, &c->tls, out_why));
    }
    *out = c->tls;
    return OK;
}
