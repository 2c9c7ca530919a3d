// links: common/crypto
#include "tests/support/test.h"

#include "common/crypto/rng.h"
#include "proxy/tunnel/endpoints.h"

/* --- a cluster --- */

struct setting {
    struct cluster_spec spec;
    struct cluster_endpoint list[CLUSTER_ENDPOINTS_MAX];
    struct endpoints e;
    struct rng_test seed;
    struct rng rng;
};

static void make(struct setting *s, enum cluster_balancing how, const uint32_t *weights,
                 size_t count)
{
    *s = (struct setting){.spec = {.balancing = how,
                                   .endpoints = s->list,
                                   .endpoint_count = count,
                                   .panic_threshold = 0,
                                   .outlier = {.enabled = true,
                                               .consecutive_failures = 3,
                                               .base_ejection_ms = 1000,
                                               .max_ejection_ms = 2500,
                                               .max_ejection_percent = 50}}};
    s->spec.endpoints = s->list;
    for (size_t i = 0; i < count; i++)
        s->list[i] = (struct cluster_endpoint){mem_printf("10.0.0.%zu:22", i), weights[i]};
    s->rng = rng_test(&s->seed, 7);
    endpoints_init(&s->e, &s->spec, NULL);
}

static void unmake(struct setting *s)
{
    endpoints_fini(&s->e);
    for (size_t i = 0; i < s->spec.endpoint_count; i++)
        mem_free(s->list[i].address);
}

static size_t index_of(const struct setting *s, const struct endpoint *p)
{
    for (size_t i = 0; i < s->e.count; i++) {
        if (s->e.seats[i].endpoint == p)
            return i;
    }
    fail_msg("no endpoint of the cluster");
    return 0;
}

static struct endpoint *pick(struct setting *s, struct endpoints_tried *tried, uint64_t now)
{
    uint64_t random[2];
    rng_fill(&s->rng, (uint8_t *)random, sizeof random);
    struct endpoint *p = endpoints_pick(&s->e, tried, now, random);
    if (p)
        endpoint_leave(p); /* the cluster holds it */
    return p;
}

/* Of a fresh tunnel. */
static size_t first(struct setting *s, uint64_t now)
{
    struct endpoints_tried tried = {0};
    return index_of(s, pick(s, &tried, now));
}

static struct endpoint *at(struct setting *s, size_t i)
{
    return s->e.seats[i].endpoint;
}

static void spread(struct setting *s, size_t picks, size_t *out)
{
    memset(out, 0, s->e.count * sizeof *out);
    for (size_t i = 0; i < picks; i++)
        out[first(s, 0)]++;
}

/* --- balancing --- */

static void test_round_robin(void **state)
{
    static const uint32_t weights[] = {5, 1, 1};
    static const size_t order[] = {0, 0, 1, 0, 2, 0, 0}; /* smooth: not five times the first */
    struct setting s;
    size_t got[3];
    (void)state;
    make(&s, CLUSTER_ROUND_ROBIN, weights, 3);
    for (size_t round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_LEN(order); i++)
            assert_int_equal(first(&s, 0), order[i]);
    }
    spread(&s, 7000, got);
    assert_int_equal(got[0], 5000);
    assert_int_equal(got[1], 1000);
    unmake(&s);
}

static void test_random(void **state)
{
    static const uint32_t weights[] = {1, 2, 7};
    struct setting s;
    size_t got[3];
    (void)state;
    make(&s, CLUSTER_RANDOM, weights, 3);
    spread(&s, 10000, got);
    assert_in_range(got[0], 850, 1150);
    assert_in_range(got[1], 1850, 2150);
    assert_in_range(got[2], 6800, 7200);
    unmake(&s);
}

static void test_least_request(void **state)
{
    static const uint32_t weights[] = {1, 1, 2};
    struct setting s;
    size_t got[3];
    (void)state;
    make(&s, CLUSTER_LEAST_REQUEST, weights, 3);
    spread(&s, 10000, got); /* idle: by weight */
    assert_in_range(got[0], 2300, 2700);
    assert_in_range(got[2], 4800, 5200);
    for (size_t i = 0; i < 4000; i++) /* tunnels that stay */
        at(&s, first(&s, 0))->active++;
    assert_in_range(at(&s, 0)->active, 950, 1050);
    assert_in_range(at(&s, 1)->active, 950, 1050);
    assert_in_range(at(&s, 2)->active, 1950, 2050);
    at(&s, 2)->active = 0; /* all of its tunnels have ended: it gets most of the next */
    spread(&s, 1000, got);
    assert_true(got[2] > 700);
    unmake(&s);
}

/* --- endpoints that do not answer --- */

static void fail_times(struct setting *s, size_t i, unsigned times, uint64_t now)
{
    for (unsigned k = 0; k < times; k++)
        (void)endpoints_failed(&s->e, at(s, i), now);
}

static void test_ejection(void **state)
{
    static const uint32_t weights[] = {1, 1, 1, 1};
    struct setting s;
    size_t got[4];
    (void)state;
    make(&s, CLUSTER_ROUND_ROBIN, weights, 4);
    fail_times(&s, 0, 2, 0);
    assert_false(endpoint_is_ejected(at(&s, 0), 0));
    endpoints_connected(&s.e, at(&s, 0), 0); /* not in a row */
    fail_times(&s, 0, 2, 0);
    assert_true(endpoints_failed(&s.e, at(&s, 0), 0));
    assert_true(endpoint_is_ejected(at(&s, 0), 999));
    assert_false(endpoint_is_ejected(at(&s, 0), 1000));
    spread(&s, 30, got);
    assert_int_equal(got[0], 0);
    fail_times(&s, 1, 3, 0);
    assert_true(endpoint_is_ejected(at(&s, 1), 0));
    fail_times(&s, 2, 3, 0); /* the half of four is out */
    assert_false(endpoint_is_ejected(at(&s, 2), 0));
    fail_times(&s, 0, 3, 1000); /* longer each time, up to the most */
    assert_true(endpoint_is_ejected(at(&s, 0), 2999));
    assert_false(endpoint_is_ejected(at(&s, 0), 3000));
    fail_times(&s, 0, 3, 3000);
    assert_true(endpoint_is_ejected(at(&s, 0), 5499));
    assert_false(endpoint_is_ejected(at(&s, 0), 5500));
    endpoints_connected(&s.e, at(&s, 0), 6500); /* a good time makes up for one of the three */
    assert_int_equal(at(&s, 0)->ejections, 2);
    unmake(&s);
}

/* Whatever max_ejection_percent says: one may. And it is tried all the same when it is alone. */
static void test_one_may_be_ejected(void **state)
{
    static const uint32_t weights[] = {1, 1};
    struct setting s;
    (void)state;
    make(&s, CLUSTER_ROUND_ROBIN, weights, 2);
    s.spec.outlier.max_ejection_percent = 0;
    fail_times(&s, 0, 3, 0);
    assert_true(endpoint_is_ejected(at(&s, 0), 0));
    fail_times(&s, 1, 3, 0);
    assert_false(endpoint_is_ejected(at(&s, 1), 0));
    struct endpoints_tried tried = {0};
    assert_int_equal(index_of(&s, pick(&s, &tried, 0)), 1);
    assert_int_equal(index_of(&s, pick(&s, &tried, 0)), 0);
    assert_null(pick(&s, &tried, 0));
    unmake(&s);
    make(&s, CLUSTER_ROUND_ROBIN, weights, 1);
    fail_times(&s, 0, 3, 0);
    assert_int_equal(first(&s, 0), 0);
    s.spec.outlier.enabled = false;
    fail_times(&s, 0, 30, 5000);
    assert_false(endpoint_is_ejected(at(&s, 0), 5000));
    unmake(&s);
}

/* --- health --- */

static void test_health(void **state)
{
    static const uint32_t weights[] = {1, 1, 1, 1};
    struct setting s;
    size_t got[4];
    (void)state;
    make(&s, CLUSTER_ROUND_ROBIN, weights, 4);
    s.spec.check_count = 2;
    s.spec.checks[0] = s.spec.checks[1] =
        (struct cluster_check){.unhealthy_threshold = 3, .healthy_threshold = 2};
    struct endpoint *p = at(&s, 0);
    assert_false(endpoints_checked(&s.e, p, 0, false));
    assert_false(endpoints_checked(&s.e, p, 0, false));
    assert_false(endpoints_checked(&s.e, p, 0, true)); /* not in a row */
    assert_false(endpoints_checked(&s.e, p, 0, false));
    assert_false(endpoints_checked(&s.e, p, 0, false));
    assert_true(endpoint_is_healthy(p));
    assert_true(endpoints_checked(&s.e, p, 0, false));
    assert_false(endpoint_is_healthy(p));
    spread(&s, 30, got);
    assert_int_equal(got[0], 0);
    for (int i = 0; i < 3; i++)
        assert_false(endpoints_checked(&s.e, p, 1, false)); /* it is down already */
    (void)endpoints_checked(&s.e, p, 0, true);
    assert_false(endpoints_checked(&s.e, p, 0, true)); /* the other check says no */
    assert_false(endpoint_is_healthy(p));
    (void)endpoints_checked(&s.e, p, 1, true);
    assert_true(endpoints_checked(&s.e, p, 1, true));
    assert_true(endpoint_is_healthy(p));
    unmake(&s);
}

static void down(struct setting *s, size_t i)
{
    at(s, i)->checks[0].is_down = true;
}

static void test_panic(void **state)
{
    static const uint32_t weights[] = {1, 1, 1, 1};
    struct setting s;
    size_t got[4];
    (void)state;
    make(&s, CLUSTER_ROUND_ROBIN, weights, 4);
    s.spec.panic_threshold = 50;
    down(&s, 0);
    down(&s, 1);
    spread(&s, 40, got); /* half of them are well: no panic */
    assert_int_equal(got[0] + got[1], 0);
    down(&s, 2);
    spread(&s, 40, got);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(got[i], 10);
    unmake(&s);
}

/* --- whatever is known, whoever lives is found --- */

static void test_a_living_endpoint_is_found(void **state)
{
    struct setting s;
    uint32_t weights[9];
    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        uint8_t dice[64];
        struct rng_test seed;
        struct rng rng = rng_test(&seed, round);
        rng_fill(&rng, dice, sizeof dice);
        size_t count = 1 + dice[0] % 9;
        for (size_t i = 0; i < count; i++)
            weights[i] = 1 + dice[1 + i] % 7;
        make(&s, dice[10] % 3, weights, count);
        s.spec.panic_threshold = dice[11] % 101;
        for (size_t i = 0; i < count; i++) {
            at(&s, i)->checks[0].is_down = dice[12 + i] & 1;
            at(&s, i)->ejected_till = dice[12 + i] & 2 ? 10 : 0;
            at(&s, i)->active = dice[12 + i] >> 2;
        }
        struct endpoints_tried tried = {0};
        bool seen[9] = {false};
        for (size_t i = 0; i < count; i++) {
            struct endpoint *p = pick(&s, &tried, 5);
            assert_non_null(p);
            assert_false(seen[index_of(&s, p)]);
            seen[index_of(&s, p)] = true;
        }
        assert_null(pick(&s, &tried, 5));
        unmake(&s);
    }
}

/* --- reloads --- */

static void test_state_outlives_a_reload(void **state)
{
    static const uint32_t weights[] = {1, 1, 1};
    struct setting s;
    struct endpoints next;
    (void)state;
    make(&s, CLUSTER_ROUND_ROBIN, weights, 3);
    fail_times(&s, 1, 3, 0);
    down(&s, 2);
    struct endpoint *held = at(&s, 0);
    held->refs++; /* by a tunnel */
    struct cluster_spec spec = s.spec;
    spec.endpoints = s.list + 1; /* the first is gone */
    spec.endpoint_count = 2;
    endpoints_init(&next, &spec, &s.e);
    endpoints_fini(&s.e);
    assert_true(endpoint_is_ejected(next.seats[0].endpoint, 0));
    assert_false(endpoint_is_healthy(next.seats[1].endpoint));
    s.e = next;
    struct cluster_spec other = spec; /* what was found out by other checks is not kept */
    other.check_count = 1;
    other.checks[0] = (struct cluster_check){.kind = CLUSTER_CHECK_SSH};
    endpoints_init(&next, &other, &s.e);
    assert_true(endpoint_is_healthy(next.seats[1].endpoint));
    endpoints_fini(&next);
    assert_string_equal(held->address, "10.0.0.0:22");
    endpoint_leave(held);
    unmake(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_robin),
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_least_request),
        cmocka_unit_test(test_ejection),
        cmocka_unit_test(test_one_may_be_ejected),
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_panic),
        cmocka_unit_test(test_a_living_endpoint_is_found),
        cmocka_unit_test(test_state_outlives_a_reload),
    };
    return RUN(tests);
}
