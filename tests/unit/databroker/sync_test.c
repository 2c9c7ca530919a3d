/* Following changes through syncer.h, over restarts and other troubles. */
#include "tests/unit/databroker/fixture.h"

#include "common/base/map.h"

/* What a follower has heard. */
struct copy {
    struct fixture *f;
    struct syncer *s;
    struct map records; /* type id -> data */
    unsigned clears;
    unsigned synced;
    unsigned seen;
    unsigned lost;
    unsigned up;
};

static void copy_clear(struct copy *c)
{
    for (struct map_iter i = map_iter(&c->records); map_next(&i);)
        mem_free(i.value);
    map_fini(&c->records);
    c->records = (struct map){0};
}

static void on_clear(void *ctx)
{
    struct copy *c = ctx;
    copy_clear(c);
    c->clears++;
}

static void on_record(void *ctx, const struct record *r)
{
    struct copy *c = ctx;
    AUTO_FREE char *key = mem_printf("%s %s", r->type, r->id);
    c->seen++;
    void *before = r->deleted
                       ? map_remove(&c->records, view_str(key))
                       : map_put(&c->records, view_str(key), mem_strndup(r->data.ptr, r->data.len));
    mem_free(before);
}

static void on_synced(void *ctx)
{
    ((struct copy *)ctx)->synced++;
}

static void on_state(void *ctx, bool connected, const char *text)
{
    struct copy *c = ctx;
    assert_non_null(text);
    *(connected ? &c->up : &c->lost) += 1;
}

static const struct syncer_events events = {
    .on_clear = on_clear, .on_record = on_record, .on_synced = on_synced, .on_state = on_state};

static void copy_open(struct copy *c, struct fixture *f, size_t who, const char *type)
{
    *c = (struct copy){.f = f};
    c->s = syncer_open(f->channels[who], &f->loop, type, &events, c);
}

static void copy_close(struct copy *c)
{
    syncer_close(c->s);
    turn(c->f);
    copy_clear(c);
}

static void wait_synced(struct copy *c)
{
    while (!syncer_is_synced(c->s))
        turn(c->f);
}

/* Until the copy is as new as the last put. */
static void wait_version(struct copy *c, uint64_t version)
{
    while (syncer_versions(c->s).record_version < version)
        turn(c->f);
}

static bool has(const struct copy *c, const char *type, const char *id)
{
    AUTO_FREE char *key = mem_printf("%s %s", type, id);
    return map_get(&c->records, view_str(key)) != NULL;
}

static void test_follow(void **state)
{
    struct fixture *f = *state;
    struct copy c;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", "1", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "b", "1", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "b", NULL, RECORDS_ANY));
    copy_open(&c, f, WHO_AUTHORIZE, NULL);
    assert_false(syncer_is_synced(c.s));
    wait_synced(&c);
    assert_int_equal(c.clears, 1);
    assert_int_equal(c.seen, 1);
    assert_true(has(&c, TYPE("session.Session"), "a"));
    assert_int_equal(syncer_versions(c.s).server_version, 11);
    assert_int_equal(syncer_versions(c.s).record_version, 3);
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "c", "1", RECORDS_ANY));
    wait_version(&c, f->versions[0]);
    assert_true(has(&c, TYPE("session.Session"), "c"));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", NULL, RECORDS_ANY));
    wait_version(&c, f->versions[0]);
    assert_false(has(&c, TYPE("session.Session"), "a"));
    assert_int_equal(c.clears, 1);
    assert_true(syncer_is_connected(c.s));
    copy_close(&c);
}

/* Durable types only, and not what the caller may not read; the versions reach the end anyway. */
static void test_what_is_followed(void **state)
{
    struct fixture *f = *state;
    struct copy all;
    struct copy connections;
    CHECK_OK(put(f, WHO_AUTHORIZE, CONNECTION, "c", "1", RECORDS_ANY));
    copy_open(&all, f, WHO_AUTHORIZE, NULL);
    copy_open(&connections, f, WHO_AUTHORIZE, TYPE("postern.Connection"));
    wait_synced(&all);
    wait_synced(&connections);
    assert_int_equal(all.seen, 0);
    assert_true(has(&connections, TYPE("postern.Connection"), "c"));
    assert_int_equal(syncer_versions(connections.s).server_version, 22);
    CHECK_OK(put(f, WHO_AUTHENTICATE, SEALED, "s", "x", RECORDS_ANY));
    wait_version(&all, f->versions[0]);
    assert_int_equal(all.seen, 0);
    CHECK_OK(put(f, WHO_AUTHORIZE, CONNECTION, "c", NULL, RECORDS_ANY));
    wait_version(&connections, f->versions[0]);
    assert_false(has(&connections, TYPE("postern.Connection"), "c"));
    copy_close(&all);
    copy_close(&connections);
    /* authenticate sees its own tokens. */
    copy_open(&all, f, WHO_AUTHENTICATE, NULL);
    wait_synced(&all);
    assert_true(has(&all, TYPE("postern.SealedTokens"), "s"));
    copy_close(&all);
}

static void test_refused(void **state)
{
    struct fixture *f = *state;
    struct copy proxy;
    struct copy sealed;
    copy_open(&proxy, f, WHO_PROXY, NULL);
    copy_open(&sealed, f, WHO_AUTHORIZE, TYPE("postern.SealedTokens"));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SEALED, "s", "x", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s", "x", RECORDS_ANY));
    for (int i = 0; i < 30; i++)
        CHECK_OK(get(f, WHO_AUTHENTICATE, SESSION, "s"));
    assert_false(syncer_is_synced(proxy.s) || syncer_is_synced(sealed.s));
    assert_int_equal(proxy.seen + sealed.seen, 0);
    copy_close(&proxy);
    copy_close(&sealed);
}

/* More than one page, written while it is read. */
static void test_pages(void **state)
{
    struct fixture *f = *state;
    struct copy c;
    Session__Session s = SESSION__SESSION__INIT;
    enum { PUTS = 20, EACH = 100 };
    char ids[EACH][16];
    for (int k = 0; k < PUTS; k++) {
        struct record_write w[EACH];
        for (int i = 0; i < EACH; i++) {
            snprintf(ids[i], sizeof(ids[i]), "s%d", k * EACH + i);
            w[i] = (struct record_write){
                .type = SESSION, .id = ids[i], .message = &s.base, .expected = RECORDS_ANY};
        }
        CHECK_OK(put_all(f, WHO_AUTHENTICATE, w, EACH));
        if (k == PUTS / 2)
            copy_open(&c, f, WHO_AUTHORIZE, NULL);
    }
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "s0", NULL, RECORDS_ANY));
    uint64_t last = f->versions[0];
    wait_synced(&c);
    wait_version(&c, last);
    assert_int_equal(map_count(&c.records), PUTS * EACH - 1);
    assert_false(has(&c, TYPE("session.Session"), "s0"));
    copy_close(&c);
}

/* A restart of the databroker: the durable copy goes on, the memory-only one starts anew. */
static void test_restart(void **state)
{
    struct fixture *f = *state;
    struct copy durable;
    struct copy memory;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", "1", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "b", "1", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHORIZE, CONNECTION, "c", "1", RECORDS_ANY));
    copy_open(&durable, f, WHO_AUTHORIZE, NULL);
    copy_open(&memory, f, WHO_AUTHORIZE, TYPE("postern.Connection"));
    wait_synced(&durable);
    wait_synced(&memory);
    broker_stop(f);
    while (!durable.lost || !memory.lost)
        turn(f);
    assert_true(syncer_is_synced(durable.s));
    assert_false(syncer_is_connected(durable.s));
    uint64_t lost_at = syncer_fresh_at(durable.s);
    assert_true(lost_at <= loop_clock_ms());
    broker_start(f, 33);
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", NULL, RECORDS_ANY));
    wait_version(&durable, f->versions[0]);
    assert_int_equal(durable.clears, 1);
    assert_false(has(&durable, TYPE("session.Session"), "a"));
    assert_true(has(&durable, TYPE("session.Session"), "b"));
    while (memory.clears < 2 || !syncer_is_synced(memory.s))
        turn(f);
    assert_int_equal(map_count(&memory.records), 0);
    assert_int_equal(syncer_versions(memory.s).server_version, 33);
    copy_close(&durable);
    copy_close(&memory);
}

/* Away for longer than deletions are kept: everything anew, nothing missed. */
static void test_away_too_long(void **state)
{
    struct fixture *f = *state;
    struct copy c;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", "1", RECORDS_ANY));
    copy_open(&c, f, WHO_AUTHORIZE, NULL);
    wait_synced(&c);
    broker_stop(f);
    while (!c.lost)
        turn(f);
    struct history *h = NULL;
    char *why = NULL;
    CHECK_OK(history_sqlite_open(f->dir, 1, &h, &why));
    struct record_row r = {
        .type = TYPE("session.Session"), .id = "a", .modified_ms = 5, .deleted_ms = 5};
    uint64_t version;
    CHECK_OK(h->ops->begin(h));
    CHECK_OK(h->ops->put(h, &r, &version));
    CHECK_OK(h->ops->commit(h, 5));
    CHECK_OK(h->ops->trim(h, 1000));
    h->ops->free(h);
    broker_start(f, 22);
    while (c.clears < 2 || !syncer_is_synced(c.s))
        turn(f);
    assert_int_equal(map_count(&c.records), 0);
    copy_close(&c);
}

/* --- the stream itself --- */

struct raw {
    struct fixture *f;
    unsigned records;
    unsigned options;
    uint64_t told;
    bool ended;
    enum rpc_status status;
    char text[100];
};

static void on_raw(void *ctx, const ProtobufCMessage *message)
{
    struct raw *r = ctx;
    const Databroker__SyncResponse *m = (const Databroker__SyncResponse *)message;
    r->records += m->response_case == DATABROKER__SYNC_RESPONSE__RESPONSE_RECORD;
    if (m->response_case == DATABROKER__SYNC_RESPONSE__RESPONSE_OPTIONS) {
        assert_int_equal(r->records, 0);
        r->options++;
    }
    if (m->response_case == DATABROKER__SYNC_RESPONSE__RESPONSE_VERSIONS)
        r->told = m->versions->latest_record_version;
}

static void on_raw_end(void *ctx, enum rpc_status status, const char *text)
{
    struct raw *r = ctx;
    r->ended = true;
    r->status = status;
    snprintf(r->text, sizeof(r->text), "%s", text);
}

static struct raw sync_once(struct fixture *f, uint64_t server, uint64_t record)
{
    static const struct rpc_stream_events raw_events = {.on_message = on_raw, .on_end = on_raw_end};
    struct raw r = {.f = f};
    struct rpc_stream *s = rpc_stream_open(
        f->channels[WHO_AUTHORIZE],
        (struct rpc_method_name){&databroker__data_broker_service__descriptor, "Sync"}, &raw_events,
        &r);
    Databroker__SyncRequest request = DATABROKER__SYNC_REQUEST__INIT;
    request.server_version = server;
    request.record_version = record;
    request.wait_set_case = DATABROKER__SYNC_REQUEST__WAIT_SET_WAIT;
    CHECK_OK(rpc_stream_send(s, &request.base));
    rpc_stream_half_close(s);
    while (!r.ended)
        turn(f);
    return r;
}

static void test_versions(void **state)
{
    struct fixture *f = *state;
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", "1", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "b", "1", RECORDS_ANY));
    struct raw r = sync_once(f, 11, 0);
    assert_int_equal(r.status, RPC_OK);
    assert_int_equal(r.records, 2);
    assert_int_equal(r.told, 2);
    assert_true(r.options > 0);
    r = sync_once(f, 11, 1);
    assert_int_equal(r.records, 1);
    r = sync_once(f, 12, 0);
    assert_int_equal(r.status, RPC_ABORTED);
    assert_string_equal(r.text, "invalid server version");
    r = sync_once(f, 12, 99);
    assert_string_equal(r.text, "invalid server version");
    r = sync_once(f, 11, 3);
    assert_int_equal(r.status, RPC_ABORTED);
    assert_string_equal(r.text, "invalid record version");
}

/* A syncer closed in its own callback. */
static void on_record_close(void *ctx, const struct record *r)
{
    struct copy *c = ctx;
    (void)r;
    c->seen++;
    syncer_close(c->s);
    c->s = NULL;
}

static void test_close_inside(void **state)
{
    struct fixture *f = *state;
    static const struct syncer_events closing = {.on_clear = on_clear,
                                                 .on_record = on_record_close};
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "a", "1", RECORDS_ANY));
    CHECK_OK(put(f, WHO_AUTHENTICATE, SESSION, "b", "1", RECORDS_ANY));
    struct copy c = {.f = f};
    c.s = syncer_open(f->channels[WHO_AUTHORIZE], &f->loop, NULL, &closing, &c);
    while (c.s)
        turn(f);
    CHECK_OK(get(f, WHO_AUTHORIZE, SESSION, "a"));
    assert_int_equal(c.seen, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_follow),  T(test_what_is_followed), T(test_refused),  T(test_pages),
        T(test_restart), T(test_away_too_long),    T(test_versions), T(test_close_inside),
    };
    return RUN(tests);
}
