#include "proxy/worker.h"

#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/daemon.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "common/daemon/process_stats.h"
#include "common/io/timer.h"
#include "proxy/memory_limit.h"
#include "proxy/sandbox.h"
#include "proxy/ssh_service.h"
#include "proxy/supervisor/process.h"
#include "proxy/supervisor/worker_link.h"
#include "proxy/worker_front.h"
#include "proxy/worker_keys.h"
#include "proxy/worker_metrics.h"

enum { INSTANCE_ID = 33 };

struct worker {
    struct loop loop;
    struct worker_link *link;
    struct worker_keys *keys;
    const struct worker_config *config; /* in force; NULL before the first */
    struct front *front;
    struct front *redirect; /* http_redirect_addr */
    struct ssh_service *ssh;
    struct tunnels *tunnels; /* with ssh, whose stream to authorize they use */
    struct rpc *rpc;
    struct rng rng;
    uint64_t memory_max;
    struct loop_signal *signals[3];
    struct timer deadline;
    char instance_id[INSTANCE_ID];
    bool authorize_connected;
    char *authorize_why;
    char *config_error; /* why the last configuration was not taken */
    bool draining;
    bool stopping;
    unsigned open; /* what still has to drain or to close */
    int status;
};

static void stop(struct worker *w);

/* --- what the supervisor is told --- */

static void send_status(struct worker *w)
{
    if (!w->link || w->stopping)
        return;
    struct worker_status s = {.ready = w->config && !w->draining,
                              .config_hash = w->config ? w->config->config_hash : NULL,
                              .error = w->config_error,
                              .check_count = 1};
    char name[] = "authorize.service";
    s.checks[0] =
        (struct worker_check){.name = name,
                              .state = w->authorize_connected ? HEALTH_RUNNING : HEALTH_STARTING,
                              .error = w->authorize_why};
    AUTO(buf_fini) struct buf body;
    buf_init(&body, WORKER_FRAME_BODY_MAX);
    if (worker_status_write(&s, &body) == OK)
        IGNORE(worker_link_send(w->link, WORKER_FRAME_STATUS, 0, buf_view(&body)),
               "a supervisor that does not read is gone soon");
}

static void on_authorize(void *ctx, bool connected, const char *why)
{
    struct worker *w = ctx;
    if (connected != w->authorize_connected)
        metrics_add(METRIC_AUTHORIZE_STREAMS, 1, connected ? "opened" : "lost");
    metrics_set(METRIC_AUTHORIZE_CONNECTED, connected);
    w->authorize_connected = connected;
    mem_set_str(&w->authorize_why, connected ? "" : why);
    send_status(w);
}

static void on_memory(void *ctx, bool is_short)
{
    struct worker *w = ctx;
    front_rest(w->front, is_short);
    front_rest(w->redirect, is_short);
}

/* --- configuration --- */

static enum err set_ssh(struct worker *w, const struct worker_config *c, char **out_why)
{
    if (w->ssh)
        return ssh_service_reload(w->ssh, c, out_why);
    if (!w->rpc)
        w->rpc = rpc_open(&w->loop);
    const struct ssh_service_host host = {.loop = &w->loop,
                                          .rpc = w->rpc,
                                          .instance_id = w->instance_id,
                                          .build = daemon_version(),
                                          .signer = worker_keys_ssh(w->keys),
                                          .memory_max = w->memory_max,
                                          .on_authorize = on_authorize,
                                          .on_memory = on_memory,
                                          .ctx = w};
    w->ssh = ssh_service_new(&host);
    enum err e = ssh_service_start(w->ssh, c, c->ssh_listener ? PROCESS_FD_SSH : -1, out_why);
    if (e != OK) {
        ssh_service_free(w->ssh);
        w->ssh = NULL;
    }
    return e;
}

static void set_tunnels(struct worker *w, const struct worker_config *c)
{
    const struct tunnels_host host = {
        .loop = &w->loop, .decide = ssh_service_decide(w->ssh), .rng = &w->rng};
    if (!w->tunnels)
        w->tunnels = tunnels_new(&host);
    tunnels_configure(w->tunnels, c);
}

static enum err apply(struct worker *w, const struct worker_config *c, char **out_why)
{
    log_set_level((enum config_log_level)c->log_level);
    TRY(set_ssh(w, c, out_why));
    set_tunnels(w, c);
    const struct worker_front front = {.loop = &w->loop,
                                       .rng = &w->rng,
                                       .signer = worker_keys_tls(w->keys, c),
                                       .tunnels = w->tunnels,
                                       .https = &w->front,
                                       .redirect = &w->redirect};
    return worker_front_set(&front, c, out_why);
}

static void on_config(struct worker *w, struct view body)
{
    struct worker_config *c;
    AUTO_FREE char *why = NULL;
    if (w->draining || w->stopping)
        return;
    enum err e = worker_config_parse(body, &c);
    if (e == OK)
        e = apply(w, c, &why);
    if (e == OK) {
        const struct worker_config *old = w->config;
        w->config = c;
        worker_config_unref(old);
        mem_set_str(&w->config_error, "");
        log_info("worker serves", LOG_STR("config-hash", c->config_hash),
                 LOG_STR("instance-id", w->instance_id));
    } else {
        mem_set_str(&w->config_error, why ? why : err_text(e));
        log_error("the configuration was not taken", LOG_STR("reason", w->config_error));
    }
    send_status(w);
    if (e == OK)
        return;
    /* Without a first one there is nothing to serve: the supervisor tries again. */
    bool first = !w->config;
    if (first) {
        w->status = 1;
        stop(w);
    }
}

static void on_frame(void *ctx, const struct worker_frame *frame)
{
    struct worker *w = ctx;
    bool known = true;
    if (frame->type == WORKER_FRAME_CONFIG)
        on_config(w, frame->body);
    else if (frame->type == WORKER_FRAME_SIGNED)
        known = worker_keys_answer(w->keys, frame) == OK;
    else if (frame->type == WORKER_FRAME_METRICS && w->link)
        worker_metrics_answer(w->link, w->ssh, w->tunnels);
    else
        known = false;
    if (known)
        return;
    log_error("unexpected frame of the supervisor");
    w->status = 1;
    stop(w);
}

static void on_link_end(void *ctx, const char *why)
{
    struct worker *w = ctx;
    if (!w->draining)
        log_info("the supervisor has closed the channel", LOG_STR("reason", why));
    stop(w);
}

/* --- the end --- */

static void ended(void *ctx)
{
    struct worker *w = ctx;
    if (--w->open == 0)
        loop_stop(&w->loop);
}

static void on_ssh_stopped(void *ctx)
{
    struct worker *w = ctx;
    tunnels_free(w->tunnels);
    w->tunnels = NULL;
    ssh_service_free(w->ssh);
    w->ssh = NULL;
    rpc_close(w->rpc, ended, w);
}

static void on_front_closed(void *ctx)
{
    ended(ctx);
}

static void close_fronts(struct worker *w)
{
    struct front *fronts[] = {w->front, w->redirect};
    w->front = w->redirect = NULL;
    for (size_t i = 0; i < ARRAY_LEN(fronts); i++)
        front_close(fronts[i], on_front_closed, w);
}

/* Their clients have been told; the stream to authorize is not needed any more. */
static void on_tunnels_stopped(void *ctx)
{
    struct worker *w = ctx;
    close_fronts(w);
    ssh_service_stop(w->ssh, on_ssh_stopped, w);
}

static void stop_services(struct worker *w)
{
    w->open += 2; /* front_close, also of none */
    if (w->tunnels) {
        /* So that nobody who reads slowly holds it up. */
        front_drain(w->front, NULL, NULL);
        front_drain(w->redirect, NULL, NULL);
        tunnels_stop(w->tunnels, on_tunnels_stopped, w);
        return;
    }
    close_fronts(w);
    if (w->ssh)
        ssh_service_stop(w->ssh, on_ssh_stopped, w);
    else if (w->rpc)
        rpc_close(w->rpc, ended, w);
}

static void stop(struct worker *w)
{
    if (w->stopping)
        return;
    w->stopping = true;
    for (size_t i = 0; i < ARRAY_LEN(w->signals); i++)
        loop_signal_close(w->signals[i]);
    worker_keys_lost(w->keys);
    worker_link_close(w->link);
    w->link = NULL;
    timer_after(&w->deadline, WORKER_STOP_MS);
    w->open = 1;
    if (w->rpc)
        w->open++;
    stop_services(w);
    loop_post(&w->loop, ended, w);
}

static void on_deadline(void *ctx)
{
    struct worker *w = ctx;
    log_error("the worker did not stop in time", LOG_U64("open", w->open));
    log_fini();
    _exit(1);
}

static void on_drained(void *ctx)
{
    struct worker *w = ctx;
    if (w->stopping || --w->open > 0)
        return;
    stop(w);
}

static void on_term(void *ctx)
{
    struct worker *w = ctx;
    if (w->stopping || w->draining)
        return;
    w->draining = true;
    send_status(w);
    w->open = 1;
    if (w->ssh) {
        w->open++;
        ssh_service_drain(w->ssh, on_drained, w);
    }
    if (w->tunnels) {
        w->open++;
        tunnels_drain(w->tunnels, on_drained, w);
    }
    if (w->front) {
        w->open++;
        front_drain(w->front, on_drained, w);
    }
    if (w->redirect) {
        w->open++;
        front_drain(w->redirect, on_drained, w);
    }
    on_drained(w);
}

static void on_ignored(void *ctx)
{
    (void)ctx;
}

/* --- the start --- */

static void log_sandbox(enum sandbox result)
{
    switch (result) {
    case SANDBOX_ON:
        log_debug("the worker may read the resolver's files alone");
        break;
    case SANDBOX_NO_KERNEL:
        log_warn("this kernel has no Landlock: the worker's access to files is not restricted");
        break;
    case SANDBOX_FAILED:
        log_error("Landlock failed: the worker's access to files is not restricted");
        break;
    }
}

static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

static void draw_instance_id(struct worker *w)
{
    uint8_t id[16];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, INSTANCE_ID);
    rng_fill(&w->rng, id, sizeof id);
    IGNORE(text_hex(view_of(id, sizeof id), &hex), "fits");
    memcpy(w->instance_id, buf_ptr(&hex), hex.len);
}

static void on_rpc_log(bool is_error, const char *text)
{
    if (is_error)
        log_debug("grpc", LOG_STR("reason", text));
}

static void fini(struct worker *w)
{
    timer_fini(&w->deadline);
    loop_fini(&w->loop);
    worker_keys_free(w->keys);
    worker_config_unref(w->config);
    mem_free(w->authorize_why);
    mem_free(w->config_error);
}

int worker_main(void)
{
    static const struct worker_link_handler handler = {.on_frame = on_frame, .on_end = on_link_end};
    struct worker w = {.rng = rng_system()};
    daemon_harden();
    (void)prctl(PR_SET_NAME, "proxy-worker");
    /* Whatever else the supervisor was started with is not for us. */
    (void)close_range(PROCESS_FDS, UINT_MAX, 0);
    raise_descriptors();
    process_stats_open();
    /* The other half is for what the allocator does not count, and for the kernel's buffers. */
    w.memory_max = memory_limit_read("") / 2;
    enum sandbox sandbox = sandbox_enter();
    log_init("proxy", STDOUT_FILENO);
    log_sandbox(sandbox);
    rpc_set_log(on_rpc_log);
    draw_instance_id(&w);
    loop_init(&w.loop);
    timer_init(&w.deadline, &w.loop, on_deadline, &w);
    w.signals[0] = loop_signal_open(&w.loop, SIGTERM, on_term, &w);
    /* A terminal's Ctrl-C reaches us too; the supervisor decides what it means. */
    w.signals[1] = loop_signal_open(&w.loop, SIGINT, on_ignored, &w);
    w.signals[2] = loop_signal_open(&w.loop, SIGHUP, on_ignored, &w);
    w.link = worker_link_open(&w.loop, PROCESS_FD_LINK, &handler, &w);
    w.keys = worker_keys_new(&w.loop, w.link);
    loop_run(&w.loop);
    fini(&w);
    log_fini();
    return w.status;
}
