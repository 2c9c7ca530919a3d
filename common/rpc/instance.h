/*
 * Instance records: which daemons run, and with which configuration. Whoever knows about instances
 * (itself; authorize also the proxies whose stream it has) lists them when it is asked, once each
 * second. A record is written when something in it has changed, when it is due for a refresh, and
 * when the databroker has lost it; it is deleted when its instance is no longer listed, unless
 * somebody else has written it by then.
 */
#ifndef COMMON_RPC_INSTANCE_H
#define COMMON_RPC_INSTANCE_H

#include "common/base/buf.h"
#include "common/rpc/records.h"

enum {
    INSTANCE_TICK_MS = 1000,
    INSTANCE_REFRESH_MS = 25 * 1000, /* of the TTL of 90 s */
    INSTANCE_TEXT_MAX = 1024,        /* of each text; longer ones are cut */
    INSTANCE_PACKED_MAX = 16 * 1024,
    INSTANCES_MAX = 1000, /* of one writer */
    INSTANCE_END_MS = 1000,
};

/* Texts may be NULL. */
struct instance {
    const char *id;
    const char *service;
    const char *build;
    const char *config_hash;
    const char *host; /* NULL: this host's name */
    const char *address;
    const char *problem; /* "" = ready */
    uint64_t started_ms; /* Unix */
    uint64_t connections;
};

/* The packed postern.Instance, appended. ERR_LIMIT. */
enum err instance_pack(const struct instance *i, const char *writer, struct buf *out);

/* "type.googleapis.com/postern.Instance"; fresh memory. */
char *instance_type(void);

/*
 * Are two the same but for what changes all the time (connections)? A record is written at once
 * when they are not.
 */
bool instance_is_same(const struct instance *a, const struct instance *b);

struct instances;

/* Calls instances_add for each. */
typedef void (*instances_list_fn)(void *ctx, struct instances *w);
void instances_add(struct instances *w, const struct instance *i);

/* `self` is the writer's own id; copied. The channel outlives the writer. */
struct instances *instances_open(struct loop *loop, const struct records *records, const char *self,
                                 instances_list_fn list, void *ctx);

/*
 * Deletes all records; nothing is written any more. `fn(ctx)`, never inside this call: all are
 * deleted, or INSTANCE_END_MS have passed. Not called after instances_close.
 */
void instances_end(struct instances *w, loop_fn fn, void *ctx);

/* NULL is fine. No callback comes any more. */
void instances_close(struct instances *w);

#endif
