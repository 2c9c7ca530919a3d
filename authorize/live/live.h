/*
 * Who depends on what: every connection that a worker of ours holds, live or waiting, found by its
 * id and by each thing whose change may alter its decision, with the clock edges.
 */
#ifndef AUTHORIZE_LIVE_LIVE_H
#define AUTHORIZE_LIVE_LIVE_H

#include "authorize/live/heap.h"
#include "common/base/map.h"
#include "common/base/view.h"

/* The indexes. What a key is, is the caller's: an id, a name. */
enum live_by {
    LIVE_BY_STREAM,
    LIVE_BY_BINDING,
    LIVE_BY_SESSION,
    LIVE_BY_ACCOUNT,
    LIVE_BY_USER,
    LIVE_BY_ROUTE,
    LIVE_BY_CODE,
    LIVE_BY_COUNT,
};

struct live_bucket;

/* Part of the caller's connection; zeroed before live_add. The members are private. */
struct live_node {
    char *id;
    struct live_link {
        struct live_bucket *bucket;
        struct live_node *next;
        struct live_node *prev;
    } link[LIVE_BY_COUNT];
    struct heap_node expiry;
    struct heap_node hold;
};

struct live {
    struct map by_id;
    struct map index[LIVE_BY_COUNT];
    struct heap expiry;
    struct heap held;
};

/* A zeroed struct live is empty. live_fini wants all nodes removed before. */
void live_fini(struct live *l);

/* False when there is a node of that id. The id is copied. */
bool live_add(struct live *l, struct live_node *n, struct view id);

/* Takes it out of everything. The node is zeroed. */
void live_remove(struct live *l, struct live_node *n);

/* NULL when there is none. */
struct live_node *live_get(const struct live *l, struct view id);
size_t live_count(const struct live *l);

/* Static as long as the node is in. */
struct view live_id(const struct live_node *n);

/* Files the node under `key`, in place of its former key; an empty key = under none. */
void live_index(struct live *l, struct live_node *n, enum live_by by, struct view key);

/* The nodes filed under a key, newest first; take the next before you change the current one. */
struct live_node *live_first(const struct live *l, enum live_by by, struct view key);
struct live_node *live_next(const struct live_node *n, enum live_by by);
size_t live_count_by(const struct live *l, enum live_by by, struct view key);

/* All nodes, in order of their coming: as map_iter; the values are struct live_node. */
struct map_iter live_iter(const struct live *l);

/* The next clock edge of the node, in ms; UINT64_MAX = none. */
void live_expire_at(struct live *l, struct live_node *n, uint64_t at_ms);

/* Nodes whose edge has come, one per call, NULL at the end; the edge is cleared. */
struct live_node *live_pop_expired(struct live *l, uint64_t now_ms);

/* When the next edge comes; UINT64_MAX = never. */
uint64_t live_deadline(const struct live *l);

/*
 * Registrations that were decided on a newer copy than ours wait for it: held until the copy has
 * `record_version`. live_pop_held gives those that a copy of that version releases.
 */
void live_hold(struct live *l, struct live_node *n, uint64_t record_version);
struct live_node *live_pop_held(struct live *l, uint64_t record_version);
bool live_is_held(const struct live_node *n);

#endif
