#include "authorize/convert_routes.h"

#include "common/base/mem.h"
#include "proto/postern/decide.pb-c.h"

/* protobuf-c has no const; nothing is written to. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static char *blob(const struct config_blob *b)
{
    return text(b->text.len ? (const char *)b->text.data : "");
}

/* --- one cluster --- */

/* A message with everything that it points to. */
struct cluster {
    Postern__Cluster m;
    Postern__UpstreamTls tls;
    Postern__OutlierDetection outlier;
    Postern__Endpoint *endpoints;
    Postern__Endpoint **endpoint_pointers;
    Postern__HealthCheck *checks;
    Postern__HealthCheck **check_pointers;
};

static void cluster_free(struct cluster *c)
{
    mem_free(c->endpoints);
    mem_free(c->endpoint_pointers);
    mem_free(c->checks);
    mem_free(c->check_pointers);
    mem_free(c);
}

static void fill_endpoints(struct cluster *c, const struct route_tunnel *t)
{
    c->endpoints = mem_zalloc_array(t->endpoint_count, sizeof *c->endpoints);
    c->endpoint_pointers = mem_zalloc_array(t->endpoint_count, sizeof(Postern__Endpoint *));
    for (size_t i = 0; i < t->endpoint_count; i++) {
        postern__endpoint__init(&c->endpoints[i]);
        c->endpoints[i].address = text(t->endpoints[i].target.address);
        c->endpoints[i].weight = t->endpoints[i].weight;
        c->endpoint_pointers[i] = &c->endpoints[i];
    }
    c->m.endpoints = c->endpoint_pointers;
    c->m.n_endpoints = t->endpoint_count;
}

static void fill_checks(struct cluster *c, const struct route_tunnel *t)
{
    c->checks = mem_zalloc_array(t->health_check_count, sizeof *c->checks);
    c->check_pointers = mem_zalloc_array(t->health_check_count, sizeof(Postern__HealthCheck *));
    for (size_t i = 0; i < t->health_check_count; i++) {
        const struct route_health_check *h = &t->health_checks[i];
        Postern__HealthCheck *m = &c->checks[i];
        postern__health_check__init(m);
        m->kind = h->kind == ROUTE_HEALTH_SSH ? POSTERN__HEALTH_CHECK__KIND__SSH
                                              : POSTERN__HEALTH_CHECK__KIND__TCP;
        m->interval_ms = h->interval;
        m->timeout_ms = h->timeout;
        m->unhealthy_threshold = h->unhealthy_threshold;
        m->healthy_threshold = h->healthy_threshold;
        c->check_pointers[i] = m;
    }
    c->m.health_checks = c->check_pointers;
    c->m.n_health_checks = t->health_check_count;
}

static void fill_tls(struct cluster *c, const struct route_tunnel *t)
{
    if (t->scheme != ROUTE_TLS && t->scheme != ROUTE_HTTPS_PROXY)
        return;
    postern__upstream_tls__init(&c->tls);
    c->tls.skip_verify = t->tls_skip_verify;
    c->tls.server_name = text(t->tls_server_name);
    c->tls.ca = blob(&t->tls_ca);
    c->tls.certificate = blob(&t->tls_cert);
    c->tls.key = blob(&t->tls_key);
    c->m.tls = &c->tls;
}

static void fill_outlier(struct cluster *c, const struct route_outlier *o)
{
    postern__outlier_detection__init(&c->outlier);
    c->outlier.enabled = o->enabled;
    c->outlier.consecutive_failures = o->consecutive_failures;
    c->outlier.base_ejection_ms = o->base_ejection;
    c->outlier.max_ejection_ms = o->max_ejection;
    c->outlier.max_ejection_percent = o->max_ejection_percent;
    c->m.outlier = &c->outlier;
}

static struct cluster *cluster_of(const struct route *r)
{
    static const Postern__Cluster__Scheme schemes[] = {
        [ROUTE_PLAIN] = POSTERN__CLUSTER__SCHEME__PLAIN,
        [ROUTE_TLS] = POSTERN__CLUSTER__SCHEME__TLS,
        [ROUTE_HTTP_PROXY] = POSTERN__CLUSTER__SCHEME__HTTP_PROXY,
        [ROUTE_HTTPS_PROXY] = POSTERN__CLUSTER__SCHEME__HTTPS_PROXY,
    };
    static const Postern__Cluster__Balancing balancings[] = {
        [ROUTE_ROUND_ROBIN] = POSTERN__CLUSTER__BALANCING__ROUND_ROBIN,
        [ROUTE_RANDOM] = POSTERN__CLUSTER__BALANCING__RANDOM,
        [ROUTE_LEAST_REQUEST] = POSTERN__CLUSTER__BALANCING__LEAST_REQUEST,
    };
    static const Postern__Cluster__ProxyHeader headers[] = {
        [ROUTE_NO_HEADER] = POSTERN__CLUSTER__PROXY_HEADER__NO_HEADER,
        [ROUTE_HEADER_V1] = POSTERN__CLUSTER__PROXY_HEADER__V1,
        [ROUTE_HEADER_V2] = POSTERN__CLUSTER__PROXY_HEADER__V2,
    };
    const struct route_tunnel *t = r->tunnel;
    struct cluster *c = mem_zalloc(sizeof *c);
    postern__cluster__init(&c->m);
    c->m.route_id = text(r->id);
    c->m.route = text(r->name);
    c->m.kind = r->kind == ROUTE_UDP ? POSTERN__CLUSTER__KIND__UDP : POSTERN__CLUSTER__KIND__TCP;
    c->m.scheme = schemes[t->scheme];
    c->m.balancing = balancings[t->balancing];
    c->m.connect_timeout_ms = t->connect_timeout;
    c->m.idle_timeout_ms = t->idle_timeout;
    c->m.timeout_ms = t->timeout;
    c->m.proxy_header = headers[t->proxy_header];
    c->m.panic_threshold = t->panic_threshold;
    c->m.keepalive_ms = t->keepalive;
    fill_endpoints(c, t);
    fill_checks(c, t);
    fill_tls(c, t);
    fill_outlier(c, &t->outlier);
    return c;
}

/* --- one message --- */

/* A message being filled. */
struct part {
    const struct snapshot *snapshot;
    char **names;
    size_t name_count;
    struct cluster **clusters;
    size_t cluster_count;
    size_t bytes;
};

static void part_fini(struct part *p)
{
    for (size_t i = 0; i < p->cluster_count; i++)
        cluster_free(p->clusters[i]);
    mem_free(p->names);
    mem_free(p->clusters);
}

/* False: it is full. */
static bool has_room(struct part *p, size_t bytes)
{
    if (p->bytes > 0 && p->bytes + bytes > CONVERT_ROUTES_BYTES)
        return false;
    p->bytes += bytes;
    return true;
}

static bool add(struct part *p, const struct route *r)
{
    enum { NAME_OVERHEAD = 8, CLUSTER_OVERHEAD = 16 };
    if (r->kind == ROUTE_SSH) {
        if (!has_room(p, strlen(r->name) + NAME_OVERHEAD))
            return false;
        p->names[p->name_count++] = text(r->name);
        return true;
    }
    struct cluster *c = cluster_of(r);
    if (!has_room(p, protobuf_c_message_get_packed_size(&c->m.base) + CLUSTER_OVERHEAD)) {
        cluster_free(c);
        return false;
    }
    p->clusters[p->cluster_count++] = c;
    return true;
}

static enum err send_part(const struct part *p, const struct convert_routes *r, bool more)
{
    const struct config *config = p->snapshot->config;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    Postern__RouteTable table = POSTERN__ROUTE_TABLE__INIT;
    AUTO_FREE Postern__Cluster **clusters =
        mem_zalloc_array(p->cluster_count, sizeof(Postern__Cluster *));
    for (size_t i = 0; i < p->cluster_count; i++)
        clusters[i] = &p->clusters[i]->m;
    table.config_hash = text(config->hash);
    table.sign_in_timeout_ms = config->ssh_sign_in_timeout;
    table.ssh_routes = p->names;
    table.n_ssh_routes = p->name_count;
    table.clusters = clusters;
    table.n_clusters = p->cluster_count;
    table.first = r->next == 0;
    table.more = more;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_ROUTES;
    m.routes = &table;
    return r->send(r->ctx, &m.base);
}

enum err convert_routes_next(struct convert_routes *r, bool *out_more)
{
    const struct snapshot *s = r->snapshot;
    AUTO(part_fini) struct part part = {.snapshot = s};
    size_t next = r->next;
    part.names = mem_zalloc_array(s->route_count - next, sizeof(char *));
    part.clusters = mem_zalloc_array(s->route_count - next, sizeof(struct cluster *));
    while (next < s->route_count && add(&part, s->routes[next].route))
        next++;
    bool more = next < s->route_count;
    TRY(send_part(&part, r, more));
    r->next = next;
    *out_more = more;
    return OK;
}

/* --- the table --- */

static enum err send_to_call(void *ctx, const ProtobufCMessage *m)
{
    return rpc_send(ctx, m);
}

void convert_routes_begin(struct convert_routes *r, struct rpc_call *call, struct snapshot *s)
{
    convert_routes_end(r);
    *r = (struct convert_routes){.snapshot = snapshot_ref(s), .send = send_to_call, .ctx = call};
}

void convert_routes_end(struct convert_routes *r)
{
    snapshot_unref(r->snapshot);
    *r = (struct convert_routes){0};
}
