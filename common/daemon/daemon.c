#include "common/daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/arguments.h"
#include "common/daemon/daemon_state.h"
#include "common/daemon/log.h"
#include "common/daemon/notify.h"
#include "common/daemon/process_stats.h"

enum {
    EXIT_RUNTIME = 1,
    EXIT_CONFIG = 2,
    DEBOUNCE_MS = 200,
    STOP_MS = 5000,
};

/* --- for the daemon --- */

struct loop *daemon_loop(struct daemon *d)
{
    return &d->loop;
}

const struct config *daemon_config(const struct daemon *d)
{
    return d->config;
}

const struct rng *daemon_rng(const struct daemon *d)
{
    return &d->rng;
}

struct health *daemon_health(struct daemon *d)
{
    return d->health;
}

const char *daemon_instance_id(const struct daemon *d)
{
    return d->instance_id;
}

const char *daemon_config_path(const struct daemon *d)
{
    return d->path;
}

const char *daemon_version(void)
{
    return POSTERN_VERSION;
}

static const char *service_name(const struct daemon *d)
{
    return config_service_name(d->spec->service);
}

/* "authorize.service": the check that every daemon has. */
static void set_service(struct daemon *d, enum health_state state, const char *error)
{
    AUTO_FREE char *check = mem_printf("%s.service", service_name(d));
    health_require(d->health, check);
    health_set(d->health, check, state, error);
}

/* --- the end --- */

static void on_health_closed(void *ctx)
{
    loop_stop(ctx);
}

static void on_metrics_closed(void *ctx)
{
    struct daemon *d = ctx;
    d->metrics = NULL;
    health_close(d->health, on_health_closed, &d->loop);
}

static void close_own(struct daemon *d)
{
    d->phase = DAEMON_CLOSING;
    timer_fini(&d->deadline);
    timer_fini(&d->watchdog);
    watch_close(d->watch);
    for (size_t i = 0; i < ARRAY_LEN(d->signals); i++)
        loop_signal_close(d->signals[i]);
    metrics_http_close(d->metrics, on_metrics_closed, d);
}

static void begin_stop(void *ctx)
{
    struct daemon *d = ctx;
    if (d->phase >= DAEMON_STOPPING)
        return;
    d->phase = DAEMON_STOPPING;
    timer_after(&d->deadline, STOP_MS);
    if (d->spec->stop)
        d->spec->stop(d->spec->ctx);
    else
        close_own(d);
}

static void finish(void *ctx)
{
    struct daemon *d = ctx;
    if (d->phase == DAEMON_STOPPING)
        close_own(d);
}

static void on_deadline(void *ctx)
{
    struct daemon *d = ctx;
    if (d->phase == DAEMON_DRAINING) {
        log_info("shutdown_grace is over");
        begin_stop(d);
        return;
    }
    log_error("did not stop in time");
    d->overdue = true;
    loop_stop(&d->loop);
}

void daemon_drained(struct daemon *d)
{
    /* Posted: this may be called from within drain. */
    if (d->phase == DAEMON_DRAINING)
        loop_post(&d->loop, begin_stop, d);
}

void daemon_stopped(struct daemon *d)
{
    loop_post(&d->loop, finish, d);
}

void daemon_fail(struct daemon *d, const char *why)
{
    log_error("fatal", LOG_STR("reason", why));
    (void)fprintf(stderr, "postern-%s: %s\n", service_name(d), why);
    d->status = EXIT_RUNTIME;
    set_service(d, HEALTH_FAILED, why);
    loop_post(&d->loop, begin_stop, d);
}

void daemon_shutdown(struct daemon *d)
{
    if (d->phase == DAEMON_DRAINING) {
        loop_post(&d->loop, begin_stop, d);
        return;
    }
    if (d->phase != DAEMON_RUNNING)
        return;
    d->phase = DAEMON_DRAINING;
    log_info("stopping", LOG_MS("grace", d->config->shutdown_grace));
    daemon_notify("STOPPING=1\nSTATUS=stopping");
    health_terminate(d->health);
    timer_after(&d->deadline, d->config->shutdown_grace);
    if (d->spec->drain)
        d->spec->drain(d->spec->ctx);
    else
        daemon_drained(d);
}

/* --- the service manager --- */

void daemon_notify(const char *state)
{
    enum err e = notify_send(state);
    if (e != OK)
        log_warn("the service manager was not told", LOG_ERR(e));
}

/* From the loop: one that hangs is restarted. */
static void on_watchdog(void *ctx)
{
    struct daemon *d = ctx;
    daemon_notify("WATCHDOG=1");
    timer_after(&d->watchdog, notify_watchdog_ms());
}

static void tell_started(struct daemon *d)
{
    daemon_notify("READY=1\nSTATUS=running");
    if (notify_watchdog_ms())
        on_watchdog(d);
}

/* --- signals and changes --- */

static void on_stop_signal(void *ctx)
{
    daemon_shutdown(ctx);
}

void daemon_look(struct daemon *d)
{
    if (d->phase == DAEMON_RUNNING)
        daemon_reread(d, false);
}

void daemon_reload(struct daemon *d)
{
    if (d->phase == DAEMON_RUNNING)
        daemon_reread(d, true);
}

static void on_hangup(void *ctx)
{
    daemon_reload(ctx);
}

static void on_change(void *ctx)
{
    struct daemon *d = ctx;
    if (d->phase == DAEMON_RUNNING)
        daemon_reread(d, false);
}

/* --- the start --- */

static int fail_start(struct daemon *d, const struct diag *diag, int status)
{
    config_file_print(diag, STDERR_FILENO);
    daemon_log_diag(diag);
    log_error("not started", LOG_U64("status", (uint64_t)status));
    (void)fprintf(stderr, "postern-%s: not started\n", service_name(d));
    return status;
}

static void draw_instance_id(struct daemon *d)
{
    uint8_t id[16];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, sizeof d->instance_id - 1);
    rng_fill(&d->rng, id, sizeof id);
    IGNORE(text_hex(view_of(id, sizeof id), &hex), "fits");
    memcpy(d->instance_id, buf_ptr(&hex), hex.len);
}

/* Everything that ends with the loop. */
static void open_own(struct daemon *d, const struct config_reading *reading)
{
    d->signals[0] = loop_signal_open(&d->loop, SIGTERM, on_stop_signal, d);
    d->signals[1] = loop_signal_open(&d->loop, SIGINT, on_stop_signal, d);
    d->signals[2] = loop_signal_open(&d->loop, SIGHUP, on_hangup, d);
    d->watch = watch_open(&d->loop, DEBOUNCE_MS, on_change, d);
    if (d->watch)
        watch_set(d->watch, reading->paths, reading->count);
    else
        log_warn("files are not watched: SIGHUP reloads the configuration");
}

static int start(struct daemon *d, struct diag *diag)
{
    AUTO_FREE char *why = NULL;
    enum err e = health_open(d->health, &d->loop, d->config->health_check_addr, &why);
    if (e != OK) {
        diag_error(diag, (struct diag_place){.file = d->config->file}, "health_check_addr",
                   "%s: %s", d->config->health_check_addr, why ? why : err_text(e));
        return fail_start(d, diag, e == ERR_CONFIG ? EXIT_CONFIG : EXIT_RUNTIME);
    }
    e = daemon_open_metrics(d, diag);
    if (e != OK)
        return fail_start(d, diag, e == ERR_CONFIG ? EXIT_CONFIG : EXIT_RUNTIME);
    set_service(d, HEALTH_STARTING, NULL);
    e = d->spec->start(d->spec->ctx, d, diag);
    if (e != OK) {
        if (!diag->errors)
            diag_error(diag, (struct diag_place){0}, "", "%s", err_text(e));
        return fail_start(d, diag, e == ERR_CONFIG ? EXIT_CONFIG : EXIT_RUNTIME);
    }
    set_service(d, HEALTH_RUNNING, NULL);
    daemon_log_diag(diag);
    log_info("started", LOG_STR("version", daemon_version()), LOG_STR("config", d->path),
             LOG_STR("config-hash", d->config->hash), LOG_STR("instance-id", d->instance_id));
    return 0;
}

/* A start that failed, and a stop that did not end, leave handles open: there is no orderly way. */
[[gnu::noreturn]] static void leave(int status)
{
    log_fini();
    (void)fflush(NULL);
    _exit(status);
}

static int run(struct daemon *d, struct diag *diag, const struct config_reading *reading)
{
    loop_init(&d->loop);
    timer_init(&d->deadline, &d->loop, on_deadline, d);
    timer_init(&d->watchdog, &d->loop, on_watchdog, d);
    d->health = health_new();
    daemon_show_config(d, NULL);
    open_own(d, reading);
    int status = start(d, diag);
    if (status) {
        if (d->spec->fini)
            d->spec->fini(d->spec->ctx);
        leave(status);
    }
    /* A daemon_fail within start is on its way already. */
    d->phase = DAEMON_RUNNING;
    tell_started(d);
    loop_run(&d->loop);
    if (d->overdue)
        leave(d->status);
    if (d->spec->fini)
        d->spec->fini(d->spec->ctx);
    loop_fini(&d->loop);
    health_free(d->health);
    log_info("stopped", LOG_U64("status", (uint64_t)d->status));
    return d->status;
}

static int check_or_run(struct daemon *d, bool check)
{
    AUTO(diag_fini) struct diag diag = {0};
    AUTO(config_reading_fini) struct config_reading reading = {0};
    if (!check)
        log_init(service_name(d), STDOUT_FILENO);
    enum err e = daemon_load(d, &diag, &reading, &d->config);
    memcpy(d->seen, reading.hash, sizeof d->seen);
    int status;
    if (check) {
        config_file_print(&diag, STDERR_FILENO);
        if (e == OK)
            (void)puts("configuration ok");
        status = e == OK ? 0 : EXIT_CONFIG;
    } else if (e != OK) {
        status = fail_start(d, &diag, EXIT_CONFIG);
    } else {
        status = run(d, &diag, &reading);
    }
    config_unref(d->config);
    log_fini();
    return status;
}

static int usage(const struct daemon_spec *spec, FILE *out)
{
    (void)fprintf(out,
                  "usage: postern-%s [--config FILE] [--check | --version]\n"
                  "  --config FILE  default: $POSTERN_CONFIG, else %s\n"
                  "  --check        check the configuration and end\n"
                  "exit status: 0 asked to stop, 1 runtime, 2 configuration\n",
                  config_service_name(spec->service), CONFIG_FILE_DEFAULT);
    return out == stdout ? 0 : EXIT_CONFIG;
}

int daemon_run(int argc, char **argv, const struct daemon_spec *spec)
{
    struct arguments arguments;
    const char *wrong = "";
    struct daemon d = {.spec = spec};
    if (arguments_parse(argc, argv, &arguments, &wrong) != OK) {
        (void)fprintf(stderr, "postern-%s: unexpected argument %s\n",
                      config_service_name(spec->service), wrong);
        return usage(spec, stderr);
    }
    if (arguments.action == ARGUMENTS_HELP)
        return usage(spec, stdout);
    if (arguments.action == ARGUMENTS_VERSION) {
        (void)printf("postern-%s %s\n", service_name(&d), daemon_version());
        return 0;
    }
    daemon_harden();
    process_stats_open();
    d.rng = rng_system();
    d.path = config_file_path(arguments.config);
    draw_instance_id(&d);
    return check_or_run(&d, arguments.action == ARGUMENTS_CHECK);
}
