#include "proxy/probes.h"

#include <pthread.h>

#include "common/base/mem.h"
#include "common/daemon/log.h"

struct probe_run {
    struct probes *owner; /* NULL once nobody waits any more; under `lock` */
    struct probe_run *next;
    struct probe_order *order;
    struct probe_result result;
};

struct probes {
    struct loop *loop;
    probes_done_fn done;
    void *ctx;
    struct probe_run *first;
    size_t count;
};

/* Between the threads and probes_free: a thread may outlast both its owner and the loop. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void free_run(struct probe_run *r)
{
    probe_order_fini(r->order);
    mem_free(r->order);
    probe_result_fini(&r->result);
    mem_free(r);
}

static void on_done(void *ctx)
{
    struct probe_run *r = ctx;
    struct probes *p = r->owner; /* only the loop's thread takes it away */
    if (p) {
        struct probe_run **at = &p->first;
        while (*at != r)
            at = &(*at)->next;
        *at = r->next;
        p->count--;
        p->done(p->ctx, r->order, &r->result);
    }
    free_run(r);
}

static void *run(void *ctx)
{
    struct probe_run *r = ctx;
    probe_run(r->order, &r->result);
    (void)pthread_mutex_lock(&lock);
    bool wanted = r->owner != NULL;
    if (wanted)
        loop_post(r->owner->loop, on_done, r);
    (void)pthread_mutex_unlock(&lock);
    if (!wanted)
        free_run(r);
    return NULL;
}

static bool start_thread(struct probe_run *r)
{
    pthread_attr_t attr;
    pthread_t thread;
    if (pthread_attr_init(&attr) != 0)
        return false;
    bool ok = pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_create(&thread, &attr, run, r) == 0;
    (void)pthread_attr_destroy(&attr);
    return ok;
}

struct probes *probes_new(struct loop *loop, probes_done_fn done, void *ctx)
{
    struct probes *p = mem_zalloc(sizeof *p);
    *p = (struct probes){.loop = loop, .done = done, .ctx = ctx};
    return p;
}

void probes_start(struct probes *p, struct probe_order *order)
{
    struct probe_run *r = mem_zalloc(sizeof *r);
    *r = (struct probe_run){.owner = p, .next = p->first, .order = order};
    probe_result_init(&r->result);
    p->first = r;
    p->count++;
    log_info("probe", LOG_STR("id", order->id), LOG_STR("upstream", order->address),
             LOG_U64("kind", order->kind));
    if (p->count <= PROBES_MAX && start_thread(r))
        return;
    probe_step_add(&r->result, PROBE_STEP_CONNECT, PROBE_BUSY, 0, VIEW("too many probes at once"));
    loop_post(p->loop, on_done, r);
}

void probes_free(struct probes *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&lock);
    for (struct probe_run *r = p->first; r; r = r->next) {
        atomic_store(&r->order->cancelled, true);
        r->owner = NULL;
    }
    (void)pthread_mutex_unlock(&lock);
    mem_free(p);
}
