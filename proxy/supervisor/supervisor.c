#include "proxy/supervisor/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/daemon.h"
#include "common/daemon/log.h"
#include "common/io/listen.h"
#include "common/io/timer.h"
#include "proxy/supervisor/describe.h"
#include "proxy/supervisor/keyring.h"
#include "proxy/supervisor/process.h"
#include "proxy/supervisor/worker_link.h"

#define CHECK_WORKER "proxy.worker"
#define CHECK_AUTHORIZE "authorize.service"

enum phase { PHASE_RUNNING, PHASE_DRAINING, PHASE_STOPPING };

struct supervisor {
    struct daemon *daemon;
    struct loop *loop;
    struct keyring *keys;
    const struct config *config;
    int https_fd;
    int ssh_fd;
    int redirect_fd;
    char *address; /* as bound */
    char *ssh_address;
    char *redirect_address;
    enum phase phase;
    struct process *worker; /* NULL: none is running */
    struct worker_link *link;
    struct timer timer; /* to the next start, or to the end of patience */
    uint64_t started_at;
    unsigned failures; /* in a row */
    bool ready;
    struct metrics_cells counted; /* by the present worker, as it said last */
};

static void start_worker(struct supervisor *s);

/* --- configuration --- */

static void validate(void *ctx, const struct config *config, struct diag *d)
{
    (void)ctx;
    describe_check(config, d);
    keyring_check(config, d);
}

static enum err send_config(struct supervisor *s)
{
    struct worker_config *c = describe_config(s->config);
    c->https_listener = s->https_fd >= 0;
    c->ssh_listener = s->ssh_fd >= 0;
    c->redirect_listener = s->redirect_fd >= 0;
    keyring_describe(s->keys, c);
    struct buf body;
    buf_init(&body, WORKER_FRAME_BODY_MAX);
    enum err e = worker_config_write(c, &body);
    if (e == OK)
        e = worker_link_send(s->link, WORKER_FRAME_CONFIG, 0, buf_view(&body));
    buf_wipe(&body);
    worker_config_unref(c);
    return e;
}

static void warn_address(const struct config *config, const char *key, const char *bound,
                         const char *wanted, struct diag *d)
{
    if (strcmp(bound, wanted) != 0)
        diag_warn(d, (struct diag_place){.file = config->file}, key,
                  "a changed address needs a restart; \"%s\" stays in use", bound);
}

static void take_config(struct supervisor *s, const struct config *config)
{
    const struct config *old = s->config;
    s->config = config_ref(config);
    config_unref(old);
    if (keyring_is_self_signed(s->keys))
        log_warn("no certificate is configured: a self-signed one is used");
}

static enum err reload(void *ctx, const struct config *config, struct diag *d)
{
    struct supervisor *s = ctx;
    TRY(keyring_load(s->keys, config, d));
    warn_address(config, "address", s->address, config->address, d);
    warn_address(config, "ssh_address", s->ssh_address, config->ssh_address, d);
    warn_address(config, "http_redirect_addr", s->redirect_address, config->http_redirect_addr, d);
    take_config(s, config);
    enum err e = s->link ? send_config(s) : OK;
    if (e != OK) {
        /* A worker that cannot be told is replaced by one that is. */
        log_error("the worker takes no configuration", LOG_ERR(e));
        process_signal(s->worker, SIGKILL);
    }
    return OK;
}

/* --- what the worker says --- */

static void end_worker(struct supervisor *s, const char *why)
{
    log_error("the worker broke its protocol", LOG_STR("reason", why));
    worker_link_close(s->link);
    s->link = NULL;
    process_signal(s->worker, SIGKILL);
}

static const char *sign_kind(enum worker_frame_type type)
{
    return type == WORKER_FRAME_SIGN_KEX   ? "kex"
           : type == WORKER_FRAME_SIGN_TLS ? "tls"
                                           : "hostkeys";
}

static void on_sign(struct supervisor *s, const struct worker_frame *frame)
{
    struct worker_sign_message m;
    if (worker_sign_parse((uint8_t)frame->type, frame->body, &m) != OK) {
        end_worker(s, "malformed request for a signature");
        return;
    }
    AUTO(buf_fini) struct buf signature;
    AUTO(buf_fini) struct buf body;
    buf_init(&signature, KEYRING_SIGNATURE_MAX);
    buf_init(&body, KEYRING_SIGNATURE_MAX + 1024);
    uint64_t began = metrics_clock_us();
    enum err e = keyring_sign(s->keys, frame->type, &m.request, loop_now_ms(s->loop), &signature);
    metrics_observe(METRIC_SIGNATURE_DURATION, metrics_clock_us() - began);
    metrics_add(METRIC_SIGNATURES, 1, sign_kind(frame->type), e == OK ? "signed" : "refused");
    worker_sign_fini(&m);
    if (e != OK)
        log_warn("no signature for the worker", LOG_ERR(e));
    e = worker_signed_write(e == OK ? buf_view(&signature) : VIEW(""), e == OK ? "" : err_text(e),
                            &body);
    if (e == OK)
        e = worker_link_send(s->link, WORKER_FRAME_SIGNED, frame->id, buf_view(&body));
    if (e != OK)
        end_worker(s, "does not read its answers");
}

static void on_status(struct supervisor *s, const struct worker_frame *frame)
{
    struct worker_status status = {0};
    if (worker_status_parse(frame->body, &status) != OK) {
        end_worker(s, "malformed status");
        return;
    }
    struct health *h = daemon_health(s->daemon);
    if (status.error[0])
        log_error("the worker refuses the configuration", LOG_STR("reason", status.error));
    s->ready = status.ready;
    if (s->phase == PHASE_RUNNING) {
        health_set(h, CHECK_WORKER, status.ready ? HEALTH_RUNNING : HEALTH_STARTING, status.error);
        health_attribute(h, CHECK_WORKER, "config-hash", status.config_hash);
    }
    for (size_t i = 0; i < status.check_count && s->phase == PHASE_RUNNING; i++) {
        const struct worker_check *c = &status.checks[i];
        if (strcmp(c->name, CHECK_AUTHORIZE) == 0)
            health_set(h, CHECK_AUTHORIZE,
                       c->state == HEALTH_RUNNING ? HEALTH_RUNNING : HEALTH_STARTING, c->error);
    }
    worker_status_fini(&status);
}

/* --- metrics: the worker is asked for its own when somebody asks us --- */

static bool collect(void *ctx)
{
    struct supervisor *s = ctx;
    metrics_set(METRIC_WORKER_UP, s->ready);
    return !s->link || worker_link_send(s->link, WORKER_FRAME_METRICS, 0, VIEW("")) != OK;
}

static void on_metrics(struct supervisor *s, const struct worker_frame *frame)
{
    s->counted = (struct metrics_cells){0};
    if (metrics_unpack(frame->body, &s->counted) != OK) {
        end_worker(s, "malformed metrics");
        return;
    }
    daemon_collected(s->daemon);
}

static void merge_metrics(void *ctx, struct metrics_cells *cells)
{
    const struct supervisor *s = ctx;
    metrics_merge(&s->counted, cells);
}

static void on_frame(void *ctx, const struct worker_frame *frame)
{
    struct supervisor *s = ctx;
    switch (frame->type) {
    case WORKER_FRAME_SIGN_KEX:
    case WORKER_FRAME_SIGN_HOSTKEYS_PROVE:
    case WORKER_FRAME_SIGN_TLS:
        on_sign(s, frame);
        break;
    case WORKER_FRAME_STATUS:
        on_status(s, frame);
        break;
    case WORKER_FRAME_METRICS:
        on_metrics(s, frame);
        break;
    case WORKER_FRAME_CONFIG:
    case WORKER_FRAME_SIGNED:
        end_worker(s, "a frame that is ours to send");
        break;
    }
}

static void close_link(struct supervisor *s)
{
    worker_link_close(s->link);
    s->link = NULL;
}

static void on_link_end(void *ctx, const char *why)
{
    struct supervisor *s = ctx;
    if (strcmp(why, "closed") != 0)
        log_error("the channel to the worker ended", LOG_STR("reason", why));
    close_link(s);
    /* It has ended or is about to; what hangs is ended. */
    if (s->phase == PHASE_RUNNING)
        timer_after(&s->timer, SUPERVISOR_KILL_MS);
}

/* --- its life --- */

static void close_listeners(struct supervisor *s)
{
    int *const all[] = {&s->https_fd, &s->ssh_fd, &s->redirect_fd};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (*all[i] >= 0)
            (void)close(*all[i]);
        *all[i] = -1;
    }
}

static void all_ended(struct supervisor *s)
{
    timer_fini(&s->timer);
    const char *path = getenv("POSTERN_WORKER_PIDFILE");
    if (path)
        (void)unlink(path);
    daemon_stopped(s->daemon);
}

static uint64_t restart_delay(unsigned failures)
{
    uint64_t delay = SUPERVISOR_RESTART_MIN_MS;
    for (unsigned i = 1; i < failures && delay < SUPERVISOR_RESTART_MAX_MS; i++)
        delay *= 2;
    return delay < SUPERVISOR_RESTART_MAX_MS ? delay : SUPERVISOR_RESTART_MAX_MS;
}

static void restart_later(struct supervisor *s)
{
    bool healthy = loop_now_ms(s->loop) - s->started_at >= SUPERVISOR_HEALTHY_MS;
    s->failures = healthy ? 1 : s->failures + 1;
    health_set(daemon_health(s->daemon), CHECK_WORKER, HEALTH_STARTING, "the worker ended");
    health_set(daemon_health(s->daemon), CHECK_AUTHORIZE, HEALTH_STARTING, "the worker ended");
    timer_after(&s->timer, restart_delay(s->failures));
}

static void on_exit_(void *ctx, int status, int number)
{
    struct supervisor *s = ctx;
    close_link(s);
    s->worker = NULL;
    s->ready = false;
    s->counted = (struct metrics_cells){0};
    timer_clear(&s->timer);
    switch (s->phase) {
    case PHASE_RUNNING:
        log_error("the worker ended", LOG_I64("status", status), LOG_I64("signal", number));
        metrics_add(METRIC_WORKER_RESTARTS, 1);
        restart_later(s);
        break;
    case PHASE_DRAINING:
        daemon_drained(s->daemon);
        break;
    case PHASE_STOPPING:
        all_ended(s);
        break;
    }
}

static void on_timer(void *ctx)
{
    struct supervisor *s = ctx;
    if (s->worker)
        process_signal(s->worker, SIGKILL);
    else
        start_worker(s);
}

static void write_pid(const struct supervisor *s)
{
    const char *path = getenv("POSTERN_WORKER_PIDFILE");
    if (path && process_write_pid(path, process_pid(s->worker)) != OK)
        log_warn("cannot write POSTERN_WORKER_PIDFILE", LOG_STR("file", path));
}

static void start_worker(struct supervisor *s)
{
    static const struct worker_link_handler handler = {.on_frame = on_frame, .on_end = on_link_end};
    const struct process_spec spec = {.loop = s->loop,
                                      .https_fd = s->https_fd,
                                      .ssh_fd = s->ssh_fd,
                                      .redirect_fd = s->redirect_fd,
                                      .on_exit = on_exit_,
                                      .ctx = s};
    AUTO_FREE char *why = NULL;
    int fd = -1;
    s->started_at = loop_now_ms(s->loop);
    if (process_start(&spec, &s->worker, &fd, &why) != OK) {
        log_error("the worker was not started", LOG_STR("reason", why));
        restart_later(s);
        return;
    }
    log_info("worker started", LOG_I64("pid", process_pid(s->worker)),
             LOG_U64("restarts", s->failures));
    write_pid(s);
    s->link = worker_link_open(s->loop, fd, &handler, s);
    enum err e = send_config(s);
    if (e != OK) {
        log_error("the worker takes no configuration", LOG_ERR(e));
        process_signal(s->worker, SIGKILL);
    }
}

static enum err bind_one(const struct config *config, const char *key, const char *address,
                         int *out_fd, struct diag *d)
{
    if (!*address)
        return OK;
    AUTO_FREE char *why = NULL;
    enum err e = listen_bind(address, out_fd, &why);
    if (e != OK)
        diag_error(d, (struct diag_place){.file = config->file}, key, "%s", why);
    return e;
}

static enum err start(void *ctx, struct daemon *daemon, struct diag *d)
{
    struct supervisor *s = ctx;
    const struct config *config = daemon_config(daemon);
    s->daemon = daemon;
    s->loop = daemon_loop(daemon);
    s->keys = keyring_new();
    timer_init(&s->timer, s->loop, on_timer, s);
    TRY(keyring_load(s->keys, config, d));
    TRY(bind_one(config, "address", config->address, &s->https_fd, d));
    TRY(bind_one(config, "ssh_address", config->ssh_address, &s->ssh_fd, d));
    TRY(bind_one(config, "http_redirect_addr", config->http_redirect_addr, &s->redirect_fd, d));
    s->address = mem_strdup(config->address);
    s->redirect_address = mem_strdup(config->http_redirect_addr);
    s->ssh_address = mem_strdup(config->ssh_address);
    take_config(s, config);
    health_require(daemon_health(daemon), CHECK_WORKER);
    health_require(daemon_health(daemon), CHECK_AUTHORIZE);
    start_worker(s);
    return OK;
}

static void drain(void *ctx)
{
    struct supervisor *s = ctx;
    s->phase = PHASE_DRAINING;
    timer_clear(&s->timer);
    /* Ours too: what nobody accepts any more is refused instead of waiting in a backlog. */
    close_listeners(s);
    if (s->worker)
        process_signal(s->worker, SIGTERM);
    else
        daemon_drained(s->daemon);
}

static void stop(void *ctx)
{
    struct supervisor *s = ctx;
    s->phase = PHASE_STOPPING;
    close_listeners(s);
    close_link(s);
    if (s->worker)
        timer_after(&s->timer, SUPERVISOR_KILL_MS);
    else
        all_ended(s);
}

static void fini(void *ctx)
{
    struct supervisor *s = ctx;
    keyring_free(s->keys);
    config_unref(s->config);
    mem_free(s->address);
    mem_free(s->ssh_address);
    mem_free(s->redirect_address);
}

int supervisor_main(int argc, char **argv)
{
    struct supervisor s = {.https_fd = -1, .ssh_fd = -1, .redirect_fd = -1};
    const struct daemon_spec spec = {.service = CONFIG_PROXY,
                                     .ctx = &s,
                                     .validate = validate,
                                     .start = start,
                                     .reload = reload,
                                     .drain = drain,
                                     .collect = collect,
                                     .merge_metrics = merge_metrics,
                                     .stop = stop,
                                     .fini = fini};
    return daemon_run(argc, argv, &spec);
}
