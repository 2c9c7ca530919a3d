#include "common/base/mem.h"
#include "proto/postern/decide.pb-c.h"
#include "proxy/convert.h"
#include "proxy/tunnel/cluster.h"

enum { CLUSTERS_MAX = 20000, CONNECT_TIMEOUT_MS = 10000, CHECK_MIN_MS = 100 };

static uint64_t at_least(uint64_t value, uint64_t least)
{
    return value < least ? least : value;
}

static void read_tls(const Postern__UpstreamTls *m, struct cluster_tls *out)
{
    out->skip_verify = m && m->skip_verify;
    out->server_name = mem_strdup(m ? m->server_name : "");
    out->ca = mem_strdup(m ? m->ca : "");
    out->certificate = mem_strdup(m ? m->certificate : "");
    out->key = mem_strdup(m ? m->key : "");
}

static void read_checks(const Postern__Cluster *m, struct cluster_spec *s)
{
    for (size_t i = 0; i < m->n_health_checks && i < CLUSTER_CHECKS_MAX; i++) {
        const Postern__HealthCheck *h = m->health_checks[i];
        bool is_ssh = h->kind == POSTERN__HEALTH_CHECK__KIND__SSH;
        s->checks[s->check_count++] = (struct cluster_check){
            .kind = is_ssh ? CLUSTER_CHECK_SSH : CLUSTER_CHECK_TCP,
            .interval_ms = at_least(h->interval_ms, CHECK_MIN_MS),
            .timeout_ms = at_least(h->timeout_ms, CHECK_MIN_MS),
            .unhealthy_threshold = (uint32_t)at_least(h->unhealthy_threshold, 1),
            .healthy_threshold = (uint32_t)at_least(h->healthy_threshold, 1),
        };
    }
}

static void read_outlier(const Postern__OutlierDetection *m, struct cluster_outlier *out)
{
    if (!m)
        return;
    *out = (struct cluster_outlier){
        .enabled = m->enabled,
        .consecutive_failures = (uint32_t)at_least(m->consecutive_failures, 1),
        .base_ejection_ms = m->base_ejection_ms,
        .max_ejection_ms = m->max_ejection_ms,
        .max_ejection_percent = m->max_ejection_percent,
    };
}

static void read_endpoints(const Postern__Cluster *m, struct cluster_spec *s)
{
    s->endpoint_count = m->n_endpoints;
    s->endpoints = mem_zalloc_array(m->n_endpoints, sizeof *s->endpoints);
    for (size_t i = 0; i < m->n_endpoints; i++) {
        uint32_t weight = m->endpoints[i]->weight;
        s->endpoints[i].address = mem_strdup(m->endpoints[i]->address);
        s->endpoints[i].weight =
            weight > CLUSTER_WEIGHT_MAX ? CLUSTER_WEIGHT_MAX : (uint32_t)at_least(weight, 1);
    }
}

/* What a later version may say is nothing that we can reach. */
static bool is_known(const Postern__Cluster *m)
{
    return (unsigned)m->kind <= CLUSTER_UDP && (unsigned)m->scheme <= CLUSTER_HTTPS_PROXY &&
           (unsigned)m->balancing <= CLUSTER_LEAST_REQUEST &&
           (unsigned)m->proxy_header <= CLUSTER_HEADER_V2 && m->n_endpoints > 0 &&
           m->n_endpoints <= CLUSTER_ENDPOINTS_MAX && *m->route_id;
}

static struct cluster_spec *read_cluster(const Postern__Cluster *m)
{
    struct cluster_spec *s = mem_zalloc(sizeof *s);
    s->route_id = mem_strdup(m->route_id);
    s->route = mem_strdup(m->route);
    s->kind = (enum cluster_kind)m->kind;
    s->scheme = (enum cluster_scheme)m->scheme;
    s->balancing = (enum cluster_balancing)m->balancing;
    s->proxy_header = (enum cluster_proxy_header)m->proxy_header;
    s->connect_timeout_ms = m->connect_timeout_ms ? m->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    s->idle_timeout_ms = m->idle_timeout_ms;
    s->timeout_ms = m->timeout_ms;
    s->panic_threshold = m->panic_threshold;
    s->keepalive_ms = m->keepalive_ms;
    read_endpoints(m, s);
    read_tls(m->tls, &s->tls);
    read_checks(m, s);
    read_outlier(m->outlier, &s->outlier);
    return s;
}

void convert_clusters(const ProtobufCMessage *message, struct cluster_specs *specs)
{
    const Postern__RouteTable *m = ((const Postern__AuthorizeMessage *)message)->routes;
    for (size_t i = 0; i < m->n_clusters && specs->count < CLUSTERS_MAX; i++) {
        if (is_known(m->clusters[i]))
            cluster_specs_add(specs, read_cluster(m->clusters[i]));
    }
}
