/*
 * What a daemon is able to do, by named checks, and the HTTP endpoint that tells it:
 *
 *   /status    200, JSON: {"CHECK": {"status", "error", "attributes": {…}}, …}
 *   /startupz  200 once every required check has been running at the same time, else 503
 *   /readyz    200 while every required check is running without error, else 503
 *   /healthz   200 unless a required check has failed for good
 *
 * GET and HEAD only (405). Used on the loop thread.
 */
#ifndef COMMON_DAEMON_HEALTH_H
#define COMMON_DAEMON_HEALTH_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/io/loop.h"

enum health_state {
    HEALTH_STARTING,
    HEALTH_RUNNING,
    HEALTH_TERMINATING,
    HEALTH_FAILED, /* will not heal without a restart: /healthz says 503 */
};

struct health;

struct health *health_new(void);
void health_free(struct health *h);

/*
 * Adds a check that readiness depends on, in HEALTH_STARTING, also to what seemed to have started
 * without it; once more is without effect. Names: "authorize.service",
 * "databroker.sync.initial", "storage.backend", "identity-provider.oidc".
 */
void health_require(struct health *h, const char *check);

/*
 * Sets a check; one that was not required is for information. `error` NULL or "" means none; a
 * required check with an error is not ready. The text is copied.
 */
void health_set(struct health *h, const char *check, enum health_state state, const char *error);

/* {"CHECK": {"attributes": {"name": "value"}}}; the check is made when it is new. */
void health_attribute(struct health *h, const char *check, const char *name, const char *value);

/* All checks become HEALTH_TERMINATING. */
void health_terminate(struct health *h);

bool health_is_started(const struct health *h);
bool health_is_ready(const struct health *h);
bool health_is_alive(const struct health *h);

/* Each check, and whether it is running without an error. */
typedef void (*health_each_fn)(void *ctx, const char *check, bool ok);
void health_each(const struct health *h, health_each_fn fn, void *ctx);

/*
 * In words: the first check that keeps it from being ready, or that has an error, as "CHECK:
 * ERROR"; "" when there is none. Appended; cut to what fits.
 */
void health_problem(const struct health *h, struct buf *out);

/* The JSON of /status, appended. */
enum err health_write(const struct health *h, struct buf *out);

/*
 * Serves on `address` ("host:port"; port 0 is chosen). ERR_CONFIG or ERR_IO with *out_why in fresh
 * memory. health_close ends it; `on_closed` (may be NULL) when the handles are gone.
 */
enum err health_open(struct health *h, struct loop *loop, const char *address, char **out_why);
void health_close(struct health *h, loop_fn on_closed, void *ctx);

/* The port that is listened on; 0 before health_open. */
uint16_t health_port(const struct health *h);

#endif
