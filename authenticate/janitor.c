#include "authenticate/janitor.h"

#include "authenticate/keeper.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/daemon/metrics.h"

enum { LEASE_MS = 30000, RENEW_MS = 10000, RETRY_MS = 2000 };

static const char lease_name[] = "identity_manager";

struct janitor {
    struct server *server;
    struct broker *broker;
    struct timer timer;
    char *lease;      /* NULL: somebody else holds it */
    uint64_t until;   /* when it ends */
    uint64_t sent_at; /* when the call was made */
    uint64_t call;    /* under way, 0 = none */
    struct keeper *keeper;
};

static void lose_lease(struct janitor *j)
{
    if (j->lease)
        log_info("keeping sessions no longer", LOG_STR("event", lease_name));
    metrics_set(METRIC_LEADING, 0);
    mem_free(j->lease);
    j->lease = NULL;
    keeper_free(j->keeper);
    j->keeper = NULL;
}

static void take_lease(struct janitor *j, const char *lease_id)
{
    metrics_set(METRIC_LEADING, 1);
    if (lease_id)
        mem_set_str(&j->lease, lease_id);
    if (!j->keeper) {
        log_info("keeping sessions", LOG_STR("event", lease_name));
        j->keeper = keeper_new(j->server, j->broker);
    }
    j->until = j->sent_at + LEASE_MS;
    keeper_extend(j->keeper, j->until);
}

static void on_lease(void *ctx, enum err e, const char *text, const char *lease_id)
{
    struct janitor *j = ctx;
    uint64_t next = RENEW_MS;
    j->call = 0;
    if (e == OK) {
        take_lease(j, lease_id);
    } else if (j->lease && e != ERR_EXISTS && loop_now_ms(j->server->loop) < j->until) {
        next = RETRY_MS; /* it is still ours */
    } else {
        /* A databroker that was restarted knows of no lease: ask at once for a new one. */
        next = j->lease ? 0 : RENEW_MS;
        lose_lease(j);
    }
    if (e != OK && e != ERR_EXISTS)
        log_debug("no lease", LOG_STR("error", *text ? text : err_text(e)));
    timer_after(&j->timer, next);
}

static void on_timer(void *ctx)
{
    struct janitor *j = ctx;
    const struct records *r = &j->broker->records;
    j->sent_at = loop_now_ms(j->server->loop);
    if (j->lease)
        j->call = records_lease_renew(r, lease_name, j->lease, LEASE_MS, on_lease, j);
    else
        j->call = records_lease_acquire(r, lease_name, LEASE_MS, on_lease, j);
}

struct janitor *janitor_new(struct server *s)
{
    struct janitor *j = mem_zalloc(sizeof *j);
    j->server = s;
    j->broker = broker_ref(s->broker);
    metrics_set(METRIC_LEADING, 0);
    timer_init(&j->timer, s->loop, on_timer, j);
    timer_after(&j->timer, 0);
    return j;
}

static void leave_broker(struct janitor *j)
{
    if (j->call)
        records_cancel(&j->broker->records, j->call);
    j->call = 0;
    keeper_free(j->keeper);
    j->keeper = NULL;
}

void janitor_reload(struct janitor *j)
{
    if (j->broker == j->server->broker)
        return;
    leave_broker(j);
    broker_unref(j->broker);
    j->broker = broker_ref(j->server->broker);
    timer_after(&j->timer, 0);
}

static void on_released(void *ctx, enum err e, const char *text, const char *lease_id)
{
    (void)ctx;
    (void)e;
    (void)text;
    (void)lease_id;
}

void janitor_free(struct janitor *j)
{
    if (!j)
        return;
    leave_broker(j);
    if (j->lease)
        (void)records_lease_release(&j->broker->records, lease_name, j->lease, on_released, NULL);
    timer_fini(&j->timer);
    broker_unref(j->broker);
    mem_free(j->lease);
    mem_free(j);
}
