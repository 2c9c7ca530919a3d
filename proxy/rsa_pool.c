#include "proxy/rsa_pool.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/crew.h"

enum { NICENESS = 5 };

struct rsa_pool {
    struct loop *loop;
    struct crew *crew;
    rsa_make_fn make;
    struct crew_job job;
    bool is_making;
    atomic_bool stop;
    struct private_key made; /* the thread's while is_making */
    enum err result;
    struct private_key ready[RSA_POOL_FULL];
    size_t count;
    size_t goal;
    struct rsa_wait *first;
    struct rsa_wait *last;
    loop_fn closed; /* NULL: not closing */
    void *closed_ctx;
};

static void on_make(struct crew_job *job)
{
    struct rsa_pool *p = CONTAINER_OF(job, struct rsa_pool, job);
    p->result = p->make(&p->made, &p->stop);
}

static void on_made(struct crew_job *job);

static void make_next(struct rsa_pool *p)
{
    if (p->is_making || p->closed || (p->count >= p->goal && !p->first))
        return;
    p->is_making = true;
    p->job = (struct crew_job){.work = on_make, .done = on_made};
    crew_run(p->crew, &p->job);
}

static void keep_or_give(struct rsa_pool *p, struct private_key *key)
{
    struct rsa_wait *w = p->first;
    if (w) {
        rsa_pool_leave(p, w);
        w->done(w, key);
    } else if (p->count < RSA_POOL_FULL) {
        p->ready[p->count++] = *key;
    } else {
        private_key_fini(key);
    }
}

static void on_made(struct crew_job *job)
{
    struct rsa_pool *p = CONTAINER_OF(job, struct rsa_pool, job);
    struct private_key key = p->made;
    p->made = (struct private_key){0};
    p->is_making = false;
    if (p->closed) {
        private_key_fini(&key);
        p->closed(p->closed_ctx);
        return;
    }
    if (p->result == OK)
        keep_or_give(p, &key);
    make_next(p);
}

struct rsa_pool *rsa_pool_new(struct loop *l, rsa_make_fn make)
{
    struct rsa_pool *p = mem_zalloc(sizeof *p);
    p->loop = l;
    p->crew = crew_new(l, "postern-rsa", 1, NICENESS);
    p->make = make ? make : private_key_generate_rsa;
    p->goal = RSA_POOL_START;
    atomic_init(&p->stop, false);
    make_next(p);
    return p;
}

bool rsa_pool_take(struct rsa_pool *p, struct private_key *out)
{
    bool has = p->count > 0;
    p->goal = RSA_POOL_FULL;
    if (has) {
        *out = p->ready[--p->count];
        p->ready[p->count] = (struct private_key){0};
    }
    make_next(p);
    return has;
}

void rsa_pool_wait(struct rsa_pool *p, struct rsa_wait *w, rsa_pool_fn done)
{
    CHECK(!w->is_waiting);
    *w = (struct rsa_wait){.done = done, .prev = p->last, .is_waiting = true};
    if (p->last)
        p->last->next = w;
    else
        p->first = w;
    p->last = w;
    make_next(p);
}

void rsa_pool_leave(struct rsa_pool *p, struct rsa_wait *w)
{
    if (!w->is_waiting)
        return;
    if (w->prev)
        w->prev->next = w->next;
    else
        p->first = w->next;
    if (w->next)
        w->next->prev = w->prev;
    else
        p->last = w->prev;
    w->next = w->prev = NULL;
    w->is_waiting = false;
}

size_t rsa_pool_depth(const struct rsa_pool *p)
{
    return p->count;
}

void rsa_pool_close(struct rsa_pool *p, loop_fn closed, void *ctx)
{
    CHECK(!p->first && !p->closed);
    p->closed = closed;
    p->closed_ctx = ctx;
    atomic_store(&p->stop, true);
    if (!p->is_making)
        loop_post(p->loop, closed, ctx);
}

void rsa_pool_free(struct rsa_pool *p)
{
    if (!p)
        return;
    CHECK(!p->is_making && !p->first);
    crew_free(p->crew);
    for (size_t i = 0; i < p->count; i++)
        private_key_fini(&p->ready[i]);
    mem_free(p);
}
