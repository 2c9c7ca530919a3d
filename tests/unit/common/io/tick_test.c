#include "common/io/tick.h"

#include <sys/resource.h>

#include "tests/unit/common/io/io_fixture.h"

struct waiter {
    struct tick tick;
    int calls;
    int again;           /* times that it sets itself anew */
    struct tick *clears; /* another's */
};

static void on_tick(void *ctx)
{
    struct waiter *w = ctx;
    assert_false(tick_is_set(&w->tick));
    w->calls++;
    if (w->clears)
        tick_clear(w->clears);
    if (w->again-- > 0)
        assert_true(tick_set(&w->tick));
}

struct fixture {
    struct loop loop;
    struct waiter w[3];
};

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    loop_init(&f->loop);
    for (size_t i = 0; i < ARRAY_LEN(f->w); i++)
        tick_init(&f->w[i].tick, &f->loop, on_tick, &f->w[i]);
}

static void run_some(struct fixture *f)
{
    for (int i = 0; i < 10; i++) {
        (void)usleep(2 * TICK_MAX_US);
        (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    }
}

static void test_once(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    for (int round = 1; round <= 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(f.w); i++) {
            assert_true(tick_set(&f.w[i].tick));
            assert_true(tick_set(&f.w[i].tick));
            assert_int_equal(f.w[i].calls, round - 1);
        }
        WAIT(&f.loop, f.w[0].calls == round && f.w[1].calls == round && f.w[2].calls == round);
        run_some(&f);
    }
    for (size_t i = 0; i < ARRAY_LEN(f.w); i++)
        assert_int_equal(f.w[i].calls, 3);
    loop_fini(&f.loop);
}

/* Never before half a tick has passed, even when others have waited for longer. */
static void test_not_too_soon(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.w[0].again = INT32_MAX;
    assert_true(tick_set(&f.w[0].tick));
    for (int i = 1; i <= 300; i++) {
        uint64_t begun = uv_hrtime();
        assert_true(tick_set(&f.w[1].tick));
        while (f.w[1].calls < i)
            (void)uv_run(&f.loop.uv, UV_RUN_NOWAIT);
        assert_true(uv_hrtime() - begun >= (TICK_MAX_US - TICK_US) * UINT64_C(1000));
    }
    tick_clear(&f.w[0].tick);
    loop_fini(&f.loop);
}

static void test_again(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    f.w[0].again = 10;
    assert_true(tick_set(&f.w[0].tick));
    WAIT(&f.loop, f.w[0].calls == 11);
    run_some(&f);
    assert_int_equal(f.w[0].calls, 11);
    loop_fini(&f.loop);
}

static void test_clear(void **state)
{
    (void)state;
    struct fixture f;
    struct tick none = {0};
    begin(&f);
    tick_clear(&none);
    assert_true(tick_set(&f.w[0].tick));
    tick_clear(&f.w[0].tick);
    assert_false(tick_is_set(&f.w[0].tick));
    run_some(&f);
    assert_int_equal(f.w[0].calls, 0);
    /* One that is due as well: whichever of the two is called first. */
    f.w[1].clears = &f.w[2].tick;
    f.w[2].clears = &f.w[1].tick;
    assert_true(tick_set(&f.w[1].tick));
    assert_true(tick_set(&f.w[2].tick));
    WAIT(&f.loop, f.w[1].calls + f.w[2].calls > 0);
    run_some(&f);
    assert_int_equal(f.w[1].calls + f.w[2].calls, 1);
    /* The loop ends while its timer runs. */
    assert_true(tick_set(&f.w[0].tick));
    tick_clear(&f.w[0].tick);
    loop_fini(&f.loop);
}

static void test_no_timer(void **state)
{
    (void)state;
    struct fixture f;
    struct rlimit all;
    begin(&f);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    const struct rlimit few = {.rlim_cur = 3, .rlim_max = all.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    bool set = tick_set(&f.w[0].tick);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    assert_false(set);
    assert_false(tick_is_set(&f.w[0].tick));
    assert_true(tick_set(&f.w[0].tick));
    WAIT(&f.loop, f.w[0].calls == 1);
    loop_fini(&f.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_once),     cmocka_unit_test(test_not_too_soon),
        cmocka_unit_test(test_again),    cmocka_unit_test(test_clear),
        cmocka_unit_test(test_no_timer),
    };
    return RUN(tests);
}
