#include "common/rpc/instance.h"

#include <unistd.h>

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/io/timer.h"
#include "common/rpc/syncer.h"
#include "proto/postern/records.pb-c.h"

enum { HOST_MAX = 256, WRITES_MAX = 8 /* Puts at a time */ };

struct kept {
    char *id;
    struct instance now; /* its texts are ours */
    bool listed;
    bool dirty;
    bool writing;
    bool is_present;  /* as far as the copy says */
    uint64_t version; /* of the record that we wrote last; 0 = none */
    uint64_t written_at;
};

struct instances {
    struct loop *loop;
    struct records records;
    char *self;
    instances_list_fn list;
    void *ctx;
    struct timer timer;
    struct syncer *syncer;
    struct map kept; /* by id */
    struct write *writes;
    unsigned write_count;
    bool ended;
    loop_fn on_ended; /* NULL: has been called, or nobody waits */
    void *ended_ctx;
};

/* A Put under way. */
struct write {
    struct write *next;
    struct instances *writer;
    char *id;
    uint64_t call;
    bool deletes;
};

/* --- the record --- */

static char *text(const char *s)
{
    return (char *)(uintptr_t)(s ? s : "");
}

static void host_name(char out[HOST_MAX])
{
    if (gethostname(out, HOST_MAX) != 0)
        out[0] = 0;
    out[HOST_MAX - 1] = 0;
}

struct parts {
    Postern__Instance message;
    Google__Protobuf__Timestamp started;
    char host[HOST_MAX];
};

static void fill(struct parts *p, const struct instance *i, const char *writer)
{
    postern__instance__init(&p->message);
    google__protobuf__timestamp__init(&p->started);
    host_name(p->host);
    p->started.seconds = (int64_t)(i->started_ms / 1000);
    p->started.nanos = (int32_t)(i->started_ms % 1000) * 1000000;
    p->message.service = text(i->service);
    p->message.build = text(i->build);
    p->message.config_hash = text(i->config_hash);
    p->message.host = i->host && *i->host ? text(i->host) : p->host;
    p->message.started_at = &p->started;
    p->message.address = text(i->address);
    p->message.connections = i->connections;
    p->message.problem = text(i->problem);
    p->message.writer = text(writer);
}

enum err instance_pack(const struct instance *i, const char *writer, struct buf *out)
{
    struct parts p;
    uint8_t *at;
    fill(&p, i, writer);
    size_t len = postern__instance__get_packed_size(&p.message);
    if (len > INSTANCE_PACKED_MAX)
        return ERR_LIMIT;
    TRY(buf_reserve(out, len, &at));
    buf_commit(out, postern__instance__pack(&p.message, at));
    return OK;
}

char *instance_type(void)
{
    return record_type(&postern__instance__descriptor);
}

static bool same(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

bool instance_is_same(const struct instance *a, const struct instance *b)
{
    return same(a->service, b->service) && same(a->build, b->build) &&
           same(a->config_hash, b->config_hash) && same(a->host, b->host) &&
           same(a->address, b->address) && same(a->problem, b->problem) &&
           a->started_ms == b->started_ms;
}

/* --- what is kept --- */

static void free_texts(struct instance *i)
{
    mem_free((void *)(uintptr_t)i->service);
    mem_free((void *)(uintptr_t)i->build);
    mem_free((void *)(uintptr_t)i->config_hash);
    mem_free((void *)(uintptr_t)i->host);
    mem_free((void *)(uintptr_t)i->address);
    mem_free((void *)(uintptr_t)i->problem);
}

static void forget(struct instances *w, struct kept *k)
{
    map_remove(&w->kept, view_str(k->id));
    free_texts(&k->now);
    mem_free(k->id);
    mem_free(k);
}

static char *copy(const char *s)
{
    return mem_strndup(s ? s : "", s ? strnlen(s, INSTANCE_TEXT_MAX) : 0);
}

void instances_add(struct instances *w, const struct instance *i)
{
    struct kept *k = map_get(&w->kept, view_str(i->id));
    if (!k && map_count(&w->kept) >= INSTANCES_MAX)
        return;
    if (!k) {
        k = mem_zalloc(sizeof *k);
        k->id = mem_strdup(i->id);
        map_put(&w->kept, view_str(k->id), k);
        k->dirty = true;
    }
    k->listed = true;
    k->dirty = k->dirty || !instance_is_same(&k->now, i);
    free_texts(&k->now);
    k->now = (struct instance){
        .id = k->id,
        .service = copy(i->service),
        .build = copy(i->build),
        .config_hash = copy(i->config_hash),
        .host = copy(i->host),
        .address = copy(i->address),
        .problem = copy(i->problem),
        .started_ms = i->started_ms,
        .connections = i->connections,
    };
}

/* --- writing --- */

static void free_write(struct write *p)
{
    struct write **at = &p->writer->writes;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    p->writer->write_count--;
    mem_free(p->id);
    mem_free(p);
}

static void flush(struct instances *w, uint64_t now);

static void on_end(void *ctx)
{
    struct instances *w = ctx;
    loop_fn fn = w->on_ended;
    timer_clear(&w->timer);
    w->on_ended = NULL;
    if (fn)
        fn(w->ended_ctx);
}

/* One that nobody else writes: it is deleted whatever its version is. */
static bool is_own(const struct instances *w, const struct kept *k)
{
    return strcmp(k->id, w->self) == 0;
}

static void settle(struct instances *w, struct kept *k, const struct write *p, uint64_t version)
{
    k->writing = false;
    k->version = version;
    if (p->deletes && !k->listed)
        forget(w, k); /* one that could not be deleted ends by its TTL */
    else if (p->deletes || !version)
        k->dirty = true; /* again at the next tick */
}

static void on_written(void *ctx, enum err e, const char *why, const uint64_t *versions,
                       size_t count)
{
    struct write *p = ctx;
    struct instances *w = p->writer;
    struct kept *k = map_get(&w->kept, view_str(p->id));
    (void)why;
    if (k)
        settle(w, k, p, e == OK && count ? versions[0] : 0);
    free_write(p);
    if (!w->ended)
        return;
    /* What was being written when the end came is deleted too. */
    flush(w, loop_now_ms(w->loop));
    if (map_count(&w->kept) == 0)
        on_end(w);
}

static void put(struct instances *w, struct kept *k, const ProtobufCMessage *message)
{
    const struct record_write write = {&postern__instance__descriptor, k->id, message,
                                       message || is_own(w, k) ? RECORDS_ANY : k->version};
    struct write *p = mem_zalloc(sizeof *p);
    *p = (struct write){
        .next = w->writes, .writer = w, .id = mem_strdup(k->id), .deletes = !message};
    w->writes = p;
    w->write_count++;
    k->writing = true;
    p->call = records_put(&w->records, &write, 1, on_written, p);
}

static void write_kept(struct instances *w, struct kept *k, uint64_t now)
{
    struct parts parts;
    fill(&parts, &k->now, w->self);
    k->dirty = false;
    k->written_at = now;
    put(w, k, &parts.message.base);
}

static void flush(struct instances *w, uint64_t now)
{
    for (struct map_iter i = map_iter(&w->kept); map_next(&i) && w->write_count < WRITES_MAX;) {
        struct kept *k = i.value;
        if (k->writing)
            continue;
        if (k->listed && (k->dirty || now - k->written_at >= INSTANCE_REFRESH_MS))
            write_kept(w, k, now);
        else if (!k->listed && (k->version || is_own(w, k)))
            put(w, k, NULL);
        else if (!k->listed)
            forget(w, k);
    }
}

static void on_tick(void *ctx)
{
    struct instances *w = ctx;
    if (w->ended) {
        on_end(w);
        return;
    }
    timer_after(&w->timer, INSTANCE_TICK_MS);
    for (struct map_iter i = map_iter(&w->kept); map_next(&i);)
        ((struct kept *)i.value)->listed = false;
    w->list(w->ctx, w);
    flush(w, loop_now_ms(w->loop));
}

void instances_end(struct instances *w, loop_fn fn, void *ctx)
{
    w->ended = true;
    w->on_ended = fn;
    w->ended_ctx = ctx;
    for (struct map_iter i = map_iter(&w->kept); map_next(&i);)
        ((struct kept *)i.value)->listed = false;
    flush(w, loop_now_ms(w->loop));
    timer_after(&w->timer, map_count(&w->kept) ? INSTANCE_END_MS : 0);
}

/* --- what the databroker has --- */

static void on_clear(void *ctx)
{
    struct instances *w = ctx;
    for (struct map_iter i = map_iter(&w->kept); map_next(&i);)
        ((struct kept *)i.value)->is_present = false;
}

static void on_record(void *ctx, const struct record *r)
{
    struct instances *w = ctx;
    struct kept *k = map_get(&w->kept, view_str(r->id));
    if (!k)
        return;
    k->is_present = !r->deleted;
    /* By somebody who knew it too, and whom it has left for us. */
    if (r->deleted)
        k->dirty = true;
}

/* A record that is not there any more was lost with the databroker's memory, or had expired. */
static void on_synced(void *ctx)
{
    struct instances *w = ctx;
    for (struct map_iter i = map_iter(&w->kept); map_next(&i);) {
        struct kept *k = i.value;
        if (!k->is_present && !k->writing)
            k->dirty = true;
    }
}

static const struct syncer_events sync_events = {
    .on_clear = on_clear,
    .on_record = on_record,
    .on_synced = on_synced,
};

/* --- life --- */

struct instances *instances_open(struct loop *loop, const struct records *records, const char *self,
                                 instances_list_fn list, void *ctx)
{
    struct instances *w = mem_zalloc(sizeof *w);
    AUTO_FREE char *type = instance_type();
    *w = (struct instances){
        .loop = loop, .records = *records, .self = mem_strdup(self), .list = list, .ctx = ctx};
    timer_init(&w->timer, loop, on_tick, w);
    w->syncer = syncer_open(records->channel, loop, type, &sync_events, w);
    timer_after(&w->timer, 0);
    return w;
}

void instances_close(struct instances *w)
{
    if (!w)
        return;
    timer_fini(&w->timer);
    syncer_close(w->syncer);
    while (w->writes) {
        records_cancel(&w->records, w->writes->call);
        free_write(w->writes);
    }
    for (struct map_iter i = map_iter(&w->kept); map_next(&i);)
        forget(w, i.value);
    map_fini(&w->kept);
    mem_free(w->self);
    mem_free(w);
}
