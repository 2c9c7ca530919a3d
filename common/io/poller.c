#include "common/io/poller.h"

#include "common/base/check.h"
#include "common/base/mem.h"

enum { POLLERS_KEPT = 1024 }; /* so many numbers of sockets */

struct poller {
    uv_poll_t uv;
    struct loop *loop;
    int fd;
    int events;
    poller_fn fn;
    void *ctx;
};

static void on_event(uv_poll_t *uv, int status, int events)
{
    struct poller *p = uv->data;
    if (status < 0) /* libuv has stopped it */
        p->events = 0;
    p->fn(p->ctx, status, events);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static struct poller *make(struct loop *l, int fd)
{
    struct poller *p = mem_zalloc(sizeof *p);
    p->loop = l;
    p->fd = fd;
    CHECK(uv_poll_init(&l->uv, &p->uv, fd) == 0);
    p->uv.data = p;
    return p;
}

struct poller *poller_open(struct loop *l, int fd, poller_fn fn, void *ctx)
{
    struct poller **kept = l->pollers && fd < POLLERS_KEPT ? &l->pollers[fd] : NULL;
    struct poller *p = kept ? *kept : NULL;
    if (p)
        *kept = NULL;
    else
        p = make(l, fd);
    p->fn = fn;
    p->ctx = ctx;
    return p;
}

void poller_set(struct poller *p, int events)
{
    if (events == p->events)
        return;
    p->events = events;
    if (events)
        CHECK(uv_poll_start(&p->uv, events, on_event) == 0);
    else
        (void)uv_poll_stop(&p->uv);
}

void poller_close(struct poller *p)
{
    struct loop *l = p->loop;
    if (!l->pollers)
        l->pollers = mem_zalloc_array(POLLERS_KEPT, sizeof *l->pollers);
    poller_set(p, 0);
    if (p->fd < POLLERS_KEPT && !l->pollers[p->fd])
        l->pollers[p->fd] = p;
    else
        uv_close((uv_handle_t *)&p->uv, on_closed);
}

void pollers_free(struct loop *l)
{
    for (size_t i = 0; l->pollers && i < POLLERS_KEPT; i++) {
        if (l->pollers[i])
            uv_close((uv_handle_t *)&l->pollers[i]->uv, on_closed);
    }
    mem_free(l->pollers);
    l->pollers = NULL;
}
