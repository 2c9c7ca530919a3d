#include "proxy/rsa_pool.h"

#include <semaphore.h>

#include "common/base/check.h"
#include "common/io/timer.h"
#include "tests/support/test.h"

/* Keys are quick here (another type), and made when the test lets them. */
static sem_t gate;
static atomic_int made;
static atomic_bool is_open;

static enum err make(struct private_key *k, const atomic_bool *stop)
{
    struct rng rng = rng_system();
    while (!atomic_load(&is_open) && sem_trywait(&gate) != 0) {
        if (atomic_load(stop))
            return ERR_CANCELLED;
        uv_sleep(1);
    }
    atomic_fetch_add(&made, 1);
    return private_key_generate(k, KEY_ED25519, &rng);
}

struct fixture {
    struct loop loop;
    struct rsa_pool *pool;
    struct timer timer;
    bool (*until)(struct fixture *f);
    char given[64]; /* names of who got a key, in order */
    size_t len;
};

struct waiter {
    struct rsa_wait wait;
    struct fixture *f;
    char name;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    loop_init(&f->loop);
    assert_int_equal(sem_init(&gate, 0, 0), 0);
    atomic_store(&made, 0);
    atomic_store(&is_open, false);
    f->pool = rsa_pool_new(&f->loop, make);
    *state = f;
    return 0;
}

static void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    loop_stop(&f->loop);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rsa_pool_close(f->pool, on_closed, f);
    loop_run(&f->loop);
    rsa_pool_free(f->pool);
    loop_fini(&f->loop);
    (void)sem_destroy(&gate);
    mem_free(f);
    return 0;
}

static void on_timer(void *ctx)
{
    struct fixture *f = ctx;
    if (!f->until(f)) {
        timer_after(&f->timer, 1);
        return;
    }
    timer_fini(&f->timer);
    loop_stop(&f->loop);
}

/* The test's own time-out ends it otherwise. */
static void run_until(struct fixture *f, bool (*until)(struct fixture *f))
{
    f->until = until;
    timer_init(&f->timer, &f->loop, on_timer, f);
    timer_after(&f->timer, 1);
    loop_run(&f->loop);
}

static void on_key(struct rsa_wait *w, struct private_key *key)
{
    struct waiter *who = CONTAINER_OF(w, struct waiter, wait);
    assert_non_null(key->pkey);
    assert_false(w->is_waiting);
    who->f->given[who->f->len++] = who->name;
    private_key_fini(key);
}

static bool has_one(struct fixture *f)
{
    return rsa_pool_depth(f->pool) == 1;
}

static bool is_full(struct fixture *f)
{
    return rsa_pool_depth(f->pool) == RSA_POOL_FULL;
}

static bool has_given_two(struct fixture *f)
{
    return f->len == 2;
}

/* One is made ahead; the first demand raises that, and the pool stays within its bound. */
static void test_made_ahead(void **state)
{
    struct fixture *f = *state;
    struct private_key key = {0};
    atomic_store(&is_open, true);
    run_until(f, has_one);
    assert_int_equal(atomic_load(&made), RSA_POOL_START);
    assert_true(rsa_pool_take(f->pool, &key));
    assert_non_null(key.pkey);
    private_key_fini(&key);
    run_until(f, is_full);
    assert_int_equal(atomic_load(&made), 1 + RSA_POOL_FULL);
    /* Each key once. */
    struct public_key seen[RSA_POOL_FULL] = {0};
    atomic_store(&is_open, false);
    for (size_t i = 0; i < RSA_POOL_FULL; i++) {
        assert_true(rsa_pool_take(f->pool, &key));
        public_key_copy(&seen[i], &key.public);
        private_key_fini(&key);
        for (size_t k = 0; k < i; k++)
            assert_false(public_key_equal(&seen[i], &seen[k]));
    }
    assert_false(rsa_pool_take(f->pool, &key));
    for (size_t i = 0; i < RSA_POOL_FULL; i++)
        public_key_fini(&seen[i]);
}

/* Who finds it empty waits, in order; who leaves is passed over. */
static void test_waiting(void **state)
{
    struct fixture *f = *state;
    struct private_key key = {0};
    struct waiter w[4];
    assert_false(rsa_pool_take(f->pool, &key));
    for (size_t i = 0; i < ARRAY_LEN(w); i++) {
        w[i] = (struct waiter){.f = f, .name = (char)('a' + i)};
        rsa_pool_wait(f->pool, &w[i].wait, on_key);
    }
    rsa_pool_leave(f->pool, &w[0].wait);
    rsa_pool_leave(f->pool, &w[0].wait);
    rsa_pool_leave(f->pool, &w[2].wait);
    (void)sem_post(&gate);
    (void)sem_post(&gate);
    run_until(f, has_given_two);
    assert_string_equal(f->given, "bd");
    assert_int_equal(rsa_pool_depth(f->pool), 0);
    /* And the rest is for the pool. */
    atomic_store(&is_open, true);
    run_until(f, is_full);
}

/* The end does not wait for the key under way. */
static void test_close_while_making(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(rsa_pool_depth(f->pool), 0);
    assert_int_equal(atomic_load(&made), 0);
}

static void test_real_key(void **state)
{
    (void)state;
    struct fixture f = {0};
    loop_init(&f.loop);
    f.pool = rsa_pool_new(&f.loop, NULL);
    run_until(&f, has_one);
    struct private_key key;
    assert_true(rsa_pool_take(f.pool, &key));
    assert_int_equal(key.public.type, KEY_RSA);
    assert_int_equal(public_key_bits(&key.public), KEY_RSA_BITS);
    private_key_fini(&key);
    /* Now the next is under way; close gives it up. */
    rsa_pool_close(f.pool, on_closed, &f);
    loop_run(&f.loop);
    rsa_pool_free(f.pool);
    rsa_pool_free(NULL);
    loop_fini(&f.loop);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_made_ahead),
        TEST(test_waiting),
        TEST(test_close_while_making),
        cmocka_unit_test(test_real_key),
    };
    return RUN(tests);
}
