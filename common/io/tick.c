#include "common/io/tick.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"

enum { NS_PER_US = 1000 };

struct loop_ticks {
    uv_poll_t poll;
    int fd;
    struct tick *waiting;
    struct tick *due; /* of the present tick, and not yet called */
    bool is_running;  /* inside the tick, which arms the timer at its end */
};

static void link_first(struct tick **head, struct tick *t)
{
    t->next = *head;
    if (t->next)
        t->next->link = &t->next;
    t->link = head;
    *head = t;
}

/* 0: not at all. Either way the kernel forgets that the last tick has come. */
static void arm(struct loop_ticks *ticks, long us)
{
    const struct itimerspec spec = {.it_value.tv_nsec = us * NS_PER_US};
    CHECK(timerfd_settime(ticks->fd, 0, &spec, NULL) == 0);
}

/* Who began to wait only just now waits for the next tick. */
static void take_due(struct loop_ticks *ticks)
{
    uint64_t now = uv_hrtime();
    struct tick *next;
    for (struct tick *t = ticks->waiting; t; t = next) {
        next = t->next;
        if (now - t->set_at < (uint64_t)(TICK_MAX_US - TICK_US) * NS_PER_US)
            continue;
        tick_clear(t);
        link_first(&ticks->due, t);
    }
}

static void on_timer(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct loop_ticks *ticks = poll->data;
    ticks->is_running = true;
    take_due(ticks);
    while (ticks->due) {
        struct tick *t = ticks->due;
        tick_clear(t);
        t->fn(t->ctx);
    }
    ticks->is_running = false;
    arm(ticks, ticks->waiting ? TICK_US : 0);
}

static struct loop_ticks *ticks_of(struct loop *l)
{
    if (l->ticks)
        return l->ticks;
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct loop_ticks *ticks = mem_zalloc(sizeof *ticks);
    ticks->fd = fd;
    CHECK(uv_poll_init(&l->uv, &ticks->poll, fd) == 0);
    ticks->poll.data = ticks;
    CHECK(uv_poll_start(&ticks->poll, UV_READABLE, on_timer) == 0);
    uv_unref((uv_handle_t *)&ticks->poll);
    l->ticks = ticks;
    return ticks;
}

void tick_init(struct tick *t, struct loop *l, loop_fn fn, void *ctx)
{
    *t = (struct tick){.loop = l, .fn = fn, .ctx = ctx};
}

bool tick_set(struct tick *t)
{
    struct loop_ticks *ticks = ticks_of(t->loop);
    if (!ticks || t->link)
        return ticks;
    if (!ticks->waiting && !ticks->is_running)
        arm(ticks, TICK_US);
    link_first(&ticks->waiting, t);
    t->set_at = uv_hrtime();
    return true;
}

/* A timer that nobody waits for any more ticks once and finds nobody. */
void tick_clear(struct tick *t)
{
    if (!t->link)
        return;
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->next = NULL;
    t->link = NULL;
}

bool tick_is_set(const struct tick *t)
{
    return t->link;
}

static void on_closed(uv_handle_t *handle)
{
    struct loop_ticks *ticks = handle->data;
    (void)close(ticks->fd);
    mem_free(ticks);
}

void tick_loop_fini(struct loop *l)
{
    struct loop_ticks *ticks = l->ticks;
    if (!ticks)
        return;
    CHECK(!ticks->waiting && !ticks->due);
    l->ticks = NULL;
    uv_close((uv_handle_t *)&ticks->poll, on_closed);
}
