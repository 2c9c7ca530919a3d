/*
 * Inside common/config: what the parsers of one route share. A route is read in one pass over its
 * keys; from and to come first, since the messages name the route.
 */
#ifndef COMMON_CONFIG_ROUTE_PARSE_H
#define COMMON_CONFIG_ROUTE_PARSE_H

#include "common/config/routes.h"

struct route_context {
    struct tree *tree;
    struct diag *diag;
    const struct route_files *files;
    struct route *route;
    struct route_tunnel *tunnel; /* of a tcp or udp route, while it is filled; else NULL */
    bool failed;                 /* this route has an error */
};

/* An error that names the route. */
[[gnu::format(printf, 4, 5)]] void route_fail(struct route_context *c, struct diag_place at,
                                              const char *key, const char *format, ...);

/* A copy in the tree. */
const char *route_copy(struct route_context *c, struct view v);

/* The text of a node as it may be shown, at most 60 bytes of it. Fresh memory. */
char *route_shown(const struct node *n);

/*
 * "host", "host:port", "[v6]" or "[v6]:port" with nothing before or behind it. The host is lower
 * case, without brackets and in the tree; *out_port is 0 when there is none. ERR_SYNTAX; also for
 * port 0. With `patterns` names may hold "*".
 */
enum err route_authority_parse(struct route_context *c, struct view text, bool patterns,
                               const char **out_host, uint16_t *out_port);

/* "tcp", "udp", "ssh". */
const char *route_kind_name(enum route_kind kind);

/*
 * `from` and `to` of tcp and udp routes. route_tunnel_from starts c->tunnel with what holds when a
 * key is not given; `text` is behind "tcp+https://".
 */
void route_tunnel_from(struct route_context *c, const struct node *n, struct view text,
                       bool is_https);
void route_tunnel_to(struct route_context *c, const struct node *route, const struct node *n);

/* The keys of tcp and udp routes: true when `key` is one of them. */
bool route_tunnel_key(struct route_context *c, const char *key, const struct node *n);
void route_tunnel_offer(struct closest *close, const char *key);

/* When all keys were read. */
void route_tunnel_finish(struct route_context *c);

/* Values: what is wrong is an error that names the key. */
void route_take_text(struct route_context *c, const char *key, const struct node *n,
                     const char **out);
void route_take_bool(struct route_context *c, const char *key, const struct node *n, bool *out);
void route_take_duration(struct route_context *c, const char *key, const struct node *n,
                         uint64_t *out_ms);
void route_take_number(struct route_context *c, const char *key, const struct node *n, uint32_t max,
                       uint32_t *out);

/* health_checks and outlier_detection, in Envoy's shape (route_health.c). */
void route_take_health_checks(struct route_context *c, const char *key, const struct node *n);
void route_take_outlier(struct route_context *c, const char *key, const struct node *n);

/* tls_* (route_tls.c). */
void route_take_tls_blob(struct route_context *c, const char *key, const struct node *n,
                         struct config_blob *out);
void route_tls_finish(struct route_context *c);

#endif
