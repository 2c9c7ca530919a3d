/*
 * Sync and SyncLatest: each stream reads the changes page by page, one page in memory at a time,
 * and goes on when the client has taken it. A commit wakes those who have come to the end.
 */
#include "common/base/check.h"
#include "common/base/mem.h"
#include "databroker/access.h"
#include "databroker/broker.h"
#include "databroker/convert.h"
#include "databroker/store/types.h"

enum {
    PAGE_ROWS = 256,
    PAGE_BYTES = 1 << 20,
    VERSIONS_EVERY = 1000, /* versions that a stream of one type may lag behind unsaid */
};

struct watcher {
    struct engine_job job;
    struct broker *broker;
    struct rpc_call *call; /* NULL once it is over */
    struct watcher *prev, *next;
    char *type;    /* NULL: all durable types */
    bool memory;   /* which history */
    bool latest;   /* SyncLatest, else Sync */
    bool wait;     /* go on with what is to come */
    bool reading;  /* the job is under way */
    bool dirty;    /* there was a commit since the last read began */
    bool opened;   /* the first page has come */
    bool sent_any; /* rows since the last versions */
    uint64_t server_version;
    uint64_t cursor;
    uint64_t told;          /* the versions that the client knows of */
    uint64_t start_version; /* of the first page */
    enum err err;
    struct record_page page;
    size_t next_row;
    struct record_page options; /* one row per type, fields in data */
};

/* --- reading --- */

static void read_options(struct watcher *w, struct history *h)
{
    const struct type_row *row;
    for (size_t i = 0; (row = type_at(i)); i++)
        if (w->type ? strcmp(w->type, row->type) == 0 : !row->memory) {
            struct history_options o;
            if (h->ops->get_options(h, row->type, &o) != OK)
                return;
            struct record_row r = {.type = row->type,
                                   .id = "",
                                   .version = o.capacity,
                                   .modified_ms = o.ttl_ms,
                                   .data = view_str(o.fields)};
            record_page_add(&w->options, &r);
            mem_free(o.fields);
        }
}

static void run_read(struct engine_job *job, struct store *store)
{
    struct watcher *w = CONTAINER_OF(job, struct watcher, job);
    struct history *h = w->memory ? store_memory(store) : store_history(store, NULL);
    if (!w->opened)
        read_options(w, h);
    struct history_changes c = {.type = w->type,
                                .after = w->cursor,
                                .alive = w->latest,
                                .count_max = PAGE_ROWS,
                                .bytes_max = PAGE_BYTES};
    w->err = h->ops->changes(h, &c, &w->page);
}

static void step(struct watcher *w);

static void start_read(struct watcher *w)
{
    if (w->reading)
        return;
    record_page_fini(&w->page);
    w->next_row = 0;
    w->dirty = false;
    w->reading = true;
    enum err e = engine_read(w->broker->engine, &w->job);
    if (e != OK) {
        w->reading = false;
        rpc_fail(w->call, e);
    }
}

static void watcher_free(struct watcher *w)
{
    if (w->call || w->reading)
        return;
    record_page_fini(&w->page);
    record_page_fini(&w->options);
    mem_free(w->type);
    mem_free(w);
}

/* --- sending: false = not now, on_writable comes, or the call is over --- */

static bool send_response(struct watcher *w, const ProtobufCMessage *message)
{
    return rpc_send(w->call, message) == OK;
}

static bool send_record(struct watcher *w, const struct record_row *row)
{
    struct convert_record record;
    if (!access_allows(rpc_call_peer(w->call)->caller, row->type, ACCESS_READ))
        return true;
    convert_row(row, &record);
    bool sent;
    if (w->latest) {
        Databroker__SyncLatestResponse r = DATABROKER__SYNC_LATEST_RESPONSE__INIT;
        r.response_case = DATABROKER__SYNC_LATEST_RESPONSE__RESPONSE_RECORD;
        r.record = &record.record;
        sent = send_response(w, &r.base);
    } else {
        Databroker__SyncResponse r = DATABROKER__SYNC_RESPONSE__INIT;
        r.response_case = DATABROKER__SYNC_RESPONSE__RESPONSE_RECORD;
        r.record = &record.record;
        sent = send_response(w, &r.base);
    }
    w->sent_any |= sent;
    return sent;
}

static bool send_versions(struct watcher *w, uint64_t version)
{
    Databroker__Versions v = DATABROKER__VERSIONS__INIT;
    v.server_version = w->server_version;
    v.latest_record_version = version;
    if (w->latest) {
        Databroker__SyncLatestResponse r = DATABROKER__SYNC_LATEST_RESPONSE__INIT;
        r.response_case = DATABROKER__SYNC_LATEST_RESPONSE__RESPONSE_VERSIONS;
        r.versions = &v;
        return send_response(w, &r.base);
    }
    Databroker__SyncResponse r = DATABROKER__SYNC_RESPONSE__INIT;
    r.response_case = DATABROKER__SYNC_RESPONSE__RESPONSE_VERSIONS;
    r.versions = &v;
    return send_response(w, &r.base);
}

/* The queue of a new stream takes these few. */
static void send_options(struct watcher *w)
{
    for (size_t i = 0; i < w->options.count; i++) {
        const struct record_row *row = &w->options.items[i];
        AUTO_FREE char *fields = mem_strndup(row->data.ptr, row->data.len);
        struct history_options o = {
            .capacity = row->version, .ttl_ms = row->modified_ms, .fields = fields};
        struct convert_options options;
        convert_options(&o, &options);
        Databroker__TypedOptions typed = DATABROKER__TYPED_OPTIONS__INIT;
        typed.typeurl = (char *)(uintptr_t)row->type;
        typed.options = &options.options;
        if (w->latest) {
            Databroker__SyncLatestResponse r = DATABROKER__SYNC_LATEST_RESPONSE__INIT;
            r.response_case = DATABROKER__SYNC_LATEST_RESPONSE__RESPONSE_OPTIONS;
            r.options = &typed;
            send_response(w, &r.base);
        } else {
            Databroker__SyncResponse r = DATABROKER__SYNC_RESPONSE__INIT;
            r.response_case = DATABROKER__SYNC_RESPONSE__RESPONSE_OPTIONS;
            r.options = &typed;
            send_response(w, &r.base);
        }
        convert_options_fini(&options);
    }
    record_page_fini(&w->options);
}

/* Everything there is has been sent. */
static void at_end(struct watcher *w)
{
    if (w->latest) {
        /* What changed while the pages were read comes again by Sync from there. */
        if (send_versions(w, w->start_version))
            rpc_finish(w->call, RPC_OK, NULL);
        return;
    }
    bool tell = w->sent_any || !w->type || w->cursor - w->told >= VERSIONS_EVERY;
    if (w->cursor != w->told && tell) {
        if (!send_versions(w, w->cursor))
            return;
        w->told = w->cursor;
        w->sent_any = false;
    }
    if (!w->wait)
        rpc_finish(w->call, RPC_OK, NULL);
    else if (w->dirty)
        start_read(w);
}

static void step(struct watcher *w)
{
    if (!w->call || w->reading)
        return;
    while (w->next_row < w->page.count) {
        if (!send_record(w, &w->page.items[w->next_row]))
            return;
        w->next_row++;
    }
    if (w->page.more)
        start_read(w);
    else
        at_end(w);
}

/* False after it has ended the stream. */
static bool check_page(struct watcher *w)
{
    const char *aborted = NULL;
    if (w->err == ERR_MISMATCH)
        aborted = "invalid record version";
    bool known = w->opened || w->latest || w->server_version == w->page.server_version;
    if (!known && (w->err == OK || w->err == ERR_MISMATCH))
        aborted = "invalid server version";
    if (aborted)
        rpc_finish(w->call, RPC_ABORTED, aborted);
    else if (w->err != OK)
        rpc_fail(w->call, w->err);
    return w->err == OK && !aborted;
}

static void done_read(struct engine_job *job)
{
    struct watcher *w = CONTAINER_OF(job, struct watcher, job);
    w->reading = false;
    if (!w->call) {
        watcher_free(w);
        return;
    }
    if (!check_page(w)) {
        record_page_fini(&w->page);
        return;
    }
    if (!w->opened) {
        w->opened = true;
        w->server_version = w->page.server_version;
        w->start_version = w->page.record_version;
        send_options(w);
    }
    w->cursor = w->page.cursor;
    step(w);
}

/* --- the calls --- */

static void open_watcher(struct rpc_call *call, struct broker *b, const char *type,
                         struct watcher init)
{
    broker_audit(call, type[0] ? type : NULL, NULL);
    if (type[0] && !type_is_valid(type)) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "not a record type");
        return;
    }
    if (type[0] && !broker_allow(call, type, ACCESS_READ))
        return;
    if (b->ending || b->watcher_count >= BROKER_WATCHERS_MAX) {
        rpc_fail(call, b->ending ? ERR_UNAVAILABLE : ERR_LIMIT);
        return;
    }
    struct watcher *w = mem_zalloc(sizeof(*w));
    *w = init;
    w->job = (struct engine_job){.run = run_read, .done = done_read};
    w->broker = b;
    w->call = call;
    w->type = type[0] ? mem_strdup(type) : NULL;
    w->memory = type[0] && store_history(engine_store(b->engine), type) ==
                               store_memory(engine_store(b->engine));
    w->next = b->watchers;
    if (w->next)
        w->next->prev = w;
    b->watchers = w;
    b->watcher_count++;
    rpc_call_set_data(call, w);
    start_read(w);
}

void watch_sync(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__SyncRequest *r = (const Databroker__SyncRequest *)message;
    bool wait = r->wait_set_case != DATABROKER__SYNC_REQUEST__WAIT_SET_WAIT || r->wait;
    open_watcher(call, ctx, r->type,
                 (struct watcher){.server_version = r->server_version,
                                  .cursor = r->record_version,
                                  .told = r->record_version,
                                  .wait = wait});
}

void watch_sync_latest(struct rpc_call *call, const ProtobufCMessage *message, void *ctx)
{
    const Databroker__SyncLatestRequest *r = (const Databroker__SyncLatestRequest *)message;
    open_watcher(call, ctx, r->type, (struct watcher){.latest = true});
}

void watch_on_writable(struct rpc_call *call, void *ctx)
{
    (void)ctx;
    struct watcher *w = rpc_call_data(call);
    if (w)
        step(w);
}

void watch_on_end(struct rpc_call *call, bool cancelled, void *ctx)
{
    (void)cancelled;
    struct broker *b = ctx;
    struct watcher *w = rpc_call_data(call);
    if (!w)
        return;
    if (w->prev)
        w->prev->next = w->next;
    else
        b->watchers = w->next;
    if (w->next)
        w->next->prev = w->prev;
    b->watcher_count--;
    w->call = NULL;
    watcher_free(w);
}

void watch_wake(struct broker *b, struct store_changed changed)
{
    for (struct watcher *w = b->watchers; w; w = w->next) {
        if (w->memory ? !changed.memory : !changed.durable)
            continue;
        w->dirty = true;
        if (w->opened && w->wait)
            step(w);
    }
}

void watch_end_all(struct broker *b)
{
    b->ending = true;
    for (struct watcher *w = b->watchers; w; w = w->next)
        rpc_finish(w->call, RPC_UNAVAILABLE, "the databroker is shutting down");
}
