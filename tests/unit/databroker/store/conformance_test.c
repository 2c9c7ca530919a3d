/* What every history does, over each kind of history. */
#include "tests/unit/databroker/store/temp.h"

#include "databroker/store/history.h"

#define T1 "type.googleapis.com/a.One"
#define T2 "type.googleapis.com/b.Two"

struct fixture {
    struct history *h;
    char *dir;
};

static int open_history(void **state, bool sqlite)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    f->dir = temp_new();
    char *why = NULL;
    if (sqlite)
        CHECK_OK(history_sqlite_open(f->dir, 77, &f->h, &why));
    else
        f->h = history_memory_new(77);
    *state = f;
    return 0;
}

static int setup_memory(void **state)
{
    return open_history(state, false);
}

static int setup_sqlite(void **state)
{
    return open_history(state, true);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    f->h->ops->free(f->h);
    temp_free(f->dir);
    mem_free(f);
    return 0;
}

/* --- verbs --- */

static uint64_t put(struct history *h, const char *type, const char *id, const char *data,
                    uint64_t now)
{
    struct record_row r = {.type = type,
                           .id = id,
                           .modified_ms = now,
                           .deleted_ms = data ? 0 : now,
                           .data = view_str(data)};
    uint64_t version = 0;
    CHECK_OK(h->ops->begin(h));
    CHECK_OK(h->ops->mark(h));
    CHECK_OK(h->ops->put(h, &r, &version));
    CHECK_OK(h->ops->keep(h));
    CHECK_OK(h->ops->commit(h, now));
    return version;
}

/* "id=data " in order, deletions as "id! ". */
static char *text_of(const struct record_page *p)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < p->count; i++) {
        const struct record_row *r = &p->items[i];
        if (r->deleted_ms)
            CHECK_OK(buf_printf(&b, "%s! ", r->id));
        else
            CHECK_OK(buf_printf(&b, "%s=%.*s ", r->id, VIEW_FMT(r->data)));
    }
    char *text = buf_to_str(&b);
    buf_fini(&b);
    return text;
}

static void check_get(struct history *h, const char *type, const char *id, const char *data)
{
    AUTO(record_page_fini) struct record_page p = {0};
    CHECK_ERR(h->ops->get(h, type, id, &p), data ? OK : ERR_NOT_FOUND);
    if (data) {
        assert_int_equal(p.count, 1);
        assert_string_equal(p.items[0].type, type);
        assert_string_equal(p.items[0].id, id);
        CHECK_VIEW_STR(p.items[0].data, data);
        assert_int_equal(p.server_version, 77);
    }
}

static void check_changes(struct history *h, struct history_changes c, const char *expected)
{
    AUTO(record_page_fini) struct record_page p = {0};
    if (!c.count_max)
        c.count_max = 1000;
    if (!c.bytes_max)
        c.bytes_max = 1 << 20;
    CHECK_OK(h->ops->changes(h, &c, &p));
    AUTO_FREE char *text = text_of(&p);
    assert_string_equal(text, expected);
}

/* --- tests --- */

static void test_put_get(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    check_get(h, T1, "a", NULL);
    assert_int_equal(put(h, T1, "a", "1", 10), 1);
    assert_int_equal(put(h, T2, "a", "2", 20), 2);
    assert_int_equal(put(h, T1, "a", "3", 30), 3);
    check_get(h, T1, "a", "3");
    check_get(h, T2, "a", "2");
    assert_int_equal(put(h, T1, "a", NULL, 40), 4);
    check_get(h, T1, "a", NULL);
    /* Deleting what is not there changes nothing. */
    assert_int_equal(put(h, T1, "a", NULL, 50), 0);
    assert_int_equal(put(h, T1, "b", NULL, 50), 0);
    assert_int_equal(put(h, T1, "b", "", 50), 5);
    check_get(h, T1, "b", "");
    AUTO(record_page_fini) struct record_page p = {0};
    CHECK_OK(h->ops->versions(h, &p));
    assert_int_equal(p.server_version, 77);
    assert_int_equal(p.record_version, 5);
    assert_int_equal(p.cursor, 0);
}

static void test_group(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    uint64_t v = 0;
    put(h, T1, "old", "1", 1);
    CHECK_OK(h->ops->begin(h));
    CHECK_OK(h->ops->mark(h));
    struct record_row r = {.type = T1, .id = "x", .data = VIEW("1"), .modified_ms = 2};
    CHECK_OK(h->ops->put(h, &r, &v));
    assert_int_equal(v, 2);
    CHECK_OK(h->ops->find(h, T1, "x", &v));
    assert_int_equal(v, 2);
    CHECK_OK(h->ops->keep(h));
    /* Nothing is visible before the commit. */
    check_get(h, T1, "x", NULL);
    CHECK_OK(h->ops->mark(h));
    struct record_row gone = {.type = T1, .id = "old", .deleted_ms = 2, .modified_ms = 2};
    CHECK_OK(h->ops->put(h, &gone, &v));
    assert_int_equal(v, 3);
    CHECK_OK(h->ops->find(h, T1, "old", &v));
    assert_int_equal(v, 0);
    r.data = VIEW("2");
    CHECK_OK(h->ops->put(h, &r, &v));
    CHECK_OK(h->ops->undo(h));
    CHECK_OK(h->ops->find(h, T1, "old", &v));
    assert_int_equal(v, 1);
    CHECK_OK(h->ops->find(h, T1, "x", &v));
    assert_int_equal(v, 2);
    CHECK_OK(h->ops->mark(h));
    r.id = "y";
    CHECK_OK(h->ops->put(h, &r, &v));
    assert_int_equal(v, 3);
    CHECK_OK(h->ops->keep(h));
    CHECK_OK(h->ops->commit(h, 2));
    check_get(h, T1, "x", "1");
    check_get(h, T1, "y", "2");
    check_get(h, T1, "old", "1");
    check_changes(h, (struct history_changes){0}, "old=1 x=1 y=2 ");
    /* An aborted group leaves nothing, and its versions are given again. */
    CHECK_OK(h->ops->begin(h));
    CHECK_OK(h->ops->mark(h));
    r.id = "z";
    CHECK_OK(h->ops->put(h, &r, &v));
    assert_int_equal(v, 4);
    h->ops->abort(h);
    check_get(h, T1, "z", NULL);
    assert_int_equal(put(h, T1, "z", "9", 5), 4);
}

static void test_changes(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    put(h, T1, "a", "1", 1);
    put(h, T2, "b", "2", 2);
    put(h, T1, "c", "3", 3);
    put(h, T1, "a", "4", 4);
    put(h, T1, "c", NULL, 5);
    check_changes(h, (struct history_changes){.after = 0}, "b=2 a=4 c! ");
    check_changes(h, (struct history_changes){.after = 2}, "a=4 c! ");
    check_changes(h, (struct history_changes){.after = 4}, "c! ");
    check_changes(h, (struct history_changes){.after = 5}, "");
    check_changes(h, (struct history_changes){.type = T1}, "a=4 c! ");
    check_changes(h, (struct history_changes){.type = T2}, "b=2 ");
    check_changes(h, (struct history_changes){.type = "type.googleapis.com/none"}, "");
    check_changes(h, (struct history_changes){.alive = true}, "b=2 a=4 ");
    AUTO(record_page_fini) struct record_page p = {0};
    struct history_changes future = {.after = 6, .count_max = 1, .bytes_max = 1};
    CHECK_ERR(h->ops->changes(h, &future, &p), ERR_MISMATCH);
}

static void test_pages(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    for (int i = 0; i < 25; i++) {
        AUTO_FREE char *id = mem_printf("%c", 'a' + i);
        put(h, i % 2 ? T1 : T2, id, "x", 1);
    }
    uint64_t after = 0;
    size_t seen = 0;
    for (;;) {
        AUTO(record_page_fini) struct record_page p = {0};
        struct history_changes c = {.after = after, .count_max = 4, .bytes_max = 1 << 20};
        CHECK_OK(h->ops->changes(h, &c, &p));
        for (size_t i = 0; i < p.count; i++)
            assert_int_equal(p.items[i].version, ++seen);
        assert_true(p.more ? p.count == 4 && p.cursor == seen : p.cursor == 25);
        after = p.cursor;
        if (!p.more)
            break;
    }
    assert_int_equal(seen, 25);
    /* At least one row, however small the limit. */
    AUTO(record_page_fini) struct record_page p = {0};
    struct history_changes tiny = {.after = 3, .count_max = 10, .bytes_max = 1};
    CHECK_OK(h->ops->changes(h, &tiny, &p));
    assert_int_equal(p.count, 1);
    assert_true(p.more);
    /* A type's cursor reaches the end of the history. */
    AUTO(record_page_fini) struct record_page q = {0};
    struct history_changes typed = {.type = T1, .after = 20, .count_max = 10, .bytes_max = 9999};
    CHECK_OK(h->ops->changes(h, &typed, &q));
    assert_int_equal(q.count, 2);
    assert_int_equal(q.cursor, 25);
    assert_false(q.more);
}

static void test_trim(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    AUTO(record_page_fini) struct record_page p = {0};
    put(h, T1, "a", "1", 100);
    put(h, T1, "b", "1", 200);
    put(h, T1, "a", NULL, 300);
    put(h, T1, "c", "1", 400);
    put(h, T1, "b", NULL, 500);
    CHECK_OK(h->ops->trim(h, 300));
    check_changes(h, (struct history_changes){.after = 0}, "a! c=1 b! ");
    CHECK_OK(h->ops->trim(h, 301));
    struct history_changes c = {.after = 2, .count_max = 10, .bytes_max = 9999};
    CHECK_ERR(h->ops->changes(h, &c, &p), ERR_MISMATCH);
    check_changes(h, (struct history_changes){.after = 3}, "c=1 b! ");
    check_changes(h, (struct history_changes){.alive = true}, "c=1 ");
    CHECK_OK(h->ops->versions(h, &p));
    assert_int_equal(p.cursor, 3);
    assert_int_equal(p.record_version, 5);
    /* The counter goes on although its last row is gone. */
    CHECK_OK(h->ops->trim(h, 1000));
    assert_int_equal(put(h, T1, "d", "1", 600), 6);
}

static void test_capacity(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    CHECK_OK(h->ops->set_options(h, T1, &(struct history_options){.capacity = 2}));
    put(h, T1, "a", "1", 1);
    put(h, T1, "b", "2", 2);
    put(h, T1, "a", "3", 3);
    check_changes(h, (struct history_changes){.alive = true}, "b=2 a=3 ");
    assert_int_equal(put(h, T1, "c", "4", 4), 4);
    check_changes(h, (struct history_changes){.after = 3}, "c=4 b! ");
    put(h, T2, "x", "1", 5);
    put(h, T2, "y", "1", 5);
    put(h, T2, "z", "1", 5);
    check_changes(h, (struct history_changes){.alive = true}, "a=3 c=4 x=1 y=1 z=1 ");
    /* Several in one group. */
    CHECK_OK(h->ops->begin(h));
    for (int i = 0; i < 5; i++) {
        AUTO_FREE char *id = mem_printf("n%d", i);
        struct record_row r = {.type = T1, .id = id, .data = VIEW("n"), .modified_ms = 6};
        uint64_t v;
        CHECK_OK(h->ops->mark(h));
        CHECK_OK(h->ops->put(h, &r, &v));
        CHECK_OK(h->ops->keep(h));
    }
    CHECK_OK(h->ops->commit(h, 6));
    check_changes(h, (struct history_changes){.type = T1, .alive = true}, "n3=n n4=n ");
}

static void test_expire(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    size_t n = 99;
    CHECK_OK(h->ops->set_options(h, T1, &(struct history_options){.ttl_ms = 100}));
    put(h, T1, "a", "1", 1000);
    put(h, T2, "a", "1", 1000);
    put(h, T1, "b", "1", 1050);
    CHECK_OK(h->ops->expire(h, 1099, &n));
    assert_int_equal(n, 0);
    CHECK_OK(h->ops->expire(h, 1100, &n));
    assert_int_equal(n, 1);
    check_changes(h, (struct history_changes){.after = 3}, "a! ");
    check_get(h, T1, "a", NULL);
    check_get(h, T2, "a", "1");
    put(h, T1, "b", "2", 1140);
    CHECK_OK(h->ops->expire(h, 1200, &n));
    assert_int_equal(n, 0);
    check_get(h, T1, "b", "2");
}

static bool is_odd(void *ctx, const struct record_row *r)
{
    (void)ctx;
    return r->data.ptr[0] % 2 == 1;
}

static void check_query(struct history *h, struct history_query q, const char *expected,
                        uint64_t total)
{
    AUTO(record_page_fini) struct record_page p = {0};
    if (!q.bytes_max)
        q.bytes_max = 1 << 20;
    CHECK_OK(h->ops->query(h, &q, &p));
    AUTO_FREE char *text = text_of(&p);
    assert_string_equal(text, expected);
    assert_int_equal(p.total, total);
}

static void test_query(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    put(h, T1, "c", "3", 1);
    put(h, T1, "a", "1", 1);
    put(h, T1, "b", "2", 1);
    put(h, T2, "x", "5", 1);
    put(h, T1, "d", "7", 1);
    put(h, T1, "e", "9", 1);
    put(h, T1, "d", NULL, 1);
    check_query(h, (struct history_query){.type = T1, .limit = 10}, "a=1 b=2 c=3 e=9 ", 4);
    check_query(h, (struct history_query){.type = T1, .limit = 2, .offset = 1}, "b=2 c=3 ", 4);
    check_query(h, (struct history_query){.type = T1, .limit = 2, .offset = 1, .match = is_odd},
                "c=3 e=9 ", 3);
    check_query(h, (struct history_query){.type = T1, .limit = 0}, "", 4);
    check_query(h, (struct history_query){.type = T1, .limit = 9, .offset = 9}, "", 4);
    check_query(h, (struct history_query){.type = "none", .limit = 9}, "", 0);
    check_query(h, (struct history_query){.type = T1, .limit = 9, .bytes_max = 1}, "a=1 ", 4);
}

static void test_types_and_options(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    put(h, T1, "a", "1", 1);
    put(h, T2, "a", "1", 1);
    put(h, T2, "a", NULL, 1);
    AUTO(record_page_fini) struct record_page p = {0};
    CHECK_OK(h->ops->types(h, &p));
    assert_int_equal(p.count, 1);
    assert_string_equal(p.items[0].type, T1);
    uint64_t count = 9;
    CHECK_OK(h->ops->count(h, T1, &count));
    assert_int_equal(count, 1);
    put(h, T1, "b", "1", 1);
    CHECK_OK(h->ops->count(h, T1, &count));
    assert_int_equal(count, 2);
    CHECK_OK(h->ops->count(h, T2, &count));
    assert_int_equal(count, 0);
    CHECK_OK(h->ops->count(h, "none", &count));
    assert_int_equal(count, 0);
    struct history_options o = {.capacity = 5, .ttl_ms = 6, .fields = (char *)(uintptr_t) "a\nb"};
    CHECK_OK(h->ops->set_options(h, T2, &o));
    struct history_options got;
    CHECK_OK(h->ops->get_options(h, T2, &got));
    assert_int_equal(got.capacity, 5);
    assert_int_equal(got.ttl_ms, 6);
    assert_string_equal(got.fields, "a\nb");
    mem_free(got.fields);
    CHECK_OK(h->ops->get_options(h, "none", &got));
    assert_int_equal(got.capacity + got.ttl_ms, 0);
    mem_free(got.fields);
}

static void test_binary(void **state)
{
    struct history *h = ((struct fixture *)*state)->h;
    AUTO_FREE uint8_t *data = mem_zalloc(RECORD_DATA_MAX);
    for (size_t i = 0; i < RECORD_DATA_MAX; i++)
        data[i] = (uint8_t)(i * 7);
    struct record_row r = {.type = T1, .id = "it's \"quoted\" ✓", .modified_ms = 1};
    r.data = view_of(data, RECORD_DATA_MAX);
    uint64_t v;
    CHECK_OK(h->ops->begin(h));
    CHECK_OK(h->ops->mark(h));
    CHECK_OK(h->ops->put(h, &r, &v));
    CHECK_OK(h->ops->keep(h));
    CHECK_OK(h->ops->commit(h, 1));
    AUTO(record_page_fini) struct record_page p = {0};
    CHECK_OK(h->ops->get(h, T1, r.id, &p));
    CHECK_VIEW(p.items[0].data, r.data);
    assert_string_equal(p.items[0].id, r.id);
}

/* --- both at once, by chance --- */

static uint64_t chance_state;

static uint64_t chance(uint64_t n)
{
    chance_state = chance_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (chance_state >> 33) % n;
}

struct pair {
    struct history *a;
    struct history *b;
};

static void same_page(const struct record_page *a, const struct record_page *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->record_version, b->record_version);
    assert_int_equal(a->cursor, b->cursor);
    assert_int_equal(a->more, b->more);
    assert_int_equal(a->total, b->total);
    for (size_t i = 0; i < a->count; i++) {
        assert_int_equal(a->items[i].version, b->items[i].version);
        assert_string_equal(a->items[i].type, b->items[i].type);
        assert_string_equal(a->items[i].id, b->items[i].id);
        assert_int_equal(a->items[i].modified_ms, b->items[i].modified_ms);
        assert_int_equal(a->items[i].deleted_ms, b->items[i].deleted_ms);
        CHECK_VIEW(a->items[i].data, b->items[i].data);
    }
}

static void both_put(struct pair p, uint64_t now)
{
    AUTO_FREE char *id = mem_printf("id%d", (int)chance(12));
    AUTO_FREE char *data = mem_printf("data%d", (int)chance(1000));
    bool gone = chance(4) == 0;
    struct record_row r = {.type = chance(2) ? T1 : T2,
                           .id = id,
                           .modified_ms = now,
                           .deleted_ms = gone ? now : 0,
                           .data = gone ? (struct view){NULL, 0} : view_str(data)};
    uint64_t va = 0;
    uint64_t vb = 0;
    CHECK_OK(p.a->ops->put(p.a, &r, &va));
    CHECK_OK(p.b->ops->put(p.b, &r, &vb));
    assert_int_equal(va, vb);
    CHECK_OK(p.a->ops->find(p.a, r.type, r.id, &va));
    CHECK_OK(p.b->ops->find(p.b, r.type, r.id, &vb));
    assert_int_equal(va, vb);
}

static void both_request(struct pair p, uint64_t now)
{
    CHECK_OK(p.a->ops->mark(p.a));
    CHECK_OK(p.b->ops->mark(p.b));
    for (uint64_t n = chance(4) + 1; n; n--)
        both_put(p, now);
    bool undo = chance(3) == 0;
    CHECK_OK((undo ? p.a->ops->undo : p.a->ops->keep)(p.a));
    CHECK_OK((undo ? p.b->ops->undo : p.b->ops->keep)(p.b));
}

static void both_group(struct pair p, uint64_t now)
{
    CHECK_OK(p.a->ops->begin(p.a));
    CHECK_OK(p.b->ops->begin(p.b));
    for (uint64_t n = chance(4); n; n--)
        both_request(p, now);
    if (chance(5) == 0) {
        p.a->ops->abort(p.a);
        p.b->ops->abort(p.b);
    } else {
        CHECK_OK(p.a->ops->commit(p.a, now));
        CHECK_OK(p.b->ops->commit(p.b, now));
    }
}

static void both_read(struct pair p)
{
    AUTO(record_page_fini) struct record_page a = {0};
    AUTO(record_page_fini) struct record_page b = {0};
    AUTO(record_page_fini) struct record_page v = {0};
    CHECK_OK(p.a->ops->versions(p.a, &v));
    struct history_changes c = {.type = chance(2) ? T1 : NULL,
                                .after = chance(v.record_version + 2),
                                .alive = chance(2) == 0,
                                .count_max = chance(20) + 1,
                                .bytes_max = 1 << 20};
    enum err e = p.a->ops->changes(p.a, &c, &a);
    CHECK_ERR(p.b->ops->changes(p.b, &c, &b), e);
    if (e == OK)
        same_page(&a, &b);
    AUTO(record_page_fini) struct record_page qa = {0};
    AUTO(record_page_fini) struct record_page qb = {0};
    struct history_query q = {
        .type = T2, .offset = chance(5), .limit = chance(10), .bytes_max = 1 << 20};
    CHECK_OK(p.a->ops->query(p.a, &q, &qa));
    CHECK_OK(p.b->ops->query(p.b, &q, &qb));
    same_page(&qa, &qb);
}

static void both_maintain(struct pair p, uint64_t now)
{
    size_t na;
    size_t nb;
    if (chance(3) == 0) {
        uint64_t before = now - chance(40);
        CHECK_OK(p.a->ops->trim(p.a, before));
        CHECK_OK(p.b->ops->trim(p.b, before));
    }
    CHECK_OK(p.a->ops->expire(p.a, now, &na));
    CHECK_OK(p.b->ops->expire(p.b, now, &nb));
    assert_int_equal(na, nb);
}

static void test_both_by_chance(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 4; round++) {
        void *memory;
        void *sqlite;
        setup_memory(&memory);
        setup_sqlite(&sqlite);
        struct pair p = {((struct fixture *)memory)->h, ((struct fixture *)sqlite)->h};
        chance_state = round;
        struct history_options o = {.capacity = round % 2 ? 5 : 0, .ttl_ms = round > 1 ? 50 : 0};
        CHECK_OK(p.a->ops->set_options(p.a, T1, &o));
        CHECK_OK(p.b->ops->set_options(p.b, T1, &o));
        uint64_t now = 1000;
        for (int i = 0; i < 400; i++) {
            now += chance(10);
            both_group(p, now);
            both_read(p);
            if (chance(10) == 0)
                both_maintain(p, now);
        }
        teardown(&memory);
        teardown(&sqlite);
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
        EACH(test_put_get),
        EACH(test_group),
        EACH(test_changes),
        EACH(test_pages),
        EACH(test_trim),
        EACH(test_capacity),
        EACH(test_expire),
        EACH(test_query),
        EACH(test_binary),
        EACH(test_types_and_options),
        cmocka_unit_test(test_both_by_chance),
    };
    return RUN(tests);
}
