#include <unistd.h>

#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "proxy/ssh_measure.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

enum { TIGHT_PERCENT = 90 };

void ssh_listener_tick(struct ssh_service *s)
{
    uint64_t used = ssh_measure_memory();
    bool tight = used > s->memory_max / 100 * TIGHT_PERCENT;
    if (tight != s->is_tight)
        log_warn(tight ? "memory is short, no new ssh connections" : "memory is no longer short",
                 LOG_U64("bytes-used", used), LOG_U64("bytes-max", s->memory_max));
    s->is_tight = tight;
}

static void shed(struct ssh_startup *e, const char *reason)
{
    struct ssh_session *victim = e->owner;
    metrics_add(METRIC_SSH_CONNECTIONS, 1, "shed");
    ssh_session_end(victim, REASON_TOO_MANY_CONNECTIONS, VIEW("too many connections"), reason);
    ssh_session_turn(victim);
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
    if (s->is_tight) {
        /* Above 90 % of the budget nothing new, and those who proved nothing go first. */
        victim = ssh_startups_oldest(&s->startups);
        metrics_add(METRIC_SSH_CONNECTIONS, 1, "memory");
        refuse(fd, peer, "memory is short");
    } else if (!ssh_startups_admit(&s->startups, &limits, ip_source(&source), random, &victim)) {
        metrics_add(METRIC_SSH_CONNECTIONS, 1, "startups");
        refuse(fd, peer, "ssh_max_startups");
    } else {
        metrics_add(METRIC_SSH_CONNECTIONS, 1, "accepted");
        ssh_session_turn(ssh_session_new(s, fd, peer));
    }
    if (victim)
        shed(victim, s->is_tight ? "memory is short" : "ssh_max_startups");
}
