#include "tests/support/test.h"

#include "authorize/live/live.h"
#include "authorize/live/state_version.h"

struct thing {
    struct live_node node;
    int number;
};

static struct thing *thing_of(struct live_node *n)
{
    return n ? CONTAINER_OF(n, struct thing, node) : NULL;
}

static void test_indexes(void **state)
{
    (void)state;
    struct live l = {0};
    struct thing t[3] = {{.number = 0}, {.number = 1}, {.number = 2}};
    assert_true(live_add(&l, &t[0].node, VIEW("a")));
    assert_true(live_add(&l, &t[1].node, VIEW("b")));
    assert_true(live_add(&l, &t[2].node, VIEW("c")));
    struct thing again = {0};
    assert_false(live_add(&l, &again.node, VIEW("b")));
    assert_ptr_equal(live_get(&l, VIEW("b")), &t[1].node);
    assert_null(live_get(&l, VIEW("d")));
    CHECK_VIEW_STR(live_id(&t[2].node), "c");

    for (int i = 0; i < 3; i++) {
        live_index(&l, &t[i].node, LIVE_BY_SESSION, VIEW("s1"));
        live_index(&l, &t[i].node, LIVE_BY_ROUTE, i ? VIEW("r1") : VIEW("r2"));
    }
    assert_int_equal(live_count_by(&l, LIVE_BY_SESSION, VIEW("s1")), 3);
    assert_int_equal(live_count_by(&l, LIVE_BY_ROUTE, VIEW("r1")), 2);
    assert_int_equal(live_count_by(&l, LIVE_BY_USER, VIEW("s1")), 0);
    assert_ptr_equal(thing_of(live_first(&l, LIVE_BY_ROUTE, VIEW("r2"))), &t[0]);

    /* A move leaves the old key; the middle one goes out of a list. */
    live_index(&l, &t[1].node, LIVE_BY_SESSION, VIEW("s2"));
    assert_int_equal(live_count_by(&l, LIVE_BY_SESSION, VIEW("s1")), 2);
    struct live_node *n = live_first(&l, LIVE_BY_SESSION, VIEW("s1"));
    assert_int_equal(thing_of(n)->number, 2);
    n = live_next(n, LIVE_BY_SESSION);
    assert_int_equal(thing_of(n)->number, 0);
    assert_null(live_next(n, LIVE_BY_SESSION));
    live_index(&l, &t[1].node, LIVE_BY_SESSION, VIEW(""));
    assert_null(live_first(&l, LIVE_BY_SESSION, VIEW("s2")));

    /* Removing the current one while walking. */
    size_t seen = 0;
    for (n = live_first(&l, LIVE_BY_SESSION, VIEW("s1")); n;) {
        struct live_node *next = live_next(n, LIVE_BY_SESSION);
        live_remove(&l, n);
        seen++;
        n = next;
    }
    assert_int_equal(seen, 2);
    assert_int_equal(live_count(&l), 1);
    live_remove(&l, &t[1].node);
    live_fini(&l);
}

static void test_expiry_order(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    struct live l = {0};
    static struct thing t[COUNT];
    for (int i = 0; i < COUNT; i++) {
        AUTO_FREE char *id = mem_printf("%d", i);
        t[i] = (struct thing){.number = i};
        assert_true(live_add(&l, &t[i].node, view_str(id)));
        live_expire_at(&l, &t[i].node, (uint64_t)(i * 7919 % COUNT) + 10);
    }
    /* Some are moved, some lose their edge, some go. */
    live_expire_at(&l, &t[5].node, 1);
    live_expire_at(&l, &t[6].node, UINT64_MAX);
    live_remove(&l, &t[7].node);
    assert_int_equal(live_deadline(&l), 1);
    assert_null(live_pop_expired(&l, 0));
    uint64_t last = 0;
    size_t popped = 0;
    for (uint64_t now = 1; now <= COUNT + 10; now++) {
        struct live_node *n;
        while ((n = live_pop_expired(&l, now))) {
            int i = thing_of(n)->number;
            uint64_t at = i == 5 ? 1 : (uint64_t)(i * 7919 % COUNT) + 10;
            assert_true(at == now && at >= last);
            last = at;
            popped++;
        }
    }
    assert_int_equal(popped, COUNT - 2);
    assert_true(live_deadline(&l) == UINT64_MAX);
    for (struct map_iter i = live_iter(&l); map_next(&i);)
        live_remove(&l, i.value);
    live_fini(&l);
}

static void test_held(void **state)
{
    (void)state;
    struct live l = {0};
    struct thing a = {0};
    struct thing b = {0};
    assert_true(live_add(&l, &a.node, VIEW("a")));
    assert_true(live_add(&l, &b.node, VIEW("b")));
    live_hold(&l, &a.node, 20);
    live_hold(&l, &b.node, 10);
    assert_true(live_is_held(&a.node));
    assert_null(live_pop_held(&l, 9));
    assert_ptr_equal(live_pop_held(&l, 10), &b.node);
    assert_null(live_pop_held(&l, 19));
    assert_false(live_is_held(&b.node));
    live_remove(&l, &a.node);
    assert_null(live_pop_held(&l, UINT64_MAX));
    live_remove(&l, &b.node);
    live_fini(&l);
}

static void test_state_order(void **state)
{
    (void)state;
    const struct state_version have = {7, 100, VIEW("hash")};
    const struct {
        struct state_version want;
        enum state_order order;
    } rows[] = {
        {{7, 100, VIEW("hash")}, STATE_DECIDE},  {{7, 99, VIEW("hash")}, STATE_DECIDE},
        {{7, 101, VIEW("hash")}, STATE_WAIT},    {{8, 101, VIEW("hash")}, STATE_DECIDE},
        {{7, 101, VIEW("other")}, STATE_DECIDE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(state_order(&have, &rows[i].want), rows[i].order);
    /* Nothing was copied yet. */
    const struct state_version nothing = {0, 0, VIEW("hash")};
    assert_int_equal(state_order(&nothing, &rows[0].want), STATE_WAIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_indexes),
        cmocka_unit_test(test_expiry_order),
        cmocka_unit_test(test_held),
        cmocka_unit_test(test_state_order),
    };
    return RUN(tests);
}
