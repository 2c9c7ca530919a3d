/*
 * routes[] (alias: policy). Every route is checked here but for its policy, whose subtree is handed
 * on to authorize/policy. Names follow Pomerium's keys.
 */
#ifndef COMMON_CONFIG_ROUTES_H
#define COMMON_CONFIG_ROUTES_H

#include "common/config/keys.h"
#include "common/config/tree.h"

enum route_kind {
    ROUTE_SSH,
    ROUTE_TCP,      /* from: tcp+https:// */
    ROUTE_UDP,      /* from: udp+https:// */
    ROUTE_UNSERVED, /* a kind of route that this release does not serve; a warning said so */
};

enum host_key_policy {
    HOST_KEY_POLICY_TOFU,
    HOST_KEY_POLICY_STRICT,
    HOST_KEY_POLICY_INSECURE,
};

struct route_target {
    const char *host; /* name or address without brackets */
    uint16_t port;
    const char *address; /* host:port, [host]:port for IPv6 */
};

/* --- tcp and udp routes --- */

/*
 * One destination that a client may ask for. `from` without a port takes any port; in the bastion
 * form each segment of the path is one.
 */
struct route_match {
    const char *host; /* lower case, IPv6 without brackets; "*" stands for any text, dots too */
    uint16_t port;    /* 0: any */
    bool is_pattern;  /* host has a "*" */
};

enum route_scheme {
    ROUTE_PLAIN,       /* tcp://, udp:// */
    ROUTE_TLS,         /* tls:// */
    ROUTE_HTTP_PROXY,  /* http:// */
    ROUTE_HTTPS_PROXY, /* https:// */
};

enum route_balancing { ROUTE_ROUND_ROBIN, ROUTE_RANDOM, ROUTE_LEAST_REQUEST };
enum route_proxy_header { ROUTE_NO_HEADER, ROUTE_HEADER_V1, ROUTE_HEADER_V2 };

struct route_endpoint {
    struct route_target target;
    uint32_t weight; /* 1 … 10000 */
};

enum route_health_kind { ROUTE_HEALTH_TCP, ROUTE_HEALTH_SSH };

struct route_health_check {
    enum route_health_kind kind;
    uint64_t interval;            /* ms, default 15 s */
    uint64_t timeout;             /* ms, default 5 s */
    uint32_t unhealthy_threshold; /* default 3 */
    uint32_t healthy_threshold;   /* default 2 */
};

struct route_outlier {
    bool enabled;
    uint32_t consecutive_failures; /* default 5 */
    uint64_t base_ejection;        /* ms, default 30 s */
    uint64_t max_ejection;         /* ms, default 5 min */
    uint32_t max_ejection_percent; /* default 10; one endpoint may always be ejected */
};

struct route_tunnel {
    /* How the client reaches the gateway for this route. */
    const char *proxy_host; /* host of `from`, lower case; may hold a "*" */
    uint16_t proxy_port;    /* of `from` in the bastion form, else and without: 443, http: 80 */
    bool is_bastion;
    struct route_match *matches;
    size_t match_count;

    enum route_scheme scheme; /* all of `to` have the same */
    struct route_endpoint *endpoints;
    size_t endpoint_count;
    enum route_balancing balancing;
    uint64_t connect_timeout; /* ms, of one endpoint; key connect_timeout (new), default 10 s */
    uint64_t idle_timeout;    /* ms; 0: none. Default: none for tcp, 5 min for udp */
    uint64_t timeout;         /* ms; 0: none, the default */
    uint64_t keepalive;       /* ms; key tcp_keepalive (new), default 60 s; 0: none */
    enum route_proxy_header proxy_header; /* key upstream_proxy_protocol (new): v1, v2 */

    bool tls_skip_verify;
    const char *tls_server_name; /* "" = the endpoint's host */
    struct config_blob tls_ca;   /* PEM; empty = the system's */
    struct config_blob tls_cert; /* PEM, with tls_key */
    struct config_blob tls_key;

    struct route_health_check *health_checks;
    size_t health_check_count;
    struct route_outlier outlier;
    uint32_t panic_threshold; /* percent; key healthy_panic_threshold, default 50 */
};

struct route {
    enum route_kind kind;
    const char *name;        /* ssh: the host of `from`, lower case; else `from` itself. Unique. */
    const char *id;          /* 16 hex digits, a stable hash of from and to */
    const char *from;        /* as written */
    const char *label;       /* key `name`, "" when absent */
    const char *description; /* "" when absent */
    const char *logo_url;    /* "" when absent */
    struct route_target to;  /* ssh only */
    const struct route_tunnel *tunnel; /* tcp and udp only, else NULL */

    const struct node *policy; /* NULL when absent; for authorize/policy; lives with the config */
    bool allow_any_authenticated_user;
    bool allow_public_unauthenticated_access; /* ssh asks for a login all the same */
    struct config_list allowed_users;
    struct config_list allowed_domains;
    const struct node *allowed_idp_claims; /* map of claim to list of values, or NULL */

    enum host_key_policy ssh_host_key_policy;  /* the route's own or the global one */
    struct config_list ssh_upstream_host_keys; /* "ssh-ed25519 AAAA…" each */
    struct config_list ssh_upstream_host_ca;

    struct diag_place at;
};

struct routes {
    struct route *items;
    size_t count;
    bool given; /* there is a routes or policy key, be it empty */
};

/* How the files that routes name are read. */
struct route_files {
    void *ctx;
    /*
     * Reads the file that `n` names into out->text (heap) and out->file; with `tight` it must not
     * be open to group or others. False after an error was reported.
     */
    bool (*read)(void *ctx, const char *key, const struct node *n, bool tight,
                 struct config_blob *out);
};

/*
 * Parses the list at `list` (may be NULL: no routes). Strings are allocated in `t`, in which
 * `list` lives or which at least outlives the result. Errors and warnings go to `d`. With `files`
 * NULL no file is opened: blobs then have a key and no text.
 */
void routes_parse(struct tree *t, const struct node *list, enum host_key_policy host_key_policy,
                  const struct route_files *files, struct diag *d, struct routes *out);

/* By name, ASCII case ignored; ROUTE_SSH only; NULL when there is none. */
const struct route *routes_find(const struct routes *r, struct view name);

/*
 * The key under which a destination is looked up: equal for what is the same to routes of `kind`.
 * `host` is lower case without brackets, `port` 0 for any. ERR_LIMIT.
 */
enum err route_match_key(enum route_kind kind, struct view host, uint16_t port, struct buf *out);

/* Does a host with "*" in it match? Both are lower case. */
bool route_pattern_has(const char *pattern, struct view host);

/* tofu, strict, insecure; false for anything else. */
bool host_key_policy_parse(struct view text, enum host_key_policy *out);
const char *host_key_policy_name(enum host_key_policy p);

#endif
