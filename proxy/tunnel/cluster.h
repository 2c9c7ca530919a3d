/*
 * The clusters of the route table as plain data: the targets of one tcp or udp route and how they
 * are reached (proto/postern/decide.proto, Cluster). Times in milliseconds.
 */
#ifndef PROXY_TUNNEL_CLUSTER_H
#define PROXY_TUNNEL_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CLUSTER_ENDPOINTS_MAX = 256,
    CLUSTER_CHECKS_MAX = 8,
    CLUSTER_WEIGHT_MAX = 10000,
};

enum cluster_kind { CLUSTER_TCP, CLUSTER_UDP };

enum cluster_scheme {
    CLUSTER_PLAIN,
    CLUSTER_TLS,
    CLUSTER_HTTP_PROXY,
    CLUSTER_HTTPS_PROXY,
};

enum cluster_balancing { CLUSTER_ROUND_ROBIN, CLUSTER_RANDOM, CLUSTER_LEAST_REQUEST };

enum cluster_proxy_header { CLUSTER_NO_HEADER, CLUSTER_HEADER_V1, CLUSTER_HEADER_V2 };

enum cluster_check_kind { CLUSTER_CHECK_TCP, CLUSTER_CHECK_SSH };

struct cluster_check {
    enum cluster_check_kind kind;
    uint64_t interval_ms;
    uint64_t timeout_ms;
    uint32_t unhealthy_threshold;
    uint32_t healthy_threshold;
};

struct cluster_outlier {
    bool enabled;
    uint32_t consecutive_failures;
    uint64_t base_ejection_ms;
    uint64_t max_ejection_ms;
    uint32_t max_ejection_percent;
};

struct cluster_endpoint {
    char *address; /* host:port */
    uint32_t weight;
};

/* PEM; "" where there is none. */
struct cluster_tls {
    bool skip_verify;
    char *server_name;
    char *ca;
    char *certificate;
    char *key; /* wiped */
};

struct cluster_spec {
    char *route_id;
    char *route;
    enum cluster_kind kind;
    enum cluster_scheme scheme;
    struct cluster_endpoint *endpoints; /* 1 … CLUSTER_ENDPOINTS_MAX */
    size_t endpoint_count;
    enum cluster_balancing balancing;
    uint64_t connect_timeout_ms;
    uint64_t idle_timeout_ms; /* 0: none, as the next */
    uint64_t timeout_ms;
    struct cluster_tls tls;
    enum cluster_proxy_header proxy_header;
    struct cluster_check checks[CLUSTER_CHECKS_MAX];
    size_t check_count;
    struct cluster_outlier outlier;
    uint32_t panic_threshold; /* percent */
    uint64_t keepalive_ms;    /* 0: none */
};

/* Wipes; NULL is fine. */
void cluster_spec_free(struct cluster_spec *s);

bool cluster_uses_tls(const struct cluster_spec *s);

/* The endpoints are HTTP proxies that are told the destination. */
bool cluster_is_chained(const struct cluster_spec *s);

/* Same TLS settings, so that a TLS context of the one does for the other? */
bool cluster_tls_eq(const struct cluster_tls *a, const struct cluster_tls *b);

/* A list that owns its elements. */
struct cluster_specs {
    struct cluster_spec **items;
    size_t count;
};

struct cluster_specs *cluster_specs_new(void);
void cluster_specs_add(struct cluster_specs *list, struct cluster_spec *s);
void cluster_specs_free(struct cluster_specs *list);

#endif
