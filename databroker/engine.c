#include "databroker/engine.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/metrics.h"
#include "common/io/timer.h"

enum {
    EXPIRE_MS = 1000,
    DURABLE_EVERY = 60,              /* of these: look at the file as well, forget deletions */
    KEEP_DELETIONS_MS = 3600 * 1000, /* how long a follower may be away */
    GROUP_MAX = 1000,
};

struct queue {
    struct engine_job *first;
    struct engine_job *last;
    size_t count;
};

struct worker {
    struct engine *engine;
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t wake;
    struct queue queue;
    bool stopping;
};

struct engine {
    struct engine_config config;
    struct worker writer;
    struct worker reader;
    uv_mutex_t lock; /* guards `finished` and what is told to the loop */
    struct queue finished;
    struct store_changed changed;
    enum err storage;
    bool posted;
    /* Loop only. */
    enum err told_storage;
    size_t puts;
    size_t put_bytes;
    size_t reads;
    struct timer timer;
    unsigned ticks;
    bool ticking; /* a maintenance job is on its way */
    bool closing;
    loop_fn closed;
    void *closed_ctx;
};

static void queue_push(struct queue *q, struct engine_job *job)
{
    job->next = NULL;
    if (q->last)
        q->last->next = job;
    else
        q->first = job;
    q->last = job;
    q->count++;
}

static struct engine_job *queue_pop(struct queue *q)
{
    struct engine_job *job = q->first;
    if (!job)
        return NULL;
    q->first = job->next;
    if (!q->first)
        q->last = NULL;
    q->count--;
    return job;
}

static void worker_push(struct worker *w, struct engine_job *job)
{
    uv_mutex_lock(&w->lock);
    queue_push(&w->queue, job);
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
}

/* Everything that waits; empty only when the worker is to end. */
static struct queue worker_drain(struct worker *w)
{
    uv_mutex_lock(&w->lock);
    while (!w->queue.first && !w->stopping)
        uv_cond_wait(&w->wake, &w->lock);
    struct queue q = w->queue;
    w->queue = (struct queue){0};
    uv_mutex_unlock(&w->lock);
    return q;
}

/* --- back to the loop --- */

static size_t put_bytes(struct engine_job *job)
{
    return CONTAINER_OF(job, struct engine_put, base)->rows.bytes;
}

static void uncount(struct engine *e, struct engine_job *job)
{
    e->reads -= job->kind == ENGINE_READ;
    if (job->kind != ENGINE_PUT)
        return;
    e->puts--;
    e->put_bytes -= put_bytes(job);
}

static void on_finished(void *ctx)
{
    struct engine *e = ctx;
    uv_mutex_lock(&e->lock);
    struct queue finished = e->finished;
    struct store_changed changed = e->changed;
    enum err storage = e->storage;
    e->finished = (struct queue){0};
    e->changed = (struct store_changed){0};
    e->posted = false;
    uv_mutex_unlock(&e->lock);
    struct engine_job *job;
    while ((job = queue_pop(&finished))) {
        uncount(e, job);
        job->done(job);
    }
    if (storage != e->told_storage) {
        e->told_storage = storage;
        e->config.on_storage(e->config.ctx, storage);
    }
    if (changed.durable || changed.memory)
        e->config.on_changed(e->config.ctx, changed);
}

static void post_locked(struct engine *e)
{
    if (e->posted)
        return;
    e->posted = true;
    loop_post(e->config.loop, on_finished, e);
}

static void finish(struct engine *e, struct engine_job *job)
{
    uv_mutex_lock(&e->lock);
    queue_push(&e->finished, job);
    post_locked(e);
    uv_mutex_unlock(&e->lock);
}

/* --- the writer --- */

static void note_storage(struct engine *e, enum err storage)
{
    uv_mutex_lock(&e->lock);
    struct store_changed changed = store_changed(e->config.store);
    e->changed.durable |= changed.durable;
    e->changed.memory |= changed.memory;
    /* What stayed in memory says nothing about the file. */
    if (storage != OK || changed.durable)
        e->storage = storage;
    post_locked(e);
    uv_mutex_unlock(&e->lock);
}

static void run_group(struct engine *e, struct queue *group)
{
    struct store_put *puts[GROUP_MAX];
    size_t count = 0;
    for (struct engine_job *job = group->first; job; job = job->next)
        puts[count++] = &CONTAINER_OF(job, struct engine_put, base)->put;
    if (count == 0)
        return;
    uint64_t began = metrics_clock_us();
    enum err storage = store_put_all(e->config.store, puts, count, loop_wall_ms());
    metrics_observe(METRIC_COMMIT_DURATION, metrics_clock_us() - began);
    metrics_observe(METRIC_GROUP_SIZE, count);
    metrics_add(METRIC_COMMITS, 1, storage == OK ? "committed" : "failed");
    /* A full file may fail single requests. */
    for (size_t i = 0; i < count && storage == OK; i++)
        if (puts[i]->err != OK && err_class(puts[i]->err) == ERR_CLASS_LOCAL)
            storage = puts[i]->err;
    struct engine_job *job;
    while ((job = queue_pop(group)))
        finish(e, job);
    note_storage(e, storage);
}

static void write_jobs(struct engine *e, struct queue *jobs)
{
    struct queue group = {0};
    struct engine_job *job;
    while ((job = queue_pop(jobs))) {
        if (job->kind == ENGINE_PUT && group.count < GROUP_MAX) {
            queue_push(&group, job);
            continue;
        }
        run_group(e, &group);
        if (job->kind == ENGINE_PUT) {
            queue_push(&group, job);
            continue;
        }
        job->run(job, e->config.store);
        finish(e, job);
    }
    run_group(e, &group);
    IGNORE(store_checkpoint(e->config.store), "the log grows until the next one works");
}

static void write_until_stopped(void *ctx)
{
    struct worker *w = ctx;
    for (;;) {
        struct queue jobs = worker_drain(w);
        if (!jobs.first)
            return;
        write_jobs(w->engine, &jobs);
    }
}

/* --- the reader --- */

static void read_until_stopped(void *ctx)
{
    struct worker *w = ctx;
    for (;;) {
        struct queue jobs = worker_drain(w);
        if (!jobs.first)
            return;
        struct engine_job *job;
        while ((job = queue_pop(&jobs))) {
            job->run(job, w->engine->config.store);
            finish(w->engine, job);
        }
    }
}

/* --- maintenance --- */

struct maintain {
    struct engine_job base;
    struct engine *engine;
    bool durable;
};

static void run_maintain(struct engine_job *job, struct store *store)
{
    struct maintain *m = CONTAINER_OF(job, struct maintain, base);
    uint64_t now = loop_wall_ms();
    enum err storage = store_expire(store, m->durable, now);
    if (storage == OK && m->durable)
        storage = store_trim(store, now - KEEP_DELETIONS_MS);
    struct store_changed changed = store_changed(store);
    if (changed.durable || changed.memory || storage != OK)
        note_storage(m->engine, storage);
}

static void done_maintain(struct engine_job *job)
{
    struct maintain *m = CONTAINER_OF(job, struct maintain, base);
    m->engine->ticking = false;
    mem_free(m);
}

static void on_tick(void *ctx)
{
    struct engine *e = ctx;
    timer_after(&e->timer, EXPIRE_MS);
    if (e->ticking)
        return;
    e->ticking = true;
    struct maintain *m = mem_zalloc(sizeof(*m));
    *m = (struct maintain){.base = {.run = run_maintain, .done = done_maintain},
                           .engine = e,
                           .durable = e->ticks++ % DURABLE_EVERY == 0};
    worker_push(&e->writer, &m->base);
}

/* --- opening and closing --- */

static void worker_start(struct worker *w, struct engine *e, uv_thread_cb run)
{
    w->engine = e;
    CHECK(uv_mutex_init(&w->lock) == 0 && uv_cond_init(&w->wake) == 0);
    CHECK(uv_thread_create(&w->thread, run, w) == 0);
}

static void worker_stop(struct worker *w)
{
    uv_mutex_lock(&w->lock);
    w->stopping = true;
    uv_cond_signal(&w->wake);
    uv_mutex_unlock(&w->lock);
    uv_thread_join(&w->thread);
    uv_cond_destroy(&w->wake);
    uv_mutex_destroy(&w->lock);
}

struct engine *engine_open(const struct engine_config *config)
{
    struct engine *e = mem_zalloc(sizeof(*e));
    e->config = *config;
    CHECK(uv_mutex_init(&e->lock) == 0);
    worker_start(&e->writer, e, write_until_stopped);
    worker_start(&e->reader, e, read_until_stopped);
    timer_init(&e->timer, config->loop, on_tick, e);
    timer_after(&e->timer, EXPIRE_MS);
    return e;
}

static void on_closed(void *ctx)
{
    struct engine *e = ctx;
    loop_fn closed = e->closed;
    void *closed_ctx = e->closed_ctx;
    uv_mutex_destroy(&e->lock);
    mem_free(e);
    closed(closed_ctx);
}

/* Joining waits for at most what is queued, which is bounded. */
void engine_close(struct engine *e, loop_fn closed, void *ctx)
{
    CHECK(!e->closing);
    e->closing = true;
    e->closed = closed;
    e->closed_ctx = ctx;
    timer_fini(&e->timer);
    worker_stop(&e->reader);
    worker_stop(&e->writer);
    store_close(e->config.store);
    e->config.store = NULL;
    /* After the answers that the threads have posted. */
    loop_post(e->config.loop, on_closed, e);
}

struct store *engine_store(struct engine *e)
{
    return e->config.store;
}

/* --- work --- */

enum err engine_put(struct engine *e, struct engine_put *put)
{
    if (e->closing)
        return ERR_UNAVAILABLE;
    if (e->puts >= ENGINE_PUTS_MAX || e->put_bytes + put->rows.bytes > ENGINE_BYTES_MAX)
        return ERR_BUSY;
    put->base.kind = ENGINE_PUT;
    e->puts++;
    e->put_bytes += put->rows.bytes;
    worker_push(&e->writer, &put->base);
    return OK;
}

enum err engine_read(struct engine *e, struct engine_job *job)
{
    if (e->closing)
        return ERR_UNAVAILABLE;
    if (e->reads >= ENGINE_READS_MAX)
        return ERR_BUSY;
    job->kind = ENGINE_READ;
    e->reads++;
    worker_push(&e->reader, job);
    return OK;
}

void engine_measure(const struct engine *e)
{
    metrics_set(METRIC_STORAGE_QUEUE, (int64_t)e->puts, "write");
    metrics_set(METRIC_STORAGE_QUEUE, (int64_t)e->reads, "read");
    metrics_set(METRIC_STORAGE_QUEUE_BYTES, (int64_t)e->put_bytes);
}

void engine_write(struct engine *e, struct engine_job *job)
{
    CHECK(!e->closing);
    job->kind = ENGINE_WORK;
    worker_push(&e->writer, job);
}
