/*
 * What one configuration means to authorize, made ready: policies compiled, keys parsed. It never
 * changes, is swapped as a whole at a reload and is counted, since signing on another thread may
 * outlast a reload. Counting is the loop thread's.
 */
#ifndef AUTHORIZE_SNAPSHOT_SNAPSHOT_H
#define AUTHORIZE_SNAPSHOT_SNAPSHOT_H

#include "authorize/policy/policy.h"
#include "authorize/policy/zone.h"
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
    struct snapshot_keys host_keys; /* pinned; ssh only */
    struct snapshot_keys host_cas;
};

/* A destination with a "*", in the order of the configuration. */
struct snapshot_pattern {
    const struct route_match *match;
    const struct snapshot_route *route;
    size_t next; /* the next one of the same kind, port and tail, by its number from 1; 0 = none */
};

enum { SNAPSHOT_TAILS = 256 };

struct snapshot {
    unsigned refs;
    const struct config *config;
    struct snapshot_route *routes; /* those that are served, in the order of the configuration */
    size_t route_count;
    struct map by_name;        /* ssh */
    struct map by_destination; /* tcp and udp: route_match_key of those without a "*" */
    struct snapshot_pattern *patterns;
    size_t pattern_count;
    struct map by_tail;                /* kind, port, what stands behind the last "*": the first */
    bool has_tail_len[SNAPSHOT_TAILS]; /* there are tails of so many bytes */
    struct map by_id;
    struct private_key ca; /* pkey is NULL when there is none */
    struct known_hosts known_hosts;
    struct zones zones; /* that policies name */
    const char *prompt; /* "Please sign in to continue" */
    char *prompt_text;
};

/*
 * With errors in `d` the result is NULL. `read_zone` (may be NULL: policies know UTC alone) reads
 * the time zones that policies name; nothing is read later. Keeps a reference to `config`. Also the
 * daemon's check of a configuration: it has no side effects.
 */
struct snapshot *snapshot_new(const struct config *config, zones_read_fn read_zone, struct diag *d);
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s);

/*
 * The route a user named: case does not count, a port behind the name is ignored. NULL when there
 * is none.
 */
const struct snapshot_route *snapshot_route(const struct snapshot *s, struct view typed);

/*
 * The tcp or udp route for what a client asked for: "host:port", "[v6]:port", or without a port,
 * which only a route for any port takes. Case does not count. A destination that is written out
 * with its port comes before one without port, both before those with a "*", of which the first in
 * the configuration counts. NULL when there is none.
 */
const struct snapshot_route *snapshot_tunnel(const struct snapshot *s, enum route_kind kind,
                                             struct view authority);

/* By route.id; NULL when there is none. */
const struct snapshot_route *snapshot_by_id(const struct snapshot *s, struct view id);

/* Does the key set hold exactly this key? */
bool snapshot_keys_has(const struct snapshot_keys *keys, const struct public_key *key);

#endif
