/* Calls of the databroker through records.h, as its clients make them. */
#include "tests/unit/databroker/fixture.h"

#include <signal.h>
#include <sys/resource.h>

static void test_put_get(void **state)
{
    struct fixture *f = *state;
    CHECK_ERR(get(f, WHO_AUTHORIZE, SESSION, "s"), ERR_NOT_FOUND);
    assert_string_equal(f->text, "record not found");
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "one", RECORDS_ANY));
    uint64_t first = f->versions[0];
    CHECK_OK(get(f, WHO_AUTHORIZE, SESSION, "s"));
    assert_string_equal(f->data, "one");
    assert_int_equal(f->version, first);
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "two", RECORDS_ANY));
    assert_int_equal(f->versions[0], first + 1);
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", NULL, RECORDS_ANY));
    CHECK_ERR(get(f, WHO_AUTHORIZE, SESSION, "s"), ERR_NOT_FOUND);
}

static void test_conditions(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(put(f, WHO_AUTHORIZE, REQUEST, "code", "ssh", RECORDS_ABSENT));
    uint64_t version = f->versions[0];
    CHECK_ERR(put(f, WHO_AUTHORIZE, REQUEST, "code", "ssh", RECORDS_ABSENT), ERR_PRECONDITION);
    /* authenticate's approval, in one Put over both histories. */
    Session__SessionBinding binding = SESSION__SESSION_BINDING__INIT;
    Session__SessionBindingRequest request = SESSION__SESSION_BINDING_REQUEST__INIT;
    request.state = SESSION__SESSION_BINDING_REQUEST_STATE__Accepted;
    struct record_write writes[] = {
        {.type = BINDING, .id = "key", .message = &binding.base, .expected = RECORDS_ANY},
        {.type = REQUEST, .id = "code", .message = &request.base, .expected = version + 1}};
    CHECK_ERR(put_all(f, WHO_AUTHENTICATE, writes, 2), ERR_PRECONDITION);
    CHECK_ERR(get(f, WHO_AUTHORIZE, BINDING, "key"), ERR_NOT_FOUND);
    writes[1].expected = version;
    CHECK_OK(put_all(f, WHO_AUTHENTICATE, writes, 2));
    assert_int_equal(f->count, 2);
    CHECK_OK(get(f, WHO_AUTHORIZE, BINDING, "key"));
    assert_int_equal(f->version, f->versions[0]);
    CHECK_OK(get(f, WHO_AUTHORIZE, REQUEST, "code"));
    assert_int_equal(f->version, f->versions[1]);
}

struct right {
    size_t who;
    const ProtobufCMessageDescriptor *type;
    enum err read, put, put_if, delete;
};

static void test_rights(void **state)
{
    struct fixture *f = *state;
    enum err no = ERR_DENIED;
    const struct right rows[] = {
        {WHO_AUTHENTICATE, SESSION, OK, OK, OK, OK},
        {WHO_AUTHENTICATE, SEALED, OK, OK, OK, OK},
        {WHO_AUTHENTICATE, ACCOUNT, no, no, no, no},
        {WHO_AUTHENTICATE, REQUEST, OK, no, OK, no},
        {WHO_AUTHENTICATE, CONNECTION, OK, no, no, no},
        {WHO_AUTHENTICATE, HOST_KEY, OK, no, no, no},
        {WHO_AUTHORIZE, SESSION, OK, no, no, OK},
        {WHO_AUTHORIZE, BINDING, OK, no, no, OK},
        {WHO_AUTHORIZE, ACCOUNT, OK, no, no, no},
        {WHO_AUTHORIZE, SEALED, no, no, no, no},
        {WHO_AUTHORIZE, REQUEST, OK, no, OK, OK},
        {WHO_AUTHORIZE, HOST_KEY, OK, no, OK, no},
        {WHO_AUTHORIZE, CONNECTION, OK, OK, OK, OK},
        {WHO_AUTHORIZE, CUT, OK, OK, OK, no},
        {WHO_AUTHORIZE, INSTANCE, OK, OK, OK, OK},
        {WHO_ADMIN, SESSION, OK, no, no, OK},
        {WHO_ADMIN, BINDING, OK, no, no, OK},
        {WHO_ADMIN, ACCOUNT, OK, OK, OK, OK},
        {WHO_ADMIN, SEALED, no, no, no, no},
        {WHO_ADMIN, CUT, OK, OK, OK, no},
        {WHO_ADMIN, HOST_KEY, OK, OK, OK, no},
        {WHO_ADMIN, CONNECTION, OK, no, no, no},
        {WHO_PROXY, SESSION, no, no, no, no},
        {WHO_PROXY, ACCOUNT, no, no, no, no},
        {WHO_PROXY, CONNECTION, no, no, no, no},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct right *r = &rows[i];
        CHECK_ERR(get(f, r->who, r->type, "none"), r->read == OK ? ERR_NOT_FOUND : r->read);
        CHECK_ERR(put(f, r->who, r->type, "plain", "x", RECORDS_ANY), r->put);
        AUTO_FREE char *id = mem_printf("if%zu", i);
        CHECK_ERR(put(f, r->who, r->type, id, "x", RECORDS_ABSENT), r->put_if);
        CHECK_ERR(put(f, r->who, r->type, "none", NULL, RECORDS_ANY), r->delete);
        AUTO_FREE char *type = record_type(r->type);
        CHECK_ERR(query(f, r->who, (struct record_search){.type = type}), r->read);
    }
}

static void test_query(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *type = record_type(SESSION);
    Session__Session s = SESSION__SESSION__INIT;
    static const char *const users[] = {"local/Ann@x.test", "local/bob@x.test", "oidc/ann"};
    for (size_t i = 0; i < 3; i++) {
        AUTO_FREE char *id = mem_printf("s%zu", i);
        s.id = id;
        s.user_id = (char *)(uintptr_t)users[i];
        struct record_write w = {
            .type = SESSION, .id = id, .message = &s.base, .expected = RECORDS_ANY};
        CHECK_OK(put_all(f, WHO_AUTHENTICATE, &w, 1));
    }
    CHECK_OK(query(f, WHO_ADMIN, (struct record_search){.type = type}));
    assert_string_equal(f->ids, "s0 s1 s2 ");
    CHECK_OK(query(f, WHO_ADMIN, (struct record_search){.type = type, .text = "ANN"}));
    assert_string_equal(f->ids, "s0 s2 ");
    CHECK_OK(query(f, WHO_ADMIN,
                   (struct record_search){.type = type, .offset = 1, .limit = 1, .text = "local"}));
    assert_string_equal(f->ids, "s1 ");
    assert_int_equal(f->total, 2);
    CHECK_OK(query(f, WHO_ADMIN,
                   (struct record_search){.type = type, .field = "user_id", .value = users[1]}));
    assert_string_equal(f->ids, "s1 ");
    CHECK_OK(
        query(f, WHO_ADMIN, (struct record_search){.type = type, .field = "id", .value = "s2"}));
    assert_string_equal(f->ids, "s2 ");
    CHECK_ERR(query(f, WHO_ADMIN,
                    (struct record_search){.type = type, .field = "expires_at", .value = "s2"}),
              ERR_SYNTAX);
    CHECK_ERR(query(f, WHO_ADMIN, (struct record_search){.type = "Session"}), ERR_SYNTAX);
}

/* Answers stay below what a message may be. */
static void test_large_query(void **state)
{
    struct fixture *f = *state;
    AUTO_FREE char *type = record_type(SESSION);
    AUTO_FREE char *big = mem_zalloc(900001);
    memset(big, 'x', 900000);
    for (int i = 0; i < 8; i++) {
        AUTO_FREE char *id = mem_printf("s%d", i);
        CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, id, big, RECORDS_ANY));
    }
    CHECK_OK(query(f, WHO_ADMIN, (struct record_search){.type = type}));
    assert_string_equal(f->ids, "s0 s1 s2 ");
    assert_int_equal(f->total, 8);
    CHECK_OK(query(f, WHO_ADMIN, (struct record_search){.type = type, .offset = 6}));
    assert_string_equal(f->ids, "s6 s7 ");
    AUTO_FREE char *more = mem_zalloc(RECORD_DATA_MAX + 1);
    memset(more, 'x', RECORD_DATA_MAX);
    CHECK_ERR(put(f, WHO_AUTHENTICATE, SESSION, "t", more, RECORDS_ANY), ERR_LIMIT);
}

static void on_lease(void *ctx, enum err e, const char *text, const char *id)
{
    struct fixture *f = ctx;
    note(f, e, text);
    if (id)
        snprintf(f->lease, sizeof(f->lease), "%s", id);
}

static void test_leases(void **state)
{
    struct fixture *f = *state;
    const struct records *r = &f->r[WHO_AUTHENTICATE];
    char first[64];
    f->done = false;
    records_lease_acquire(r, "identity_manager", 60000, on_lease, f);
    wait_done(f);
    CHECK_OK(f->err);
    snprintf(first, sizeof(first), "%s", f->lease);
    f->done = false;
    records_lease_acquire(r, "identity_manager", 60000, on_lease, f);
    wait_done(f);
    CHECK_ERR(f->err, ERR_EXISTS);
    assert_string_equal(f->text, "lease is already taken");
    f->done = false;
    records_lease_renew(r, "identity_manager", first, 50, on_lease, f);
    wait_done(f);
    CHECK_OK(f->err);
    f->done = false;
    records_lease_renew(r, "identity_manager", "other", 50, on_lease, f);
    wait_done(f);
    CHECK_ERR(f->err, ERR_EXISTS);
    assert_string_equal(f->text, "lease no longer held");
    f->done = false;
    records_lease_release(r, "identity_manager", first, on_lease, f);
    wait_done(f);
    CHECK_OK(f->err);
    f->done = false;
    records_lease_acquire(r, "identity_manager", 60000, on_lease, f);
    wait_done(f);
    CHECK_OK(f->err);
    assert_string_not_equal(f->lease, first);
}

static void test_leases_are_authenticates(void **state)
{
    struct fixture *f = *state;
    static const size_t others[] = {WHO_AUTHORIZE, WHO_ADMIN, WHO_PROXY};
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        f->done = false;
        records_lease_acquire(&f->r[others[i]], "x", 60000, on_lease, f);
        wait_done(f);
        CHECK_ERR(f->err, ERR_DENIED);
    }
}

static void on_types(void *ctx, enum err e, const char *text, char *const *types, size_t count)
{
    struct fixture *f = ctx;
    note(f, e, text);
    f->count = count;
    snprintf(f->ids, sizeof(f->ids), "%s %s", count ? types[0] : "", count > 1 ? types[1] : "");
}

static void on_info(void *ctx, enum err e, const char *text, const struct records_info *info)
{
    struct fixture *f = ctx;
    note(f, e, text);
    assert_string_equal(info->build, "test");
    assert_int_equal(info->server_version, 11);
    assert_int_equal(info->memory_server_version, 22);
    assert_int_equal(info->record_version, 1);
    assert_int_equal(info->memory_record_version, 1);
}

static void test_about(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "x", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHORIZE, CONNECTION, "c", "x", RECORDS_ANY));
    f->done = false;
    records_types(&f->r[WHO_ADMIN], on_types, f);
    wait_done(f);
    assert_int_equal(f->count, 2);
    assert_string_equal(f->ids, TYPE("session.Session") " " TYPE("postern.Connection"));
    f->done = false;
    records_info(&f->r[WHO_ADMIN], on_info, f);
    wait_done(f);
    CHECK_OK(f->err);
}

static void on_options(void *ctx, enum rpc_status status, const char *text,
                       const ProtobufCMessage *response)
{
    struct fixture *f = ctx;
    note(f, rpc_status_err(status), text);
    const Databroker__SetOptionsResponse *m = (const Databroker__SetOptionsResponse *)response;
    if (m)
        f->total = m->options->capacity;
}

static void test_options(void **state)
{
    struct fixture *f = *state;
    static const struct rpc_method_name set = {&databroker__data_broker_service__descriptor,
                                               "SetOptions"};
    Databroker__Options options = DATABROKER__OPTIONS__INIT;
    options.capacity_set_case = DATABROKER__OPTIONS__CAPACITY_SET_CAPACITY;
    options.capacity = 2;
    Databroker__SetOptionsRequest request = DATABROKER__SET_OPTIONS_REQUEST__INIT;
    request.type = (char *)(uintptr_t)TYPE("session.Session");
    request.options = &options;
    struct rpc_unary_options call = {.timeout_ms = 5000};
    f->done = false;
    rpc_unary(f->channels[WHO_AUTHORIZE], set, &request.base, call, on_options, f);
    wait_done(f);
    CHECK_ERR(f->err, ERR_DENIED);
    f->done = false;
    rpc_unary(f->channels[WHO_AUTHENTICATE], set, &request.base, call, on_options, f);
    wait_done(f);
    CHECK_OK(f->err);
    assert_int_equal(f->total, 2);
    static const struct rpc_method_name read = {&databroker__data_broker_service__descriptor,
                                                "GetOptions"};
    Databroker__GetOptionsRequest which = DATABROKER__GET_OPTIONS_REQUEST__INIT;
    which.type = request.type;
    f->done = false;
    f->total = 0;
    rpc_unary(f->channels[WHO_ADMIN], read, &which.base, call, on_options, f);
    wait_done(f);
    CHECK_OK(f->err);
    assert_int_equal(f->total, 2);
    for (int i = 0; i < 4; i++) {
        AUTO_FREE char *id = mem_printf("s%d", i);
        CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, id, "x", RECORDS_ANY));
    }
    CHECK_OK(query(f, WHO_ADMIN, (struct record_search){.type = TYPE("session.Session")}));
    assert_string_equal(f->ids, "s2 s3 ");
}

/* Many at once: all answered, each with a version of its own. */
static void on_one_of_many(void *ctx, enum err e, const char *text, const uint64_t *versions,
                           size_t count)
{
    struct fixture *f = ctx;
    (void)text;
    CHECK_OK(e);
    assert_int_equal(count, 1);
    f->total += versions[0];
    f->count++;
}

static void test_many(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 2000 };
    Session__Session s = SESSION__SESSION__INIT;
    f->count = 0;
    f->total = 0;
    for (int i = 0; i < MANY; i++) {
        AUTO_FREE char *id = mem_printf("s%d", i);
        struct record_write w = {
            .type = SESSION, .id = id, .message = &s.base, .expected = RECORDS_ANY};
        records_put(&f->r[WHO_AUTHENTICATE], &w, 1, on_one_of_many, f);
    }
    while (f->count < MANY)
        turn(f);
    assert_int_equal(f->total, (uint64_t)MANY * (MANY + 1) / 2);
}

/* Callers that go away do not hurt, nor do answers that nobody takes. */
static void test_cancel(void **state)
{
    struct fixture *f = *state;
    Session__Session s = SESSION__SESSION__INIT;
    struct record_write w = {
        .type = SESSION, .id = "s", .message = &s.base, .expected = RECORDS_ANY};
    f->done = false;
    for (int i = 0; i < 100; i++) {
        uint64_t id = records_put(&f->r[WHO_AUTHENTICATE], &w, 1, on_put, f);
        turn(f);
        records_cancel(&f->r[WHO_AUTHENTICATE], id);
    }
    f->done = false;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "last", RECORDS_ANY));
    CHECK_OK(get(f, WHO_AUTHENTICATE, SESSION, "s"));
    assert_string_equal(f->data, "last");
}

/* The disk refuses: nobody is told that it was written, health is told; then it works again. */
static void test_disk_error(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "one", RECORDS_ANY));
    struct rlimit before;
    struct sigaction old;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    struct rlimit small = {.rlim_cur = 40000, .rlim_max = before.rlim_max};
    AUTO_FREE char *big = mem_zalloc(100001);
    memset(big, 'x', 100000);
    sigaction(SIGXFSZ, &ignore, &old);
    setrlimit(RLIMIT_FSIZE, &small);
    enum err e = put(f, WHO_AUTHENTICATE, SESSION, "s", big, RECORDS_ANY);
    while (f->storage_reports < 1)
        turn(f);
    setrlimit(RLIMIT_FSIZE, &before);
    sigaction(SIGXFSZ, &old, NULL);
    CHECK_ERR(e, ERR_UNAVAILABLE);
    CHECK_ERR(f->storage, ERR_IO);
    CHECK_OK(get(f, WHO_AUTHENTICATE, SESSION, "s"));
    assert_string_equal(f->data, "one");
    CHECK_OK(put(f, WHO_AUTHORIZE, CONNECTION, "c", "one", RECORDS_ANY));
    assert_int_equal(f->storage_reports, 1);
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "two", RECORDS_ANY));
    while (f->storage_reports < 2)
        turn(f);
    CHECK_OK(f->storage);
}

static void test_restart(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "kept", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHORIZE, CONNECTION, "c", "lost", RECORDS_ANY));
    broker_stop(f);
    broker_start(f, 23);
    CHECK_OK(get(f, WHO_ADMIN, SESSION, "s"));
    assert_string_equal(f->data, "kept");
    CHECK_ERR(get(f, WHO_ADMIN, CONNECTION, "c"), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_put_get),
        T(test_conditions),
        T(test_rights),
        T(test_query),
        T(test_large_query),
        T(test_leases),
        T(test_leases_are_authenticates),
        T(test_about),
        T(test_options),
        T(test_many),
        T(test_cancel),
        T(test_disk_error),
        T(test_restart),
    };
    return RUN(tests);
}
