#include "common/io/crew.h"

#include <pthread.h>
#include <semaphore.h>

#include "common/base/check.h"
#include "common/io/timer.h"
#include "tests/support/test.h"

enum { JOBS = 200 };

struct fixture {
    struct loop loop;
    uv_thread_t thread; /* of the loop */
    sem_t gate;
    size_t told;
    size_t wanted;
    unsigned turns;
    struct timer timer;
};

struct task {
    struct fixture *f;
    struct crew_job job;
    size_t number;
    char name[CREW_NAME_MAX + 1];
    bool off_loop;
    bool is_done;
};

static void on_work(struct crew_job *job)
{
    struct task *t = CONTAINER_OF(job, struct task, job);
    uv_thread_t self = uv_thread_self();
    (void)pthread_getname_np(pthread_self(), t->name, sizeof t->name);
    t->off_loop = !uv_thread_equal(&self, &t->f->thread);
}

static void on_gate(struct crew_job *job)
{
    struct task *t = CONTAINER_OF(job, struct task, job);
    on_work(job);
    while (sem_wait(&t->f->gate) != 0)
        continue;
}

static void on_done(struct crew_job *job)
{
    struct task *t = CONTAINER_OF(job, struct task, job);
    uv_thread_t self = uv_thread_self();
    assert_true(uv_thread_equal(&self, &t->f->thread));
    assert_false(t->is_done);
    t->is_done = true;
    if (++t->f->told == t->f->wanted)
        loop_stop(&t->f->loop);
}

static void run_tasks(struct fixture *f, struct crew *c, struct task *tasks, crew_fn work)
{
    for (size_t i = 0; i < f->wanted; i++) {
        tasks[i] = (struct task){.f = f, .number = i};
        tasks[i].job = (struct crew_job){.work = work, .done = on_done};
        crew_run(c, &tasks[i].job);
    }
}

static void setup(struct fixture *f, size_t wanted)
{
    *f = (struct fixture){.wanted = wanted};
    loop_init(&f->loop);
    f->thread = uv_thread_self();
    assert_int_equal(sem_init(&f->gate, 0, 0), 0);
}

static void teardown(struct fixture *f)
{
    loop_fini(&f->loop);
    (void)sem_destroy(&f->gate);
}

static void test_every_job_once(void **state)
{
    (void)state;
    struct fixture f;
    static struct task tasks[JOBS];
    setup(&f, JOBS);
    struct crew *c = crew_new(&f.loop, "postern-test", 4, 0);
    run_tasks(&f, c, tasks, on_work);
    loop_run(&f.loop);
    for (size_t i = 0; i < JOBS; i++) {
        assert_true(tasks[i].is_done && tasks[i].off_loop);
        assert_string_equal(tasks[i].name, "postern-test");
    }
    crew_free(c);
    crew_free(NULL);
    teardown(&f);
}

/* Timers of the loop go on while every thread is held up; then they are let go. */
static void on_turn(void *ctx)
{
    struct fixture *f = ctx;
    assert_int_equal(f->told, 0);
    if (++f->turns < 20) {
        timer_after(&f->timer, 1);
        return;
    }
    timer_fini(&f->timer);
    for (size_t i = 0; i < f->wanted; i++)
        (void)sem_post(&f->gate);
}

static void test_loop_goes_on(void **state)
{
    (void)state;
    struct fixture f;
    struct task tasks[8];
    setup(&f, 8);
    struct crew *c = crew_new(&f.loop, "postern-test", 2, 0);
    timer_init(&f.timer, &f.loop, on_turn, &f);
    run_tasks(&f, c, tasks, on_gate);
    timer_after(&f.timer, 1);
    loop_run(&f.loop);
    assert_int_equal(f.turns, 20);
    assert_int_equal(f.told, 8);
    crew_free(c);
    teardown(&f);
}

static size_t order[JOBS];
static size_t order_len;

static void on_ordered(struct crew_job *job)
{
    order[order_len++] = CONTAINER_OF(job, struct task, job)->number;
}

static void test_order_of_one_thread(void **state)
{
    (void)state;
    struct fixture f;
    static struct task tasks[JOBS];
    setup(&f, JOBS);
    struct crew *c = crew_new(&f.loop, "postern-test", 1, 5);
    order_len = 0;
    run_tasks(&f, c, tasks, on_ordered);
    loop_run(&f.loop);
    crew_free(c);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(order[i], i);
    teardown(&f);
}

static void test_no_job(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 0);
    assert_in_range(crew_size(), 2, CREW_THREADS_MAX);
    crew_free(crew_new(&f.loop, "x", 1, 0));
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_job_once),
        cmocka_unit_test(test_loop_goes_on),
        cmocka_unit_test(test_order_of_one_thread),
        cmocka_unit_test(test_no_job),
    };
    return RUN(tests);
}
