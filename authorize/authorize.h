/*
 * The authorize daemon: what its parts share. Everything runs on the loop thread but the making of
 * certificates (certify.c).
 *
 *   worker.c      the Decide streams: messages in, heartbeats, ends
 *   connection.c  one connection of a worker: from its check to its end
 *   signin.c      codes: who waits for which, their records
 *   reconsider.c  what changes decisions: records, reloads, clock edges
 *   proof.c       whether the copy is current; checks that wait until it is
 *   certify.c     host keys and certificates
 *   shell.c       whoami and logout of the management shell
 *   presence.c    Connection records
 *   cut.c         CutRequest records
 *   sync.c        the synced copy
 *   probe.c       ProbeRequest records: doctor, host key scans
 *   instances.c   Instance records
 *   audit.c       log lines
 *   gauges.c      what /metrics shows
 */
#ifndef AUTHORIZE_AUTHORIZE_H
#define AUTHORIZE_AUTHORIZE_H

#include "authorize/decide.h"
#include "authorize/live/codes.h"
#include "authorize/live/currency.h"
#include "authorize/live/live.h"
#include "authorize/live/state_version.h"
#include "authorize/requests.h"
#include "authorize/snapshot/snapshot.h"
#include "authorize/state.h"
#include "common/base/slots.h"
#include "common/crypto/rng.h"
#include "common/daemon/daemon.h"
#include "common/io/crew.h"
#include "common/io/timer.h"
#include "common/rpc/records.h"
#include "common/rpc/server.h"
#include "common/rpc/syncer.h"

enum {
    AUTHORIZE_HEARTBEAT_MS = 1000,
    AUTHORIZE_SILENCE_MS = 3000,
    AUTHORIZE_CUT_CONFIRM_MS = 5000,
    AUTHORIZE_PRESENCE_MS = 60 * 1000,
    AUTHORIZE_ORPHAN_MS = 10 * 1000,    /* a lost stream's connections may come back elsewhere */
    AUTHORIZE_CONNECTIONS_MAX = 100000, /* of one replica */
};

struct certification;
struct connection;
struct instances;
struct probes;

struct authorize {
    struct daemon *daemon;
    struct loop *loop;
    const struct rng *rng;
    const char *instance; /* of this process */
    struct snapshot *snapshot;

    struct rpc *rpc;
    struct rpc_channel *databroker;
    struct rpc_server *server;
    struct records records;
    struct syncer *durable_sync;
    struct syncer *request_sync;
    struct syncer *cut_sync;
    struct currency currency; /* of the durable copy; clock time, as the next two */
    uint64_t behind_at;       /* when the databroker said that there is more */
    uint64_t seen_at;         /* when this process was last seen to run; 0 = not yet */
    uint64_t pause_needs;     /* the proof that it waits for after it was stopped; 0 = none */
    bool lags;                /* said to the workers */
    struct connection *checks_first; /* that wait for a proof */
    struct connection *checks_last;
    uint64_t memory_version; /* server_version of the memory-only history; 0 = not seen yet */

    struct state state;
    struct requests requests;
    struct live live;
    struct codes codes;
    struct slots workers;
    struct map presences;
    unsigned presence_puts; /* under way */
    struct map cut_requests;
    struct op *ops;               /* answers that are waited for */
    struct certification *parked; /* of connections that are held */
    struct probes *probes;
    struct instances *instances;
    uint64_t started_ms; /* Unix */

    struct timer tick;  /* each second */
    uint64_t ticked_at; /* loop time */
    struct timer edge;  /* the next clock edge */
    struct timer flush; /* Connection records that are to be written */

    struct crew *signers;
    unsigned signing; /* certificates being made by the signers */
    unsigned closing; /* handles that stop waits for */
    bool stopping;
    bool stopped; /* `stop` has been called, not all is closed yet */
    bool synced;  /* a copy was complete once */
};

/* Milliseconds since 1970. */
uint64_t authorize_now(void);

/* The copy that decisions are made on. */
struct state_version authorize_version(const struct authorize *a);

/* loop_clock_ms when the copy was last known to be complete; 0 = there is none. */
uint64_t authorize_fresh_at(const struct authorize *a);

/* False when the copy is older than authorize_max_staleness, or there is none yet. */
bool authorize_is_fresh(const struct authorize *a);

/* The check of the copy, after anything that bears on it. */
void authorize_update_health(struct authorize *a);

/* While stopping: something that stop waits for is done. */
void authorize_stop_step(struct authorize *a);

/* --- the daemon's callbacks --- */
void authorize_validate(void *ctx, const struct config *config, struct diag *diag);
enum err authorize_start(void *ctx, struct daemon *daemon, struct diag *diag);
enum err authorize_reload(void *ctx, const struct config *config, struct diag *diag);
void authorize_drain(void *ctx);
void authorize_stop(void *ctx);
void authorize_fini(void *ctx);

#endif
