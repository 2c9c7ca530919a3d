/*
 * /metrics over plain HTTP on metrics_address. What has to be computed is computed when somebody
 * asks: `collect` sets gauges; when it needs another process for that it returns false and calls
 * metrics_http_collected later, or the page goes out without after a second.
 */
#ifndef COMMON_DAEMON_METRICS_HTTP_H
#define COMMON_DAEMON_METRICS_HTTP_H

#include "common/base/err.h"
#include "common/daemon/metrics.h"
#include "common/io/loop.h"

enum { METRICS_HTTP_WAIT_MS = 1000, METRICS_HTTP_WAITING_MAX = 16 };

struct metrics_http;

struct metrics_http_spec {
    struct loop *loop;
    enum config_service service;
    const char *version;
    bool (*collect)(void *ctx);
    /* Adds what another process counts; may be NULL. */
    void (*merge)(void *ctx, struct metrics_cells *cells);
    void *ctx;
};

/* ERR_CONFIG or ERR_IO with *out_why in fresh memory. */
enum err metrics_http_open(const struct metrics_http_spec *spec, const char *address,
                           struct metrics_http **out, char **out_why);

void metrics_http_collected(struct metrics_http *h);

/* `on_closed` when the handles are gone. NULL is fine: it is called at once. */
void metrics_http_close(struct metrics_http *h, loop_fn on_closed, void *ctx);

#endif
