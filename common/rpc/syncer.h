/*
 * A copy of the databroker's records, kept up to date: SyncLatest once, then Sync from there. After
 * a break it goes on where it was; when the databroker's history is another one (a restart for
 * memory-only types, a restore) everything starts anew with on_clear. Waits between attempts grow
 * from 100 ms to 10 s with jitter, forever.
 *
 * Without a type the durable types are followed. Memory-only types (SessionBindingRequest,
 * Connection, CutRequest, Instance, ProbeRequest) take a syncer each.
 */
#ifndef COMMON_RPC_SYNCER_H
#define COMMON_RPC_SYNCER_H

#include "common/rpc/records.h"

struct syncer;

struct syncer_events {
    /*
     * Everything from before is void: records that come from now on, up to the first on_synced,
     * are a complete picture. Runs before the first record too.
     */
    void (*on_clear)(void *ctx);
    /* A record was written or deleted; idempotent, versions of one history never go back. */
    void (*on_record)(void *ctx, const struct record *r);
    /*
     * Everything up to syncer_versions has been delivered. First after the complete picture, then
     * after every batch of changes. May be NULL.
     */
    void (*on_synced)(void *ctx);
    /* The stream is up (true) or lost (false; `text` says why). May be NULL. */
    void (*on_state)(void *ctx, bool connected, const char *text);
};

struct syncer_versions {
    uint64_t server_version; /* 0 until the first picture is complete */
    uint64_t record_version;
};

/*
 * `type` NULL = all durable types, else a full type; copied. `events` is static. The channel
 * outlives the syncer.
 */
struct syncer *syncer_open(struct rpc_channel *channel, struct loop *loop, const char *type,
                           const struct syncer_events *events, void *ctx);

/* Whoever follows knows that something is missing: follows by a new stream, at once. */
void syncer_restart(struct syncer *s);

/* No callback comes any more. NULL is fine. */
void syncer_close(struct syncer *s);

/* How new the copy is. */
struct syncer_versions syncer_versions(const struct syncer *s);

/* True from the first on_synced of a picture on, also while disconnected; false after on_clear. */
bool syncer_is_synced(const struct syncer *s);
bool syncer_is_connected(const struct syncer *s);

/* loop_clock_ms when the copy was last known to be complete (for authorize_max_staleness). */
uint64_t syncer_fresh_at(const struct syncer *s);

#endif
