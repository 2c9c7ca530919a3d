#include "common/io/timer.h"

#include "common/base/check.h"
#include "common/base/mem.h"

struct timer_handle {
    uv_timer_t uv;
    timer_fn fn;
    void *ctx;
    uint64_t at;
};

static void on_timer(uv_timer_t *uv)
{
    struct timer_handle *h = uv->data;
    h->at = TIMER_NEVER;
    h->fn(h->ctx);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void timer_init(struct timer *t, struct loop *l, timer_fn fn, void *ctx)
{
    struct timer_handle *h = mem_zalloc(sizeof *h);
    h->fn = fn;
    h->ctx = ctx;
    h->at = TIMER_NEVER;
    CHECK(uv_timer_init(&l->uv, &h->uv) == 0);
    h->uv.data = h;
    t->handle = h;
}

void timer_fini(struct timer *t)
{
    if (!t->handle)
        return;
    uv_close((uv_handle_t *)&t->handle->uv, on_closed);
    t->handle = NULL;
}

static void on_closed_then(uv_handle_t *handle)
{
    struct timer_handle *h = handle->data;
    timer_fn fn = h->fn;
    void *ctx = h->ctx;
    mem_free(h);
    fn(ctx);
}

void timer_fini_then(struct timer *t, timer_fn fn, void *ctx)
{
    struct timer_handle *h = t->handle;
    h->fn = fn;
    h->ctx = ctx;
    uv_close((uv_handle_t *)&h->uv, on_closed_then);
    t->handle = NULL;
}

void timer_set(struct timer *t, uint64_t at_ms)
{
    struct timer_handle *h = t->handle;
    if (at_ms == TIMER_NEVER) {
        timer_clear(t);
        return;
    }
    uint64_t now = uv_now(h->uv.loop);
    CHECK(uv_timer_start(&h->uv, on_timer, at_ms > now ? at_ms - now : 0, 0) == 0);
    h->at = at_ms;
}

void timer_after(struct timer *t, uint64_t delay_ms)
{
    timer_set(t, uv_now(t->handle->uv.loop) + delay_ms);
}

void timer_clear(struct timer *t)
{
    if (!t->handle)
        return;
    (void)uv_timer_stop(&t->handle->uv);
    t->handle->at = TIMER_NEVER;
}

uint64_t timer_at(const struct timer *t)
{
    return t->handle ? t->handle->at : TIMER_NEVER;
}
