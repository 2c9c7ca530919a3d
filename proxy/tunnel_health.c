#include "proxy/tunnel_health.h"

#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"
#include "common/io/dial.h"
#include "common/io/timer.h"
#include "proxy/ssh_leg.h"
#include "proxy/tunnel_clusters.h"

/* One check of one endpoint, again and again. */
struct check {
    struct health_checks *health;
    struct check *next;
    struct cluster *cluster;
    struct endpoint *endpoint; /* the cluster's */
    size_t index;              /* in the cluster's checks */
    struct timer timer;        /* to begin, or to give up */
    bool is_running;
    struct dial *dial;
    struct ssh_leg leg;
};

struct health_checks {
    struct loop *loop;
    struct rng rng;
    struct check *first;
    size_t running;
};

static uint64_t draw(struct health_checks *h, uint64_t below)
{
    uint64_t n;
    rng_fill(&h->rng, (uint8_t *)&n, sizeof n);
    return below ? n % below : 0;
}

static const struct cluster_check *spec_of(const struct check *c)
{
    return &c->cluster->spec->checks[c->index];
}

/* --- results --- */

static void log_change(const struct check *c, bool ok, const char *why)
{
    const char *kind = spec_of(c)->kind == CLUSTER_CHECK_SSH ? "ssh" : "tcp";
    if (ok)
        log_info("tunnel target is healthy", LOG_STR("route-id", c->cluster->spec->route_id),
                 LOG_STR("upstream", c->endpoint->address), LOG_STR("check", kind));
    else
        log_warn("tunnel target is unhealthy", LOG_STR("route-id", c->cluster->spec->route_id),
                 LOG_STR("upstream", c->endpoint->address), LOG_STR("check", kind),
                 LOG_STR("reason", why));
}

static void stop(struct check *c)
{
    dial_cancel(c->dial);
    c->dial = NULL;
    ssh_leg_close(&c->leg, 0);
    ssh_leg_fini(&c->leg);
    c->health->running -= c->is_running;
    c->is_running = false;
}

static void finish(struct check *c, bool ok, const char *why)
{
    uint64_t interval = spec_of(c)->interval_ms;
    metrics_add(METRIC_HEALTH_CHECKS, 1, ok ? "passed" : "failed");
    if (endpoints_checked(&c->cluster->endpoints, c->endpoint, c->index, ok))
        log_change(c, ok, why);
    stop(c);
    /* A tenth more or less, so that they do not stay in step. */
    timer_after(&c->timer, interval - interval / 10 + draw(c->health, interval / 5 + 1));
}

/* --- ssh --- */

static void on_transport(struct check *c, const struct transport_event *e)
{
    AUTO_FREE char *text = NULL;
    switch (e->type) {
    case TRANSPORT_HOST_KEY:
        /* Nothing is proved to it, so any key will do; a login judges it. */
        IGNORE(transport_host_key_accept(c->leg.transport), "FAILED follows");
        break;
    case TRANSPORT_READY:
        transport_disconnect(c->leg.transport, REASON_BY_APPLICATION, VIEW("health check"));
        (void)ssh_leg_flush(&c->leg);
        finish(c, true, "");
        break;
    case TRANSPORT_FAILED:
        text = mem_strndup(e->failed.text.ptr, e->failed.text.len);
        finish(c, false, text);
        break;
    case TRANSPORT_DISCONNECTED:
        finish(c, false, "the target has disconnected");
        break;
    case TRANSPORT_IDENT:
    case TRANSPORT_KEX_SIGN:
    case TRANSPORT_EXT_INFO:
    case TRANSPORT_PACKET:
        break;
    }
}

static void on_turn(void *ctx)
{
    struct check *c = ctx;
    struct transport_event e;
    bool any = true;
    while (any && c->is_running) {
        any = ssh_leg_feed(&c->leg, loop_now_ms(c->health->loop));
        while (c->is_running && transport_next(c->leg.transport, &e)) {
            any = true;
            on_transport(c, &e);
        }
        if (c->is_running)
            any |= ssh_leg_flush(&c->leg);
    }
    if (!c->is_running)
        return;
    ssh_leg_pace(&c->leg, true);
    if (c->leg.has_ended && ssh_leg_is_empty(&c->leg))
        finish(c, false, "the target closed the connection");
}

static void start_ssh(struct check *c, int fd)
{
    const struct transport_config config = {
        .role = TRANSPORT_CLIENT,
        .software = "Postern",
        .algorithms = transport_profile(TRANSPORT_COMPAT, TRANSPORT_CLIENT),
        .rng = c->health->rng,
        .now_ms = loop_now_ms(c->health->loop),
    };
    ssh_leg_open(&c->leg, c->health->loop, fd, transport_new(&config), on_turn, c);
    (void)ssh_leg_flush(&c->leg);
}

/* --- tcp --- */

/* Whatever the target says first is read before the end, so that it gets no RST. */
static void hang_up(struct check *c, int fd)
{
    const struct stream_spec spec = {.loop = c->health->loop};
    static const struct stream_handler nobody;
    stream_close(stream_new(&spec, fd, &nobody, NULL), 0, NULL, NULL);
}

static void on_dialled(void *ctx, const struct dial_result *r)
{
    struct check *c = ctx;
    c->dial = NULL;
    if (r->err != OK) {
        finish(c, false, *r->why ? r->why : err_text(r->err));
    } else if (spec_of(c)->kind == CLUSTER_CHECK_SSH) {
        start_ssh(c, r->fd);
    } else {
        hang_up(c, r->fd);
        finish(c, true, "");
    }
}

/* --- time --- */

static void on_timer(void *ctx)
{
    struct check *c = ctx;
    struct health_checks *h = c->health;
    if (c->is_running) {
        finish(c, false, "no answer in time");
    } else if (h->running >= HEALTH_CHECKS_RUNNING_MAX) {
        timer_after(&c->timer, HEALTH_CHECKS_WAIT_MS + draw(h, HEALTH_CHECKS_WAIT_MS));
    } else {
        c->is_running = true;
        h->running++;
        timer_after(&c->timer, spec_of(c)->timeout_ms);
        c->dial = dial_open(h->loop, c->endpoint->address, (uint32_t)spec_of(c)->timeout_ms,
                            on_dialled, c);
    }
}

/* --- life --- */

struct health_checks *health_checks_new(struct loop *l, const struct rng *rng)
{
    struct health_checks *h = mem_zalloc(sizeof *h);
    h->loop = l;
    h->rng = *rng;
    return h;
}

static void add_check(struct health_checks *h, struct cluster *cluster, struct endpoint *p,
                      size_t index)
{
    struct check *c = mem_zalloc(sizeof *c);
    *c = (struct check){
        .health = h, .next = h->first, .cluster = cluster, .endpoint = p, .index = index};
    h->first = c;
    cluster->refs++;
    timer_init(&c->timer, h->loop, on_timer, c);
    timer_after(&c->timer, draw(h, HEALTH_CHECKS_FIRST_MS));
}

void health_checks_add(struct health_checks *h, struct cluster *c)
{
    for (size_t i = 0; i < c->endpoints.count; i++) {
        for (size_t k = 0; k < c->spec->check_count; k++)
            add_check(h, c, c->endpoints.seats[i].endpoint, k);
    }
}

void health_checks_clear(struct health_checks *h)
{
    while (h->first) {
        struct check *c = h->first;
        h->first = c->next;
        stop(c);
        timer_fini(&c->timer);
        cluster_leave(c->cluster);
        mem_free(c);
    }
}

void health_checks_free(struct health_checks *h)
{
    if (!h)
        return;
    health_checks_clear(h);
    mem_free(h);
}
