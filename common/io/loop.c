#include "common/io/loop.h"

#include <signal.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/io/poller.h"
#include "common/io/tick.h"

struct loop_post {
    struct loop_post *next;
    loop_fn fn;
    void *ctx;
};

struct loop_signal {
    uv_signal_t uv;
    loop_fn fn;
    void *ctx;
};

static struct loop_post *take_posted(struct loop *l)
{
    uv_mutex_lock(&l->lock);
    struct loop_post *first = l->first;
    l->first = l->last = NULL;
    uv_mutex_unlock(&l->lock);
    return first;
}

static void run_posted(struct loop *l)
{
    for (struct loop_post *p = take_posted(l); p;) {
        struct loop_post *next = p->next;
        p->fn(p->ctx);
        mem_free(p);
        p = next;
    }
}

static void on_wake(uv_async_t *wake)
{
    struct loop *l = wake->data;
    run_posted(l);
    if (atomic_load(&l->stopping))
        uv_stop(&l->uv);
}

static void on_turn(uv_prepare_t *turn)
{
    struct loop *l = turn->data;
    l->turns++;
}

void loop_init(struct loop *l)
{
    *l = (struct loop){.scratch = mem_zalloc(LOOP_WIRE)};
    atomic_init(&l->stopping, false);
    (void)signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&l->uv) == 0);
    CHECK(uv_mutex_init(&l->lock) == 0);
    CHECK(uv_async_init(&l->uv, &l->wake, on_wake) == 0);
    l->wake.data = l;
    CHECK(uv_prepare_init(&l->uv, &l->turn) == 0);
    l->turn.data = l;
    CHECK(uv_prepare_start(&l->turn, on_turn) == 0);
    uv_unref((uv_handle_t *)&l->turn);
}

void loop_fini(struct loop *l)
{
    CHECK(!l->threaded);
    uv_unref((uv_handle_t *)&l->wake);
    uint64_t end = loop_clock_ms() + LOOP_FINI_MS;
    do {
        run_posted(l);
        (void)uv_run(&l->uv, UV_RUN_ONCE);
        CHECK(loop_clock_ms() < end);
    } while (uv_loop_alive(&l->uv) || l->first);
    pollers_free(l);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->turn, NULL);
    tick_loop_fini(l);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&l->uv) == 0);
    uv_mutex_destroy(&l->lock);
    mem_free(l->scratch);
    mem_free(l->wire_in);
    mem_free(l->wire_out);
    mem_free(l->datagrams);
    l->scratch = l->wire_in = l->wire_out = NULL;
    l->datagrams = NULL;
}

void loop_run(struct loop *l)
{
    while (!atomic_load(&l->stopping))
        (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    atomic_store(&l->stopping, false);
}

void loop_stop(struct loop *l)
{
    atomic_store(&l->stopping, true);
    (void)uv_async_send(&l->wake);
}

static void run_thread(void *ctx)
{
    loop_run(ctx);
}

void loop_start(struct loop *l)
{
    CHECK(!l->threaded);
    l->threaded = true;
    CHECK(uv_thread_create(&l->thread, run_thread, l) == 0);
}

void loop_join(struct loop *l)
{
    CHECK(l->threaded);
    CHECK(uv_thread_join(&l->thread) == 0);
    l->threaded = false;
}

void loop_post(struct loop *l, loop_fn fn, void *ctx)
{
    struct loop_post *p = mem_zalloc(sizeof *p);
    *p = (struct loop_post){.fn = fn, .ctx = ctx};
    uv_mutex_lock(&l->lock);
    if (l->last)
        l->last->next = p;
    else
        l->first = p;
    l->last = p;
    uv_mutex_unlock(&l->lock);
    (void)uv_async_send(&l->wake);
}

uint64_t loop_now_ms(const struct loop *l)
{
    return uv_now(&l->uv);
}

uint64_t loop_clock_ms(void)
{
    return uv_hrtime() / 1000000;
}

uint64_t loop_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void on_signal(uv_signal_t *uv, int number)
{
    (void)number;
    struct loop_signal *s = uv->data;
    s->fn(s->ctx);
}

struct loop_signal *loop_signal_open(struct loop *l, int number, loop_fn fn, void *ctx)
{
    struct loop_signal *s = mem_zalloc(sizeof *s);
    s->fn = fn;
    s->ctx = ctx;
    CHECK(uv_signal_init(&l->uv, &s->uv) == 0);
    s->uv.data = s;
    CHECK(uv_signal_start(&s->uv, on_signal, number) == 0);
    return s;
}

static void on_signal_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void loop_signal_close(struct loop_signal *s)
{
    if (s)
        uv_close((uv_handle_t *)&s->uv, on_signal_closed);
}
