#include "databroker/measure.h"

#include <sys/stat.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "databroker/daemon.h"
#include "databroker/store/types.h"

static const char *const types[] = {
    "session.Session",    "session.SessionBinding", "session.IdentityBinding",
    "user.User",          "postern.SealedTokens",   "postern.HostKey",
    "postern.Connection", "postern.CutRequest",     "session.SessionBindingRequest",
    "postern.Instance",   "postern.ProbeRequest",
};

/* The records are counted on the reader's thread. */
struct count_job {
    struct engine_job base;
    struct daemon *daemon;
};

static void run_count(struct engine_job *job, struct store *store)
{
    (void)job;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        AUTO_FREE char *type = mem_printf("%s%s", TYPE_URL, types[i]);
        struct history *h = store_history(store, type);
        uint64_t count;
        if (h->ops->count(h, type, &count) == OK)
            metrics_set(METRIC_RECORDS, (int64_t)count, strchr(types[i], '.') + 1);
    }
}

static void done_count(struct engine_job *job)
{
    struct count_job *c = CONTAINER_OF(job, struct count_job, base);
    daemon_collected(c->daemon);
    mem_free(c);
}

static void measure_file(const char *dir, const char *suffix, const char *label)
{
    struct stat s;
    AUTO_FREE char *path = mem_printf("%s/databroker.sqlite3%s", dir, suffix);
    metrics_set(METRIC_STORAGE_FILE, stat(path, &s) == 0 ? s.st_size : 0, label);
}

bool measure_collect(void *ctx)
{
    struct databroker *d = ctx;
    const char *dir = d->config->databroker_storage_dir;
    if (!d->broker.engine)
        return true;
    engine_measure(d->broker.engine);
    metrics_set(METRIC_WATCHERS, (int64_t)d->broker.watcher_count);
    metrics_set(METRIC_LEASES, (int64_t)lease_count(&d->broker.leases, loop_clock_ms()));
    if (dir) {
        measure_file(dir, "", "database");
        measure_file(dir, "-wal", "wal");
    }
    struct count_job *c = mem_zalloc(sizeof *c);
    *c = (struct count_job){.base = {.run = run_count, .done = done_count}, .daemon = d->daemon};
    if (engine_read(d->broker.engine, &c->base) == OK)
        return false;
    mem_free(c);
    return true;
}
