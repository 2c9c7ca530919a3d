#include "proxy/ssh_service.h"

#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/messages.h"
#include "common/daemon/log.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

enum { SSH_SERVICE_TICK_MS = 1000 };

static void on_tick(void *ctx)
{
    struct ssh_service *s = ctx;
    timer_after(&s->tick, SSH_SERVICE_TICK_MS);
    ssh_listener_measure(s);
}

static void on_state(void *ctx, bool connected, const char *why)
{
    struct ssh_service *s = ctx;
    if (s->host.on_authorize)
        s->host.on_authorize(s->host.ctx, connected, why);
}

struct ssh_service *ssh_service_new(const struct ssh_service_host *host)
{
    struct ssh_service *s = mem_zalloc(sizeof *s);
    s->host = *host;
    s->loop = host->loop;
    s->rng = rng_system();
    s->memory_max = host->memory_max ? host->memory_max : UINT64_MAX;
    struct decide_host d = {.loop = host->loop,
                            .rpc = host->rpc,
                            .instance_id = host->instance_id,
                            .build = host->build,
                            .on_state = on_state,
                            .ctx = s};
    s->decide = decide_new(&d);
    timer_init(&s->tick, s->loop, on_tick, s);
    return s;
}

static enum err configure(struct ssh_service *s, const struct worker_config *config, char **out_why)
{
    enum err e = decide_configure(s->decide, config);
    if (e != OK) {
        *out_why = mem_strdup("the way to authorize cannot be used: check authorize_service_url "
                              "and the service certificate");
        return e;
    }
    const struct worker_config *old = s->config;
    s->config = worker_config_ref(config);
    worker_config_unref(old);
    return OK;
}

static struct arrivals_settings arrivals_settings(const struct worker_config *c)
{
    return (struct arrivals_settings){.has_header = c->ssh_use_proxy_protocol,
                                      .trusted = c->proxy_protocol_trusted.items,
                                      .trusted_count = c->proxy_protocol_trusted.count};
}

enum err ssh_service_start(struct ssh_service *s, const struct worker_config *config, int listen_fd,
                           char **out_why)
{
    if (listen_fd >= 0 && !config->host_key_count) {
        *out_why = mem_strdup("ssh_address is set, but there is no SSH host key");
        (void)close(listen_fd);
        return ERR_CONFIG;
    }
    enum err e = configure(s, config, out_why);
    if (e != OK) {
        if (listen_fd >= 0)
            (void)close(listen_fd);
        return e;
    }
    timer_after(&s->tick, SSH_SERVICE_TICK_MS);
    if (listen_fd < 0)
        return OK;
    struct address at = listen_address(listen_fd);
    char text[ADDRESS_TEXT_MAX];
    address_text(&at, text);
    struct arrivals_settings settings = arrivals_settings(config);
    s->rsa = rsa_pool_new(s->loop, s->host.make_rsa);
    s->arrivals =
        arrivals_open(s->loop, listen_fd, "ssh_address", &settings, ssh_listener_accept, s);
    log_info("starting SSH listener", LOG_STR("address", text));
    return OK;
}

enum err ssh_service_reload(struct ssh_service *s, const struct worker_config *config,
                            char **out_why)
{
    TRY(configure(s, config, out_why));
    struct arrivals_settings settings = arrivals_settings(config);
    if (s->arrivals)
        arrivals_set(s->arrivals, &settings);
    return OK;
}

/* --- the end --- */

static void on_decide_closed(void *ctx)
{
    struct ssh_service *s = ctx;
    if (s->on_stopped)
        s->on_stopped(s->stopped_ctx);
}

static void on_rsa_closed(void *ctx)
{
    struct ssh_service *s = ctx;
    decide_stop(s->decide, on_decide_closed, s);
}

static void check_empty(struct ssh_service *s)
{
    if (s->sessions.count)
        return;
    if (s->is_draining && s->on_drained) {
        loop_fn fn = s->on_drained;
        s->on_drained = NULL;
        loop_post(s->loop, fn, s->drained_ctx);
    }
    if (s->is_stopping && s->decide && !s->is_closed) {
        s->is_closed = true;
        if (s->rsa)
            rsa_pool_close(s->rsa, on_rsa_closed, s);
        else
            on_rsa_closed(s);
    }
}

void ssh_service_session_gone(struct ssh_service *s)
{
    check_empty(s);
}

static void close_listener(struct ssh_service *s)
{
    arrivals_close(s->arrivals);
    s->arrivals = NULL;
}

/* Sessions end inside of their calls: each is looked up anew. */
static void for_each(struct ssh_service *s, void (*fn)(struct ssh_session *))
{
    size_t cursor = 0;
    struct ssh_session *session;
    while ((session = slots_next(&s->sessions, &cursor)))
        fn(session);
}

static void drain_one(struct ssh_session *session)
{
    if (session->phase == SSH_SESSION_LIVE)
        ssh_session_warn(session, message_text(MESSAGE_SHUTDOWN));
    else
        ssh_session_cut(session, message_text(MESSAGE_SHUTDOWN), "shutdown");
}

void ssh_service_drain(struct ssh_service *s, loop_fn on_drained, void *ctx)
{
    close_listener(s);
    s->is_draining = true;
    s->on_drained = on_drained;
    s->drained_ctx = ctx;
    for_each(s, drain_one);
    check_empty(s);
}

static void stop_one(struct ssh_session *session)
{
    ssh_session_cut(session, message_text(MESSAGE_SHUTDOWN), "shutdown");
}

void ssh_service_stop(struct ssh_service *s, loop_fn on_stopped, void *ctx)
{
    close_listener(s);
    timer_fini(&s->tick);
    s->is_draining = true;
    s->is_stopping = true;
    s->on_stopped = on_stopped;
    s->stopped_ctx = ctx;
    for_each(s, stop_one);
    check_empty(s);
}

void ssh_service_free(struct ssh_service *s)
{
    if (!s)
        return;
    CHECK(!s->sessions.count);
    close_listener(s);
    timer_fini(&s->tick);
    decide_free(s->decide);
    rsa_pool_free(s->rsa);
    key_hints_fini(&s->hints);
    ssh_startups_fini(&s->startups);
    slots_fini(&s->sessions);
    worker_config_unref(s->config);
    mem_free(s);
}

struct decide *ssh_service_decide(struct ssh_service *s)
{
    return s->decide;
}

size_t ssh_service_live(const struct ssh_service *s)
{
    return s->live;
}

size_t ssh_service_count(const struct ssh_service *s)
{
    return s->sessions.count;
}
