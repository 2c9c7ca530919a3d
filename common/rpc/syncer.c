#include "common/rpc/syncer.h"

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/io/timer.h"
#include "common/rpc/convert.h"

enum { BACKOFF_FIRST_MS = 100, BACKOFF_MAX_MS = 10000 };

struct syncer {
    struct rpc_channel *channel;
    struct loop *loop;
    char *type; /* "" = all durable types */
    const struct syncer_events *events;
    void *ctx;
    struct rpc_stream *stream;
    struct timer timer;
    struct syncer_versions versions;
    struct syncer_versions latest; /* of the picture that is being received */
    bool following;                /* Sync, else SyncLatest */
    bool cleared;                  /* on_clear has run for this picture */
    bool synced;
    bool connected;
    bool closed;
    unsigned attempts;
    uint64_t fresh_at;
};

static void open_stream(struct syncer *s);

/* --- what happened --- */

static void clear(struct syncer *s)
{
    if (s->cleared)
        return;
    s->cleared = true;
    s->synced = false;
    s->versions = (struct syncer_versions){0};
    s->events->on_clear(s->ctx);
}

static void report_record(struct syncer *s, const Databroker__Record *r)
{
    struct record record = record_of(r);
    s->events->on_record(s->ctx, &record);
}

static void report_synced(struct syncer *s)
{
    s->synced = true;
    if (s->events->on_synced)
        s->events->on_synced(s->ctx);
}

static void set_connected(struct syncer *s, bool connected, const char *text)
{
    if (s->connected == connected)
        return;
    s->connected = connected;
    if (s->events->on_state)
        s->events->on_state(s->ctx, connected, text);
}

/* --- attempts --- */

static void on_timer(void *ctx)
{
    open_stream(ctx);
}

/* 100 ms, 200 ms … 10 s, half of it by chance, so that replicas do not come at once. */
static void retry(struct syncer *s)
{
    uint64_t wait = BACKOFF_FIRST_MS;
    for (unsigned i = 0; i < s->attempts && wait < BACKOFF_MAX_MS; i++)
        wait *= 2;
    if (wait > BACKOFF_MAX_MS)
        wait = BACKOFF_MAX_MS;
    s->attempts++;
    uint64_t seed[] = {loop_clock_ms(), (uintptr_t)s, s->attempts};
    timer_after(&s->timer, wait / 2 + map_hash(view_of(seed, sizeof(seed))) % (wait / 2 + 1));
}

static void on_open(void *ctx)
{
    struct syncer *s = ctx;
    set_connected(s, true, "");
}

static void lost(struct syncer *s, const char *text)
{
    if (s->following && s->connected)
        s->fresh_at = loop_clock_ms();
    set_connected(s, false, text);
    if (!s->closed)
        retry(s);
}

/* --- the complete picture --- */

static void on_latest(void *ctx, const ProtobufCMessage *message)
{
    struct syncer *s = ctx;
    const Databroker__SyncLatestResponse *m = (const Databroker__SyncLatestResponse *)message;
    clear(s);
    if (s->closed)
        return;
    if (m->response_case == DATABROKER__SYNC_LATEST_RESPONSE__RESPONSE_RECORD)
        report_record(s, m->record);
    else if (m->response_case == DATABROKER__SYNC_LATEST_RESPONSE__RESPONSE_VERSIONS)
        s->latest = (struct syncer_versions){m->versions->server_version,
                                             m->versions->latest_record_version};
}

static void on_latest_end(void *ctx, enum rpc_status status, const char *text)
{
    struct syncer *s = ctx;
    s->stream = NULL;
    if (status != RPC_OK || !s->latest.server_version) {
        lost(s, text);
        return;
    }
    s->versions = s->latest;
    s->following = true;
    s->attempts = 0;
    report_synced(s);
    if (!s->closed)
        open_stream(s);
}

static const struct rpc_stream_events latest_events = {
    .on_open = on_open, .on_message = on_latest, .on_end = on_latest_end};

static void open_latest(struct syncer *s)
{
    s->cleared = false;
    s->latest = (struct syncer_versions){0};
    s->stream = rpc_stream_open(
        s->channel,
        (struct rpc_method_name){&databroker__data_broker_service__descriptor, "SyncLatest"},
        &latest_events, s);
    Databroker__SyncLatestRequest request = DATABROKER__SYNC_LATEST_REQUEST__INIT;
    request.type = s->type;
    IGNORE(rpc_stream_send(s->stream, &request.base), "the end of the stream says why");
    rpc_stream_half_close(s->stream);
}

/* --- changes --- */

static void on_change(void *ctx, const ProtobufCMessage *message)
{
    struct syncer *s = ctx;
    const Databroker__SyncResponse *m = (const Databroker__SyncResponse *)message;
    s->attempts = 0;
    if (m->response_case == DATABROKER__SYNC_RESPONSE__RESPONSE_RECORD) {
        if (m->record->version > s->versions.record_version)
            s->versions.record_version = m->record->version;
        report_record(s, m->record);
    } else if (m->response_case == DATABROKER__SYNC_RESPONSE__RESPONSE_VERSIONS) {
        if (m->versions->latest_record_version > s->versions.record_version)
            s->versions.record_version = m->versions->latest_record_version;
        report_synced(s);
    }
}

static void on_change_end(void *ctx, enum rpc_status status, const char *text)
{
    struct syncer *s = ctx;
    s->stream = NULL;
    lost(s, text);
    /* Another history, or one that has forgotten what we would need. */
    if (status == RPC_ABORTED)
        s->following = false;
}

static const struct rpc_stream_events change_events = {
    .on_open = on_open, .on_message = on_change, .on_end = on_change_end};

static void open_changes(struct syncer *s)
{
    s->stream = rpc_stream_open(
        s->channel, (struct rpc_method_name){&databroker__data_broker_service__descriptor, "Sync"},
        &change_events, s);
    Databroker__SyncRequest request = DATABROKER__SYNC_REQUEST__INIT;
    request.server_version = s->versions.server_version;
    request.record_version = s->versions.record_version;
    request.type = s->type;
    IGNORE(rpc_stream_send(s->stream, &request.base), "the end of the stream says why");
    rpc_stream_half_close(s->stream);
}

static void open_stream(struct syncer *s)
{
    if (s->following)
        open_changes(s);
    else
        open_latest(s);
}

/* --- the owner's side --- */

struct syncer *syncer_open(struct rpc_channel *channel, struct loop *loop, const char *type,
                           const struct syncer_events *events, void *ctx)
{
    struct syncer *s = mem_zalloc(sizeof(*s));
    *s = (struct syncer){.channel = channel,
                         .loop = loop,
                         .type = mem_strdup(type),
                         .events = events,
                         .ctx = ctx,
                         .fresh_at = loop_clock_ms()};
    timer_init(&s->timer, loop, on_timer, s);
    open_stream(s);
    return s;
}

static void syncer_free(void *ctx)
{
    struct syncer *s = ctx;
    mem_free(s->type);
    mem_free(s);
}

void syncer_restart(struct syncer *s)
{
    /* A whole picture takes its time. */
    if (s->stream && !s->following)
        return;
    if (s->stream) {
        rpc_stream_close(s->stream);
        s->stream = NULL;
        set_connected(s, false, "nothing comes");
    }
    s->attempts = 0;
    timer_after(&s->timer, 0);
}

/* Freed later: this may be inside one of its own callbacks. */
void syncer_close(struct syncer *s)
{
    if (!s)
        return;
    s->closed = true;
    timer_fini(&s->timer);
    rpc_stream_close(s->stream);
    s->stream = NULL;
    loop_post(s->loop, syncer_free, s);
}

struct syncer_versions syncer_versions(const struct syncer *s)
{
    return s->versions;
}

bool syncer_is_synced(const struct syncer *s)
{
    return s->synced;
}

bool syncer_is_connected(const struct syncer *s)
{
    return s->connected;
}

uint64_t syncer_fresh_at(const struct syncer *s)
{
    return s->synced && s->following && s->connected ? loop_clock_ms() : s->fresh_at;
}
