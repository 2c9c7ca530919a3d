#include <unistd.h>

#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/ssh_measure.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

enum { TIGHT_PERCENT = 90, SHED_MAX = 1000, MEASURE_EVERY = 32 };

static const char memory_is_short[] = "memory is short";

static void shed(struct ssh_startup *e, const char *reason)
{
    struct ssh_session *victim = e->owner;
    metrics_add(METRIC_SSH_CONNECTIONS, 1, "shed");
    ssh_session_end(victim, REASON_TOO_MANY_CONNECTIONS, VIEW("too many connections"), reason);
    ssh_session_turn(victim);
}

static bool is_tight(const struct ssh_service *s, uint64_t used)
{
    return used > s->memory_max / 100 * TIGHT_PERCENT;
}

/* Those who have proved nothing go, of the source that has most, until there is room. */
static void make_room(struct ssh_service *s)
{
    const struct ssh_startup *last = NULL;
    for (size_t i = 0; i < SHED_MAX && is_tight(s, ssh_measure_memory()); i++) {
        struct ssh_startup *e = ssh_startups_oldest(&s->startups);
        if (!e || e == last) /* it is closed, but what was sent to it is not yet taken */
            return;
        last = e;
        shed(e, memory_is_short);
    }
}

void ssh_listener_measure(struct ssh_service *s)
{
    uint64_t used = ssh_measure_memory();
    bool tight = is_tight(s, used);
    if (tight != s->is_tight) {
        log_warn(tight ? "memory is short, nothing new is accepted" : "memory is no longer short",
                 LOG_U64("bytes-used", used), LOG_U64("bytes-max", s->memory_max));
        if (s->host.on_memory)
            s->host.on_memory(s->host.ctx, tight);
    }
    s->is_tight = tight;
    if (tight)
        make_room(s);
}

static void refuse(int fd, const struct address *peer, const char *reason)
{
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(peer, ip);
    log_debug("ssh connection refused", LOG_STR("ip", ip), LOG_STR("reason", reason));
    (void)close(fd);
}

void ssh_listener_accept(void *ctx, int fd, const struct address *peer)
{
    struct ssh_service *s = ctx;
    struct ssh_startups_limits limits = {.start = s->config->ssh_max_startups_start,
                                         .rate = s->config->ssh_max_startups_rate,
                                         .full = s->config->ssh_max_startups_full};
    uint32_t random;
    rng_fill(&s->rng, (uint8_t *)&random, sizeof random);
    struct ip source = address_to_ip(peer);
    struct ssh_startup *victim = NULL;
    /* Within a second a flood takes more than the tenth that is left. */
    if (++s->newcomers % MEASURE_EVERY == 0)
        ssh_listener_measure(s);
    if (s->is_tight) {
        metrics_add(METRIC_SSH_CONNECTIONS, 1, "memory");
        refuse(fd, peer, memory_is_short);
    } else if (!ssh_startups_admit(&s->startups, &limits, ip_source(&source), random, &victim)) {
        metrics_add(METRIC_SSH_CONNECTIONS, 1, "startups");
        refuse(fd, peer, "ssh_max_startups");
    } else {
        metrics_add(METRIC_SSH_CONNECTIONS, 1, "accepted");
        ssh_session_turn(ssh_session_new(s, fd, peer));
    }
    if (victim)
        shed(victim, "ssh_max_startups");
}
