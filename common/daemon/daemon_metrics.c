/* What every daemon shows on /metrics. */
#include "common/base/mem.h"
#include "common/daemon/daemon_state.h"
#include "common/daemon/log.h"
#include "common/daemon/process_stats.h"

enum { CHECKSUM_DIGITS = 12 };

/* A number of the hash that a double holds exactly. */
static int64_t checksum(const char *hash)
{
    int64_t v = 0;
    for (size_t i = 0; i < CHECKSUM_DIGITS && hash[i]; i++)
        v = v * 16 + (hash[i] <= '9' ? hash[i] - '0' : hash[i] - 'a' + 10);
    return v;
}

static void on_check(void *ctx, const char *name, bool ok)
{
    (void)ctx;
    metrics_set(METRIC_HEALTH, ok, name);
}

static bool collect(void *ctx)
{
    struct daemon *d = ctx;
    struct process_stats s = process_stats_read();
    metrics_set(METRIC_CPU, (int64_t)s.cpu_us);
    metrics_set(METRIC_MEMORY, (int64_t)s.memory);
    metrics_set(METRIC_FDS, (int64_t)s.fds);
    metrics_set(METRIC_FDS_MAX, (int64_t)s.fds_max);
    metrics_set(METRIC_STARTED, (int64_t)s.started_ms);
    metrics_set(METRIC_CONFIG_CHECKSUM, checksum(d->config->hash));
    metrics_set(METRIC_LOG_DROPPED, (int64_t)log_dropped());
    metrics_set(METRIC_READY, health_is_ready(d->health));
    health_each(d->health, on_check, NULL);
    return d->spec->collect ? d->spec->collect(d->spec->ctx) : true;
}

static void merge(void *ctx, struct metrics_cells *cells)
{
    struct daemon *d = ctx;
    if (d->spec->merge_metrics)
        d->spec->merge_metrics(d->spec->ctx, cells);
}

void daemon_collected(struct daemon *d)
{
    metrics_http_collected(d->metrics);
}

enum err daemon_open_metrics(struct daemon *d, struct diag *diag)
{
    const struct config *c = d->config;
    const struct metrics_http_spec spec = {.loop = &d->loop,
                                           .service = d->spec->service,
                                           .version = daemon_version(),
                                           .collect = collect,
                                           .merge = merge,
                                           .ctx = d};
    AUTO_FREE char *why = NULL;
    if (!*c->metrics_address)
        return OK;
    enum err e = metrics_http_open(&spec, c->metrics_address, &d->metrics, &why);
    if (e == OK)
        log_info("metrics are served", LOG_STR("address", c->metrics_address));
    else
        diag_error(diag, c->metrics_address_at, "metrics_address",
                   "%s: %s; daemons on one host need an address each: metrics_address: {proxy: "
                   "\"127.0.0.1:9902\", authorize: \"127.0.0.1:9903\"}",
                   c->metrics_address, why ? why : err_text(e));
    return e;
}
