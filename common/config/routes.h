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

struct route {
    enum route_kind kind;
    const char *name;        /* ssh: the host of `from`, lower case; else `from` itself. Unique. */
    const char *id;          /* 16 hex digits, a stable hash of from and to */
    const char *from;        /* as written */
    const char *label;       /* key `name`, "" when absent */
    const char *description; /* "" when absent */
    struct route_target to;  /* ssh only */

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

/*
 * Parses the list at `list` (may be NULL: no routes). Strings are allocated in `t`, in which
 * `list` lives or which at least outlives the result. Errors and warnings go to `d`.
 */
void routes_parse(struct tree *t, const struct node *list, enum host_key_policy host_key_policy,
                  struct diag *d, struct routes *out);

/* By name, ASCII case ignored; ROUTE_SSH only; NULL when there is none. */
const struct route *routes_find(const struct routes *r, struct view name);

/* tofu, strict, insecure; false for anything else. */
bool host_key_policy_parse(struct view text, enum host_key_policy *out);
const char *host_key_policy_name(enum host_key_policy p);

#endif
