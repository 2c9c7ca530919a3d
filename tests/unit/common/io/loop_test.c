#include "common/io/loop.h"

#include <signal.h>

#include "common/io/timer.h"
#include "tests/support/test.h"

struct log {
    struct loop loop;
    char text[64];
    size_t len;
};

struct entry {
    struct log *log;
    char c;
};

static void add(void *ctx)
{
    struct entry *e = ctx;
    e->log->text[e->log->len++] = e->c;
}

static void stop(void *ctx)
{
    struct log *l = ctx;
    loop_stop(&l->loop);
}

static void test_post_keeps_order(void **state)
{
    (void)state;
    struct log l = {0};
    loop_init(&l.loop);
    struct entry a = {&l, 'a'};
    struct entry b = {&l, 'b'};
    loop_post(&l.loop, add, &a);
    loop_post(&l.loop, add, &b);
    loop_post(&l.loop, add, &a);
    loop_post(&l.loop, stop, &l);
    assert_int_equal(l.len, 0);
    loop_run(&l.loop);
    assert_string_equal(l.text, "aba");
    /* What is posted late runs in loop_fini. */
    loop_post(&l.loop, add, &b);
    loop_fini(&l.loop);
    assert_string_equal(l.text, "abab");
}

static void test_stop_before_run(void **state)
{
    (void)state;
    struct loop l;
    loop_init(&l);
    loop_stop(&l);
    loop_run(&l);
    loop_fini(&l);
}

enum { POSTS = 1000 };

struct counter {
    struct loop *loop;
    int count;
};

static void count(void *ctx)
{
    struct counter *c = ctx;
    if (++c->count == 2 * POSTS)
        loop_stop(c->loop);
}

static void post_many(void *ctx)
{
    struct counter *c = ctx;
    for (int i = 0; i < POSTS; i++)
        loop_post(c->loop, count, c);
}

static void test_post_from_threads(void **state)
{
    (void)state;
    struct loop l;
    loop_init(&l);
    struct counter c = {.loop = &l};
    uv_thread_t threads[2];
    loop_start(&l);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(uv_thread_create(&threads[i], post_many, &c), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(uv_thread_join(&threads[i]), 0);
    loop_join(&l);
    loop_fini(&l);
    assert_int_equal(c.count, 2 * POSTS);
}

struct fires {
    struct log *log;
    struct timer timer;
    char c;
    bool again;
    bool last;
};

static void on_timer(void *ctx)
{
    struct fires *f = ctx;
    f->log->text[f->log->len++] = f->c;
    assert_true(timer_at(&f->timer) == TIMER_NEVER);
    if (f->again) {
        f->again = false;
        timer_after(&f->timer, 1);
        return;
    }
    /* An owner may end its timer inside the callback. */
    timer_fini(&f->timer);
    if (f->last)
        loop_stop(&f->log->loop);
}

static void test_timers(void **state)
{
    (void)state;
    struct log l = {0};
    loop_init(&l.loop);
    struct fires a = {.log = &l, .c = 'a', .last = true};
    struct fires b = {.log = &l, .c = 'b', .again = true};
    struct fires never = {.log = &l, .c = 'x'};
    timer_init(&a.timer, &l.loop, on_timer, &a);
    timer_init(&b.timer, &l.loop, on_timer, &b);
    timer_init(&never.timer, &l.loop, on_timer, &never);
    uint64_t now = loop_now_ms(&l.loop);
    timer_set(&a.timer, now + 60);
    assert_int_equal(timer_at(&a.timer), now + 60);
    timer_set(&b.timer, 0); /* long past: the next turn */
    timer_set(&never.timer, now + 1);
    timer_set(&never.timer, TIMER_NEVER);
    loop_run(&l.loop);
    assert_string_equal(l.text, "bba");
    assert_true(loop_now_ms(&l.loop) >= now + 60);
    timer_fini(&never.timer);
    timer_fini(&never.timer);
    loop_fini(&l.loop);
}

static void test_signal(void **state)
{
    (void)state;
    struct log l = {0};
    loop_init(&l.loop);
    struct loop_signal *s = loop_signal_open(&l.loop, SIGUSR1, stop, &l);
    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(&l.loop);
    loop_signal_close(s);
    loop_signal_close(NULL);
    loop_fini(&l.loop);
}

static void test_clocks(void **state)
{
    (void)state;
    struct loop l;
    loop_init(&l);
    assert_true(loop_clock_ms() >= loop_now_ms(&l));
    assert_true(loop_clock_ms() - loop_now_ms(&l) < 60000);
    assert_true(loop_wall_ms() > 1600000000000u);
    loop_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_post_keeps_order),
        cmocka_unit_test(test_stop_before_run),
        cmocka_unit_test(test_post_from_threads),
        cmocka_unit_test(test_timers),
        cmocka_unit_test(test_signal),
        cmocka_unit_test(test_clocks),
    };
    return RUN(tests);
}
