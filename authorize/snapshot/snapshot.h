/*
 * What one configuration means to authorize, made ready: policies compiled, keys parsed. It never
 * changes, is swapped as a whole at a reload and is counted, since signing on another thread may
 * outlast a reload. Counting is the loop thread's.
 */
#ifndef AUTHORIZE_SNAPSHOT_SNAPSHOT_H
#define AUTHORIZE_SNAPSHOT_SNAPSHOT_H

#include "authorize/policy/policy.h"
#include "authorize/snapshot/known_hosts.h"
#include "common/base/diag.h"
#include "common/base/map.h"
#include "common/config/config.h"
#include "common/crypto/key.h"

struct snapshot_keys {
    struct public_key *items;
    size_t count;
};

struct snapshot_route {
    const struct route *route;
    struct policy *policy;
    struct snapshot_keys host_keys; /* pinned */
    struct snapshot_keys host_cas;
};

struct snapshot {
    unsigned refs;
    const struct config *config;
    struct snapshot_route *routes; /* those that are served, by name in `by_name` */
    size_t route_count;
    struct map by_name;
    struct private_key ca; /* pkey is NULL when there is none */
    struct known_hosts known_hosts;
    const char *prompt; /* "Please sign in to continue" */
    char *prompt_text;
};

/*
 * With errors in `d` the result is NULL. Keeps a reference to `config`. Also the daemon's check of
 * a configuration: it has no side effects.
 */
struct snapshot *snapshot_new(const struct config *config, struct diag *d);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/*
 * The route a user named: case does not count, a port behind the name is ignored. NULL when there
 * is none.
 */
const struct snapshot_route *snapshot_route(const struct snapshot *s, struct view typed);

/* Does the key set hold exactly this key? */
bool snapshot_keys_has(const struct snapshot_keys *keys, const struct public_key *key);

#endif
