#include "common/io/crew.h"

#include <pthread.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/check.h"
#include "common/base/mem.h"

struct crew {
    struct loop *loop;
    char name[CREW_NAME_MAX + 1];
    int nice;
    size_t count;
    size_t started;
    uv_thread_t threads[CREW_THREADS_MAX];
    size_t untold; /* jobs whose done has not been called; the loop's */
    uv_mutex_t lock;
    uv_cond_t wake;
    /* Under the lock: */
    struct crew_job *first;
    struct crew_job *last;
    bool is_ending;
};

static void tell(void *ctx)
{
    struct crew_job *job = ctx;
    job->crew->untold--;
    job->done(job);
}

/* NULL: the end. */
static struct crew_job *take(struct crew *c)
{
    uv_mutex_lock(&c->lock);
    while (!c->first && !c->is_ending)
        uv_cond_wait(&c->wake, &c->lock);
    struct crew_job *job = c->first;
    if (job) {
        c->first = job->next;
        if (!c->first)
            c->last = NULL;
    }
    uv_mutex_unlock(&c->lock);
    return job;
}

static void run(void *ctx)
{
    struct crew *c = ctx;
    struct crew_job *job;
    (void)pthread_setname_np(pthread_self(), c->name);
    /* On Linux, 0 is the calling thread alone. */
    if (c->nice)
        (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + c->nice);
    while ((job = take(c))) {
        job->work(job);
        loop_post(c->loop, tell, job);
    }
}

struct crew *crew_new(struct loop *l, const char *name, size_t threads, int nice)
{
    struct crew *c = mem_zalloc(sizeof *c);
    CHECK(threads && threads <= CREW_THREADS_MAX && strlen(name) <= CREW_NAME_MAX);
    c->loop = l;
    c->count = threads;
    c->nice = nice;
    memcpy(c->name, name, strlen(name));
    CHECK(uv_mutex_init(&c->lock) == 0 && uv_cond_init(&c->wake) == 0);
    return c;
}

size_t crew_size(void)
{
    unsigned n = uv_available_parallelism();
    return n < 2 ? 2 : n > CREW_THREADS_MAX ? CREW_THREADS_MAX : n;
}

void crew_run(struct crew *c, struct crew_job *job)
{
    job->crew = c;
    job->next = NULL;
    c->untold++;
    uv_mutex_lock(&c->lock);
    if (c->last)
        c->last->next = job;
    else
        c->first = job;
    c->last = job;
    uv_cond_signal(&c->wake);
    uv_mutex_unlock(&c->lock);
    if (c->started < c->count)
        CHECK(uv_thread_create(&c->threads[c->started++], run, c) == 0);
}

void crew_free(struct crew *c)
{
    if (!c)
        return;
    CHECK(!c->untold);
    uv_mutex_lock(&c->lock);
    c->is_ending = true;
    uv_cond_broadcast(&c->wake);
    uv_mutex_unlock(&c->lock);
    for (size_t i = 0; i < c->started; i++)
        CHECK(uv_thread_join(&c->threads[i]) == 0);
    uv_cond_destroy(&c->wake);
    uv_mutex_destroy(&c->lock);
    mem_free(c);
}
