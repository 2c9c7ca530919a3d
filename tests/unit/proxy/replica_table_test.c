#include "tests/support/test.h"

#include "proxy/replica_table.h"

static struct address at(const char *text)
{
    struct address a;
    CHECK_OK(address_parse(view_str(text), &a));
    return a;
}

static void set(struct replica_table *t, unsigned source, const char *const *texts, size_t fresh,
                uint64_t now)
{
    struct address list[8];
    size_t n = 0;
    for (; texts[n]; n++)
        list[n] = at(texts[n]);
    assert_int_equal(replica_table_set(t, source, list, n, now), fresh);
}

#define SET(t, source, fresh, now, ...)                                                            \
    set(t, source, (const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL}, fresh, now)

static void test_names_come_and_go(void **state)
{
    struct replica_table t = {0};
    (void)state;
    SET(&t, 0, 2, 0, "10.0.0.1:5443", "[fd00::1]:5443");
    SET(&t, 1, 1, 0, "10.0.0.2:5443", "10.0.0.1:5443"); /* one place, two names */
    assert_int_equal(t.count, 3);
    replica_table_failed(&t, "10.0.0.1:5443", 1000);
    SET(&t, 0, 1, 1000, "10.0.0.1:5443", "10.0.0.3:5443");
    assert_int_equal(t.count, 3);
    assert_null(replica_table_find(&t, "[fd00::1]:5443"));
    assert_int_equal(replica_table_find(&t, "10.0.0.1:5443")->ready_at, 1200);
    SET(&t, 0, 0, 1000);
    assert_int_equal(t.count, 1);
    assert_non_null(replica_table_find(&t, "10.0.0.2:5443"));
}

static void test_waits_double_and_end(void **state)
{
    struct replica_table t = {0};
    static const uint64_t waits[] = {200, 400, 800, 1600, 2000, 2000};
    (void)state;
    SET(&t, 0, 1, 0, "127.0.0.1:1");
    struct replica *r = replica_table_find(&t, "127.0.0.1:1");
    for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
        replica_table_failed(&t, r->address, 5000);
        assert_int_equal(r->ready_at, 5000 + waits[i]);
    }
    replica_table_good(&t, r->address, 6000);
    replica_table_failed(&t, r->address, 6000);
    assert_int_equal(r->ready_at, 6200);
    replica_table_failed(&t, "127.0.0.1:2", 6000);
    replica_table_good(&t, "127.0.0.1:2", 6000);
}

/* now, draw, except -> the choice */
#define USED(...)                                                                                  \
    (struct replica_used)                                                                          \
    {                                                                                              \
        (const char *const[]){__VA_ARGS__},                                                        \
            sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)                            \
    }

static void test_choice(void **state)
{
    static const struct {
        uint64_t now;
        uint64_t draw;
        const char *except;
        const char *choice;
    } rows[] = {
        {0, 0, "", "127.0.0.1:1"},
        {0, 1, "", "127.0.0.1:3"}, /* 2 waits until 200 */
        {0, 2, "", "127.0.0.1:1"},
        {200, 1, "", "127.0.0.1:2"},
        {0, 1, "127.0.0.1:1", "127.0.0.1:3"},
        {0, 7, "127.0.0.1:3", "127.0.0.1:1"},
        {200, 1, "127.0.0.1:1", "127.0.0.1:3"},
    };
    struct replica_table t = {0};
    (void)state;
    assert_null(replica_table_pick(&t, 0, 0, (struct replica_used){0}));
    SET(&t, 0, 3, 0, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3");
    replica_table_failed(&t, "127.0.0.1:2", 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(
            replica_table_pick(&t, rows[i].now, rows[i].draw, USED(NULL, rows[i].except))->address,
            rows[i].choice);
}

/* Several are tried side by side: each further one is another. */
static void test_several_are_used(void **state)
{
    struct replica_table t = {0};
    (void)state;
    SET(&t, 0, 3, 0, "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3");
    for (uint64_t draw = 0; draw < 4; draw++)
        assert_string_equal(
            replica_table_pick(&t, 0, draw, USED("127.0.0.1:3", NULL, "127.0.0.1:1"))->address,
            "127.0.0.1:2");
    assert_null(
        replica_table_pick(&t, 0, 0, USED("127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", NULL)));
}

static void test_nobody_is_ready(void **state)
{
    struct replica_table t = {0};
    (void)state;
    SET(&t, 0, 2, 0, "127.0.0.1:1", "127.0.0.1:2");
    replica_table_failed(&t, "127.0.0.1:1", 0);
    replica_table_failed(&t, "127.0.0.1:1", 0);
    replica_table_failed(&t, "127.0.0.1:2", 0);
    const struct replica *r = replica_table_pick(&t, 100, 5, (struct replica_used){0});
    assert_string_equal(r->address, "127.0.0.1:2");
    assert_int_equal(r->ready_at, 200);
    SET(&t, 0, 0, 100, "127.0.0.1:2");
    assert_null(replica_table_pick(&t, 100, 5, USED("127.0.0.1:2")));
}

static void test_no_more_than_fit(void **state)
{
    struct replica_table t = {0};
    struct address many[REPLICAS_MAX + 5];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(many); i++) {
        many[i] = at("10.0.0.1:1");
        many[i].port = (uint16_t)(1000 + i);
    }
    assert_int_equal(replica_table_set(&t, 0, many, ARRAY_LEN(many), 0), REPLICAS_MAX);
    assert_int_equal(t.count, REPLICAS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_come_and_go),
        cmocka_unit_test(test_waits_double_and_end),
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_several_are_used),
        cmocka_unit_test(test_nobody_is_ready),
        cmocka_unit_test(test_no_more_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
