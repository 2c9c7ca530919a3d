#include "proxy/ssh_startups.h"

#include "tests/support/test.h"

enum { MANY = 600 };

static const struct ssh_startups_limits limits = {.start = 10, .rate = 30, .full = 50};

static struct ssh_startup entries[MANY];

static struct view source(const char *name)
{
    return view_str(name);
}

static void add(struct ssh_startups *s, size_t first, size_t n, const char *from)
{
    for (size_t i = first; i < first + n; i++)
        ssh_startups_add(s, &entries[i], source(from), &entries[i]);
}

static void drop(struct ssh_startups *s, size_t first, size_t n)
{
    for (size_t i = first; i < first + n; i++)
        ssh_startups_remove(s, &entries[i]);
}

/* Of 100 evenly drawn newcomers, how many come in. */
static unsigned admitted(struct ssh_startups *s, const char *from)
{
    unsigned n = 0;
    for (uint32_t random = 0; random < 100; random++) {
        struct ssh_startup *victim;
        n += ssh_startups_admit(s, &limits, source(from), random, &victim);
    }
    return n;
}

static void test_below_start(void **state)
{
    (void)state;
    struct ssh_startups s = {0};
    add(&s, 0, 9, "a");
    assert_int_equal(admitted(&s, "a"), 100);
    drop(&s, 0, 9);
    assert_int_equal(map_count(&s.sources), 0);
    ssh_startups_fini(&s);
}

static void test_the_heaviest_source_is_refused(void **state)
{
    (void)state;
    struct ssh_startups s = {0};
    add(&s, 0, 10, "a");
    assert_int_equal(admitted(&s, "a"), 70);
    assert_int_equal(admitted(&s, "b"), 100);
    add(&s, 10, 20, "a");
    assert_int_equal(admitted(&s, "a"), 35); /* half way to full */
    assert_int_equal(admitted(&s, "b"), 100);
    drop(&s, 0, 30);
    ssh_startups_fini(&s);
}

static void test_many_sources(void **state)
{
    (void)state;
    struct ssh_startups s = {0};
    for (size_t i = 0; i < 30; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%zu", i);
        add(&s, i, 1, name);
    }
    assert_int_equal(admitted(&s, "new"), 35);
    drop(&s, 0, 30);
    ssh_startups_fini(&s);
}

static void test_full(void **state)
{
    (void)state;
    struct ssh_startups s = {0};
    struct ssh_startup *victim;
    add(&s, 0, 5, "b");
    add(&s, 5, 45, "a");
    assert_true(ssh_startups_admit(&s, &limits, source("c"), 0, &victim));
    assert_ptr_equal(victim, &entries[5]);
    assert_ptr_equal(ssh_startups_oldest(&s), &entries[5]);
    ssh_startups_remove(&s, victim);
    assert_true(ssh_startups_admit(&s, &limits, source("c"), 0, &victim));
    assert_null(victim);
    assert_ptr_equal(ssh_startups_oldest(&s), &entries[6]);
    drop(&s, 0, 5);
    drop(&s, 6, 44);
    ssh_startups_fini(&s);
}

static void test_proved_ones_do_not_count(void **state)
{
    (void)state;
    struct ssh_startups s = {0};
    add(&s, 0, 40, "a");
    for (size_t i = 0; i < 40; i += 2)
        ssh_startups_proved(&s, &entries[i]);
    ssh_startups_proved(&s, &entries[0]);
    assert_int_equal(s.unproved, 20);
    assert_ptr_equal(ssh_startups_oldest(&s), &entries[1]);
    for (size_t i = 1; i < 40; i += 2)
        ssh_startups_proved(&s, &entries[i]);
    assert_null(ssh_startups_oldest(&s));
    assert_int_equal(admitted(&s, "a"), 100);
    drop(&s, 0, 40);
    assert_int_equal(map_count(&s.sources), 0);
    ssh_startups_fini(&s);
}

static void test_waiting_caps(void **state)
{
    (void)state;
    struct ssh_startups s = {0};
    static struct ssh_startup waiting[SSH_WAITING_MAX + SSH_WAITING_SOURCE_MAX];
    add(&s, 0, SSH_WAITING_SOURCE_MAX + 1, "a");
    for (size_t i = 0; i < SSH_WAITING_SOURCE_MAX; i++)
        assert_int_equal(ssh_startups_wait(&s, &entries[i]), SSH_WAIT_OK);
    assert_int_equal(ssh_startups_wait(&s, &entries[0]), SSH_WAIT_OK); /* it waits already */
    assert_int_equal(ssh_startups_wait(&s, &entries[SSH_WAITING_SOURCE_MAX]), SSH_WAIT_SOURCE_FULL);
    ssh_startups_wait_over(&s, &entries[3]);
    assert_int_equal(ssh_startups_wait(&s, &entries[SSH_WAITING_SOURCE_MAX]), SSH_WAIT_OK);
    size_t n = 0;
    for (; s.waiting < SSH_WAITING_MAX; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%zu", n / 10);
        ssh_startups_add(&s, &waiting[n], source(name), NULL);
        assert_int_equal(ssh_startups_wait(&s, &waiting[n]), SSH_WAIT_OK);
    }
    ssh_startups_add(&s, &waiting[n], source("z"), NULL);
    assert_int_equal(ssh_startups_wait(&s, &waiting[n]), SSH_WAIT_FULL);
    for (size_t i = 0; i <= n; i++)
        ssh_startups_remove(&s, &waiting[i]);
    drop(&s, 0, SSH_WAITING_SOURCE_MAX + 1);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.unproved, 0);
    assert_int_equal(map_count(&s.sources), 0);
    ssh_startups_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_below_start),
        cmocka_unit_test(test_the_heaviest_source_is_refused),
        cmocka_unit_test(test_many_sources),
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_proved_ones_do_not_count),
        cmocka_unit_test(test_waiting_caps),
    };
    return RUN(tests);
}
