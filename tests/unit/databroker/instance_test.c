/* Instance records through instance.h, against a databroker. */
#include "tests/unit/databroker/fixture.h"

#include "common/rpc/instance.h"

/* A writer that knows itself, and perhaps a proxy. */
struct writer {
    struct fixture *f;
    struct instances *w;
    bool has_proxy;
    unsigned ended;
};

static void on_list(void *ctx, struct instances *w)
{
    const struct writer *t = ctx;
    const struct instance self = {.id = "self", .service = "authorize"};
    const struct instance proxy = {.id = "proxy", .service = "proxy"};
    instances_add(w, &self);
    if (t->has_proxy)
        instances_add(w, &proxy);
}

static void on_writer_ended(void *ctx)
{
    ((struct writer *)ctx)->ended++;
}

static void writer_open(struct writer *t, struct fixture *f)
{
    *t = (struct writer){.f = f, .has_proxy = true};
    t->w = instances_open(&f->loop, &f->r[WHO_AUTHORIZE], "self", on_list, t);
}

static void writer_end(struct writer *t)
{
    instances_end(t->w, on_writer_ended, t);
    assert_int_equal(t->ended, 0);
    while (!t->ended)
        turn(t->f);
}

static void writer_close(struct writer *t)
{
    instances_close(t->w);
    turn(t->f);
    assert_true(t->ended <= 1);
}

/* Their ids, each followed by a space. */
static const char *listed(struct fixture *f)
{
    const struct record_search search = {.type = TYPE("postern.Instance"), .limit = 10};
    CHECK_OK(query(f, WHO_AUTHORIZE, search));
    return f->ids;
}

static void wait_listed(struct fixture *f, const char *ids)
{
    uint64_t end = loop_clock_ms() + 20000;
    while (strcmp(listed(f), ids) != 0)
        assert_true(loop_clock_ms() < end);
}

static void test_listed(void **state)
{
    struct fixture *f = *state;
    struct writer t;
    writer_open(&t, f);
    wait_listed(f, "proxy self ");
    t.has_proxy = false;
    wait_listed(f, "self ");
    writer_end(&t);
    assert_string_equal(listed(f), "");
    writer_close(&t);
}

/* What is on its way when the end comes is deleted as well. */
static void test_end_while_writing(void **state)
{
    struct fixture *f = *state;
    struct writer t;
    writer_open(&t, f);
    turn(f);
    writer_end(&t);
    assert_string_equal(listed(f), "");
    writer_close(&t);
}

static void test_end_before_all(void **state)
{
    struct writer t;
    writer_open(&t, *state);
    writer_end(&t);
    assert_string_equal(listed(*state), "");
    writer_close(&t);
}

static void test_deleted_by_another(void **state)
{
    struct fixture *f = *state;
    struct writer t;
    writer_open(&t, f);
    wait_listed(f, "proxy self ");
    CHECK_OK(put(f, WHO_AUTHORIZE, INSTANCE, "proxy", NULL, RECORDS_ANY));
    assert_string_equal(listed(f), "self ");
    wait_listed(f, "proxy self ");
    writer_close(&t);
}

/* The proxy has gone to another writer, which has written it since. */
static void test_written_by_another(void **state)
{
    struct fixture *f = *state;
    struct writer t;
    writer_open(&t, f);
    wait_listed(f, "proxy self ");
    CHECK_OK(put(f, WHO_AUTHORIZE, INSTANCE, "proxy", "proxy", RECORDS_ANY));
    writer_end(&t);
    assert_string_equal(listed(f), "proxy ");
    writer_close(&t);
}

static void test_end_without_a_databroker(void **state)
{
    struct fixture *f = *state;
    struct writer t;
    writer_open(&t, f);
    wait_listed(f, "proxy self ");
    broker_stop(f);
    uint64_t before = loop_clock_ms();
    writer_end(&t);
    assert_true(loop_clock_ms() - before < 20 * INSTANCE_END_MS);
    writer_close(&t);
    broker_start(f, 23);
}

static void test_closed_without_its_end(void **state)
{
    struct fixture *f = *state;
    struct writer t;
    writer_open(&t, f);
    wait_listed(f, "proxy self ");
    instances_end(t.w, on_writer_ended, &t);
    writer_close(&t);
    (void)listed(f); /* gives a callback its chance */
    assert_int_equal(t.ended, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_listed),
        T(test_end_while_writing),
        T(test_end_before_all),
        T(test_deleted_by_another),
        T(test_written_by_another),
        T(test_end_without_a_databroker),
        T(test_closed_without_its_end),
    };
    return RUN(tests);
}
