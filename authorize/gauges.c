#include "authorize/gauges.h"

#include "authorize/connection.h"

enum { PHASES = CONNECTION_CUT + 1 };

static void set_connections(struct authorize *a)
{
    static const char *const names[PHASES] = {
        [CONNECTION_ASKING] = "asking", [CONNECTION_WAITING] = "waiting",
        [CONNECTION_HELD] = "held",     [CONNECTION_LIVE] = "live",
        [CONNECTION_CUT] = "cut",       [CONNECTION_CHECKING] = "checking",
    };
    int64_t counts[PHASES] = {0};
    for (struct map_iter i = live_iter(&a->live); map_next(&i);)
        counts[connection_of(i.value)->phase]++;
    for (size_t i = 0; i < PHASES; i++)
        metrics_set(METRIC_REGISTRATIONS, counts[i], names[i]);
}

static void set_sync(const struct authorize *a)
{
    uint64_t now = loop_clock_ms(), fresh = authorize_fresh_at(a);
    metrics_set(METRIC_SYNC_CONNECTED, syncer_is_connected(a->durable_sync));
    /* Before the first copy there is no age. */
    if (fresh)
        metrics_set(METRIC_SYNC_AGE, now > fresh ? (int64_t)(now - fresh) : 0);
    metrics_set(METRIC_SYNC_VERSION, (int64_t)syncer_versions(a->durable_sync).record_version);
}

bool gauges_collect(void *ctx)
{
    struct authorize *a = ctx;
    if (a->stopping)
        return true;
    int64_t workers = 0;
    size_t cursor = 0;
    for (const struct worker *w; (w = slots_next(&a->workers, &cursor));)
        workers += w->instance && !w->finished;
    metrics_set(METRIC_WORKERS, workers);
    metrics_set(METRIC_CERTIFICATES_QUEUE, a->signing);
    metrics_set(METRIC_SIGN_IN_CODES, (int64_t)map_count(&a->codes.by_text));
    metrics_set(METRIC_ROUTES, (int64_t)a->snapshot->route_count);
    set_connections(a);
    set_sync(a);
    return true;
}
