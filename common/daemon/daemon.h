/*
 * What all daemons share: arguments, configuration with reload, signals, phases, logs, health.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct authorize a = {0};
 *         const struct daemon_spec spec = {.service = CONFIG_AUTHORIZE, .ctx = &a, …};
 *         return daemon_run(argc, argv, &spec);
 *     }
 *
 * Phases: arguments → configuration (validate) → --check ends here → start → run → reload… →
 * SIGTERM or SIGINT: drain (at most shutdown_grace) → stop → fini → exit 0. Everything runs on the
 * loop thread. gRPC is not touched here: `start` begins what it needs.
 *
 * Exit status: 0 asked to stop, 1 runtime, 2 configuration or arguments.
 */
#ifndef COMMON_DAEMON_DAEMON_H
#define COMMON_DAEMON_DAEMON_H

#include "common/base/diag.h"
#include "common/base/err.h"
#include "common/config/config.h"
#include "common/crypto/rng.h"
#include "common/daemon/health.h"
#include "common/daemon/metrics.h"
#include "common/io/loop.h"

struct daemon;

struct daemon_spec {
    enum config_service service;
    void *ctx;

    /*
     * Optional. Checks what common/config cannot: keys, certificates, policies. Called for each
     * new configuration before it is used, with --check too, so it has no side effects. Whatever
     * it finds goes to `diag`; an error there refuses the configuration.
     */
    void (*validate)(void *ctx, const struct config *config, struct diag *diag);

    /*
     * Opens everything. ERR_CONFIG (with a sentence in `diag`) exits with 2, another error with 1;
     * the sentences of `diag` are printed. On failure only fini follows, not stop.
     */
    enum err (*start)(void *ctx, struct daemon *daemon, struct diag *diag);

    /*
     * Optional. A valid new configuration: take it over completely (config_ref what is kept) or
     * refuse it with an error in `diag` and change nothing. What needs a restart to change is a
     * warning in `diag`. Afterwards daemon_config gives the new one.
     */
    enum err (*reload)(void *ctx, const struct config *config, struct diag *diag);

    /*
     * Optional. Accept nothing new, tell users, let them finish; call daemon_drained when done.
     * After shutdown_grace, or a second signal, stop comes anyhow.
     */
    void (*drain)(void *ctx);

    /*
     * Optional. /metrics is asked for: sets the gauges that are computed at that time. False: not
     * all is there yet, daemon_collected follows; the page waits for it, but no longer than a
     * second.
     */
    bool (*collect)(void *ctx);

    /* Optional. Adds what another process of this service has counted. */
    void (*merge_metrics)(void *ctx, struct metrics_cells *cells);

    /* Close everything; call daemon_stopped when the last handle is closed, at most 5 s later. */
    void (*stop)(void *ctx);

    /* Optional. After the loop has ended, before it is freed: free what is left. */
    void (*fini)(void *ctx);
};

int daemon_run(int argc, char **argv, const struct daemon_spec *spec);

/* --- for the daemon, on the loop thread --- */

struct loop *daemon_loop(struct daemon *d);

/* The configuration in force: valid until the next reload has returned, or config_ref it. */
const struct config *daemon_config(const struct daemon *d);

/* The system's randomness. */
const struct rng *daemon_rng(const struct daemon *d);

/* `health_set(daemon_health(d), "databroker", HEALTH_RUNNING, NULL)` */
struct health *daemon_health(struct daemon *d);

/* 128 random bits in hex: this process, for Hello and Instance records. */
const char *daemon_instance_id(const struct daemon *d);

/* The file named by --config, as given. */
const char *daemon_config_path(const struct daemon *d);

void daemon_collected(struct daemon *d);
void daemon_drained(struct daemon *d);
void daemon_stopped(struct daemon *d);

/* Ends with status 1, as after a signal but without drain; `why` is printed and logged. */
void daemon_fail(struct daemon *d, const char *why);

/* Takes the configuration over if it has changed, without waiting to be told so. */
void daemon_look(struct daemon *d);

/* As the signals do. */
void daemon_reload(struct daemon *d);
void daemon_shutdown(struct daemon *d);

/* "0.1.0": of --version, logs and Hello. */
const char *daemon_version(void);

/*
 * For processes that do not go through daemon_run (the proxy's worker): no core dumps, not
 * dumpable, SIGPIPE ignored, umask 077, map_seed. Once, first thing in main.
 */
void daemon_harden(void);

#endif
