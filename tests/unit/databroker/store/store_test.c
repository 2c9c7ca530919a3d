/* The two histories together: requests, conditions, groups, what a full disk and a kill leave. */
#include "tests/unit/databroker/store/temp.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "databroker/store/store.h"

#define SESSION "type.googleapis.com/session.Session"
#define BINDING "type.googleapis.com/session.SessionBinding"
#define REQUEST "type.googleapis.com/session.SessionBindingRequest"
#define CONNECTION "type.googleapis.com/postern.Connection"

struct fixture {
    struct store *s;
    char *dir;
};

static struct store *open_dir(const char *dir)
{
    struct store_config config = {.dir = dir, .durable_version = 11, .memory_version = 22};
    struct store *s = NULL;
    char *why = NULL;
    enum err e = store_open(&config, &s, &why);
    if (e != OK)
        fail_msg("%s", why);
    return s;
}

static int setup_sqlite(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    f->dir = temp_new();
    f->s = open_dir(f->dir);
    *state = f;
    return 0;
}

static int setup_memory(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    f->dir = temp_new();
    f->s = open_dir(NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_close(f->s);
    temp_free(f->dir);
    mem_free(f);
    return 0;
}

/* --- verbs --- */

static struct record_row row(const char *type, const char *id, const char *data)
{
    return (struct record_row){
        .type = type, .id = id, .data = view_str(data), .deleted_ms = data ? 0 : 1};
}

/* One request of one row. */
static enum err put(struct store *s, const char *type, const char *id, const char *data,
                    uint64_t expected)
{
    struct record_row r = row(type, id, data);
    uint64_t version;
    struct store_put p = {.rows = &r, .expected = &expected, .count = 1, .versions = &version};
    struct store_put *puts[] = {&p};
    IGNORE(store_put_all(s, puts, 1, 1000), "it is in p.err too");
    return p.err;
}

static void check_get(struct store *s, const char *type, const char *id, const char *data)
{
    struct history *h = store_history(s, type);
    AUTO(record_page_fini) struct record_page p = {0};
    CHECK_ERR(h->ops->get(h, type, id, &p), data ? OK : ERR_NOT_FOUND);
    if (data)
        CHECK_VIEW_STR(p.items[0].data, data);
}

static uint64_t version_of(struct store *s, const char *type, const char *id)
{
    struct history *h = store_history(s, type);
    AUTO(record_page_fini) struct record_page p = {0};
    CHECK_OK(h->ops->get(h, type, id, &p));
    return p.items[0].version;
}

static struct record_page versions(struct history *h)
{
    struct record_page p = {0};
    CHECK_OK(h->ops->versions(h, &p));
    return p;
}

/* --- tests --- */

static void test_two_histories(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    CHECK_OK(put(s, SESSION, "s", "1", STORE_ANY));
    CHECK_OK(put(s, CONNECTION, "c", "1", STORE_ANY));
    CHECK_OK(put(s, CONNECTION, "c", "2", STORE_ANY));
    struct record_page durable = versions(store_durable(s));
    struct record_page memory = versions(store_memory(s));
    assert_int_equal(durable.server_version, 11);
    assert_int_equal(memory.server_version, 22);
    assert_int_equal(durable.record_version, 1);
    assert_int_equal(memory.record_version, 2);
    check_get(s, CONNECTION, "c", "2");
    AUTO(record_page_fini) struct record_page types = {0};
    CHECK_OK(store_types(s, &types));
    assert_int_equal(types.count, 2);
}

static void test_conditions(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    for (int i = 0; i < 2; i++) {
        const char *type = i ? REQUEST : SESSION;
        CHECK_ERR(put(s, type, "a", "1", 5), ERR_PRECONDITION);
        CHECK_OK(put(s, type, "a", "1", STORE_ABSENT));
        CHECK_ERR(put(s, type, "a", "2", STORE_ABSENT), ERR_PRECONDITION);
        uint64_t version = version_of(s, type, "a");
        CHECK_ERR(put(s, type, "a", "2", version + 1), ERR_PRECONDITION);
        CHECK_OK(put(s, type, "a", "2", version));
        CHECK_ERR(put(s, type, "a", "3", version), ERR_PRECONDITION);
        CHECK_ERR(put(s, type, "a", NULL, version), ERR_PRECONDITION);
        CHECK_OK(put(s, type, "a", NULL, version_of(s, type, "a")));
        check_get(s, type, "a", NULL);
        CHECK_OK(put(s, type, "a", "4", STORE_ABSENT));
    }
}

/* authenticate's approval: the binding and the request's move, both or none. */
static void test_across_histories(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    CHECK_OK(put(s, REQUEST, "code", "in flight", STORE_ABSENT));
    uint64_t version = version_of(s, REQUEST, "code");
    struct record_row rows[] = {row(BINDING, "key", "b"), row(REQUEST, "code", "accepted")};
    uint64_t expected[] = {STORE_ANY, version + 1};
    uint64_t out[2];
    struct store_put p = {.rows = rows, .expected = expected, .count = 2, .versions = out};
    struct store_put *puts[] = {&p};
    CHECK_OK(store_put_all(s, puts, 1, 1000));
    CHECK_ERR(p.err, ERR_PRECONDITION);
    check_get(s, BINDING, "key", NULL);
    assert_false(store_changed(s).durable);
    expected[1] = version;
    CHECK_OK(store_put_all(s, puts, 1, 1000));
    CHECK_OK(p.err);
    check_get(s, BINDING, "key", "b");
    check_get(s, REQUEST, "code", "accepted");
    assert_true(store_changed(s).durable && store_changed(s).memory);
    assert_int_equal(out[0], version_of(s, BINDING, "key"));
    assert_int_equal(out[1], version_of(s, REQUEST, "code"));
}

/* Two of a group want the same move: one gets it. */
static void test_group(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    CHECK_OK(put(s, REQUEST, "code", "in flight", STORE_ABSENT));
    uint64_t expected = version_of(s, REQUEST, "code");
    struct record_row rows[] = {row(REQUEST, "code", "accepted"), row(REQUEST, "code", "revoked"),
                                row(SESSION, "s", "1"), row("bad type", "s", "1")};
    uint64_t out[4];
    struct store_put p[4];
    struct store_put *puts[4];
    for (size_t i = 0; i < 4; i++) {
        p[i] = (struct store_put){.rows = &rows[i], .count = 1, .versions = &out[i]};
        p[i].expected = i < 2 ? &expected : NULL;
        puts[i] = &p[i];
    }
    CHECK_OK(store_put_all(s, puts, 4, 1000));
    CHECK_OK(p[0].err);
    CHECK_ERR(p[1].err, ERR_PRECONDITION);
    CHECK_OK(p[2].err);
    CHECK_ERR(p[3].err, ERR_SYNTAX);
    check_get(s, REQUEST, "code", "accepted");
    check_get(s, SESSION, "s", "1");
}

static void test_limits(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    char id[RECORD_ID_MAX + 2];
    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = 0;
    CHECK_ERR(put(s, SESSION, id, "1", STORE_ANY), ERR_SYNTAX);
    CHECK_OK(put(s, SESSION, id + 1, "1", STORE_ANY));
    CHECK_ERR(put(s, SESSION, "", "1", STORE_ANY), ERR_SYNTAX);
    CHECK_ERR(put(s, "session.Session", "a", "1", STORE_ANY), ERR_SYNTAX);
    CHECK_ERR(put(s, "type.googleapis.com/", "a", "1", STORE_ANY), ERR_SYNTAX);
    CHECK_ERR(put(s, "type.googleapis.com/a b", "a", "1", STORE_ANY), ERR_SYNTAX);
    AUTO_FREE char *data = mem_zalloc(RECORD_DATA_MAX + 2);
    memset(data, 'x', RECORD_DATA_MAX + 1);
    CHECK_ERR(put(s, SESSION, "a", data, STORE_ANY), ERR_LIMIT);
    CHECK_OK(put(s, SESSION, "a", data + 1, STORE_ANY));
}

/* A stranger's sign-ins cannot fill the memory. */
static void test_memory_bound(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    AUTO_FREE char *data = mem_zalloc(RECORD_DATA_MAX);
    memset(data, 'x', RECORD_DATA_MAX - 1);
    enum err e = OK;
    int n = 0;
    for (; e == OK && n < 1000; n++) {
        AUTO_FREE char *id = mem_printf("code%d", n);
        e = put(s, REQUEST, id, data, STORE_ANY);
    }
    CHECK_ERR(e, ERR_LIMIT);
    assert_in_range(n, 200, 256);
    /* Deleting works, and makes room. */
    CHECK_OK(put(s, REQUEST, "code1", NULL, STORE_ANY));
    CHECK_OK(put(s, REQUEST, "more", "1", STORE_ANY));
}

static void test_defaults(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    struct history *h = store_history(s, REQUEST);
    struct history_options o;
    CHECK_OK(h->ops->get_options(h, REQUEST, &o));
    assert_int_equal(o.capacity, 50000);
    assert_int_equal(o.ttl_ms, 15 * 60 * 1000);
    assert_string_equal(o.fields, "key");
    mem_free(o.fields);
    CHECK_OK(put(s, CONNECTION, "c", "1", STORE_ANY));
    CHECK_OK(store_expire(s, true, 1000 + 3 * 60 * 1000 - 1));
    check_get(s, CONNECTION, "c", "1");
    CHECK_OK(store_expire(s, true, 1000 + 3 * 60 * 1000));
    assert_true(store_changed(s).memory);
    check_get(s, CONNECTION, "c", NULL);
}

static void test_reopen(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(put(f->s, SESSION, "s", "1", STORE_ANY));
    CHECK_OK(put(f->s, SESSION, "t", "2", STORE_ANY));
    CHECK_OK(put(f->s, SESSION, "s", NULL, STORE_ANY));
    CHECK_OK(put(f->s, CONNECTION, "c", "1", STORE_ANY));
    struct history_options o = {.capacity = 3};
    CHECK_OK(store_set_options(f->s, SESSION, &o));
    store_close(f->s);
    struct store_config config = {.dir = f->dir, .durable_version = 99, .memory_version = 98};
    char *why;
    CHECK_OK(store_open(&config, &f->s, &why));
    check_get(f->s, SESSION, "t", "2");
    check_get(f->s, SESSION, "s", NULL);
    check_get(f->s, CONNECTION, "c", NULL);
    struct record_page durable = versions(store_durable(f->s));
    assert_int_equal(durable.server_version, 11);
    assert_int_equal(durable.record_version, 3);
    assert_int_equal(versions(store_memory(f->s)).server_version, 98);
    struct history *h = store_durable(f->s);
    CHECK_OK(h->ops->get_options(h, SESSION, &o));
    assert_int_equal(o.capacity, 3);
    mem_free(o.fields);
}

/* Twenty requests: one for memory, one small, the others of 100,000 bytes. */
struct batch {
    char *data;
    char *ids[20];
    struct record_row rows[20];
    struct store_put p[20];
    struct store_put *puts[20];
    uint64_t out[20];
};

static void batch_init(struct batch *b)
{
    b->data = mem_zalloc(100000);
    memset(b->data, 'x', 99999);
    for (size_t i = 0; i < 20; i++) {
        b->ids[i] = mem_printf("batch%zu", i);
        b->rows[i] = row(i == 0 ? REQUEST : SESSION, b->ids[i], i < 2 ? "1" : b->data);
        b->p[i] = (struct store_put){.rows = &b->rows[i], .count = 1, .versions = &b->out[i]};
        b->puts[i] = &b->p[i];
    }
}

static void batch_fini(struct batch *b)
{
    mem_free(b->data);
    for (size_t i = 0; i < 20; i++)
        mem_free(b->ids[i]);
}

/* What was acknowledged is there, what was not is not; says how many were. */
static size_t batch_check(const struct batch *b, struct store *s)
{
    size_t ok = 0;
    for (size_t i = 0; i < 20; i++) {
        bool done = b->p[i].err == OK;
        check_get(s, b->rows[i].type, b->ids[i], done ? (const char *)b->rows[i].data.ptr : NULL);
        ok += done;
    }
    return ok;
}

/* No room for more pages: those that do not fit fail, and the store goes on. */
static void test_full(void **state)
{
    struct store *s = ((struct fixture *)*state)->s;
    AUTO(batch_fini) struct batch b;
    batch_init(&b);
    CHECK_OK(put(s, SESSION, "before", "1", STORE_ANY));
    history_sqlite_limit(store_durable(s), 100);
    IGNORE(store_put_all(s, b.puts, 20, 1000), "each request has its own");
    assert_in_range(batch_check(&b, s), 0, 6);
    CHECK_ERR(b.p[19].err, ERR_FULL);
    check_get(s, SESSION, "before", "1");
    history_sqlite_limit(store_durable(s), 100000);
    CHECK_OK(store_put_all(s, b.puts, 20, 1000));
    assert_int_equal(batch_check(&b, s), 20);
}

/* The disk refuses: nothing of the group has happened, in memory neither. */
static void test_disk_error(void **state)
{
    struct fixture *f = *state;
    AUTO(batch_fini) struct batch b;
    batch_init(&b);
    CHECK_OK(put(f->s, SESSION, "before", "1", STORE_ANY));
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 300000, .rlim_max = before.rlim_max};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct sigaction old;
    sigaction(SIGXFSZ, &ignore, &old);
    setrlimit(RLIMIT_FSIZE, &small);
    enum err e = store_put_all(f->s, b.puts, 20, 1000);
    setrlimit(RLIMIT_FSIZE, &before);
    sigaction(SIGXFSZ, &old, NULL);
    assert_int_not_equal(e, OK);
    assert_int_equal(batch_check(&b, f->s), 0);
    assert_false(store_changed(f->s).durable || store_changed(f->s).memory);
    check_get(f->s, SESSION, "before", "1");
    CHECK_OK(store_put_all(f->s, b.puts, 20, 1000));
    assert_int_equal(batch_check(&b, f->s), 20);
    store_close(f->s);
    f->s = open_dir(f->dir);
    check_get(f->s, SESSION, b.ids[19], b.data);
}

/* --- kill -9 --- */

enum { GROUP = 5 };

/* Writes groups for ever and tells each acknowledged number through the pipe. */
[[gnu::noreturn]] static void write_for_ever(const char *dir, int fd)
{
    struct store *s = open_dir(dir);
    for (uint32_t n = 0;; n++) {
        struct record_row rows[GROUP];
        struct store_put p[GROUP];
        struct store_put *puts[GROUP];
        uint64_t out[GROUP];
        char ids[GROUP][32];
        for (uint32_t i = 0; i < GROUP; i++) {
            snprintf(ids[i], sizeof(ids[i]), "%u", n * GROUP + i);
            rows[i] = row(SESSION, ids[i], ids[i]);
            p[i] = (struct store_put){.rows = &rows[i], .count = 1, .versions = &out[i]};
            puts[i] = &p[i];
        }
        CHECK(store_put_all(s, puts, GROUP, 1000) == OK);
        CHECK(write(fd, &n, sizeof(n)) == sizeof(n));
        CHECK(store_checkpoint(s) == OK);
    }
}

static void kill_once(const char *dir, uint32_t after)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        write_for_ever(dir, fds[1]);
    }
    close(fds[1]);
    uint32_t n = 0;
    uint32_t acknowledged = 0;
    while (read(fds[0], &n, sizeof(n)) == sizeof(n)) {
        acknowledged = n;
        if (n == after)
            kill(pid, SIGKILL);
    }
    close(fds[0]);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_true(acknowledged >= after);
    struct store *s = open_dir(dir);
    for (uint32_t i = 0; i < (acknowledged + 1) * GROUP; i++) {
        AUTO_FREE char *id = mem_printf("%u", i);
        check_get(s, SESSION, id, id);
    }
    /* A group is there as a whole or not at all. */
    struct history *h = store_durable(s);
    struct history_query q = {.type = SESSION, .limit = 0, .bytes_max = 1};
    AUTO(record_page_fini) struct record_page all = {0};
    CHECK_OK(h->ops->query(h, &q, &all));
    assert_int_equal(all.total % GROUP, 0);
    store_close(s);
}

static void test_kill(void **state)
{
    (void)state;
    static const uint32_t after[] = {0, 7, 40, 300};
    for (size_t i = 0; i < ARRAY_LEN(after); i++) {
        char *dir = temp_new();
        kill_once(dir, after[i]);
        temp_free(dir);
    }
}

#define EACH(test)                                                                                 \
    {#test " memory", test, setup_memory, teardown, NULL},                                         \
    {                                                                                              \
#test " sqlite", test, setup_sqlite, teardown, NULL                                        \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_two_histories),
        EACH(test_conditions),
        EACH(test_across_histories),
        EACH(test_group),
        EACH(test_limits),
        EACH(test_memory_bound),
        EACH(test_defaults),
        cmocka_unit_test_setup_teardown(test_reopen, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup_sqlite, teardown),
        cmocka_unit_test_setup_teardown(test_disk_error, setup_sqlite, teardown),
        cmocka_unit_test(test_kill),
    };
    return RUN(tests);
}
