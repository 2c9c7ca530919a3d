/* Query arguments, leases. */
#include "tests/support/test.h"

#include "databroker/filter.h"
#include "databroker/lease.h"
#include "databroker/store/types.h"
#include "proto/session/session.pb-c.h"

typedef Google__Protobuf__Value value;
typedef Google__Protobuf__Struct__FieldsEntry entry;

static value string_of(const char *s)
{
    value v = GOOGLE__PROTOBUF__VALUE__INIT;
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v.string_value = (char *)(uintptr_t)s;
    return v;
}

static entry entry_of(const char *key, value *v)
{
    entry e = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    e.key = (char *)(uintptr_t)key;
    e.value = v;
    return e;
}

/* Does {key: v} want a binding of session "s1", user "u1"? */
static enum err ask(const char *key, value *v, bool *out)
{
    entry e = entry_of(key, v);
    entry *entries[] = {&e};
    Google__Protobuf__Struct filter = GOOGLE__PROTOBUF__STRUCT__INIT;
    filter.n_fields = 1;
    filter.fields = entries;
    Databroker__QueryRequest request = DATABROKER__QUERY_REQUEST__INIT;
    request.type = (char *)(uintptr_t)TYPE_URL "session.SessionBinding";
    request.filter = &filter;
    struct match m;
    TRY(filter_parse(&request, &m));
    Session__SessionBinding b = SESSION__SESSION_BINDING__INIT;
    b.session_id = (char *)(uintptr_t) "s1";
    b.user_id = (char *)(uintptr_t) "u1";
    uint8_t packed[100];
    struct record_row row = {.type = request.type, .id = "key1"};
    row.data = view_of(packed, session__session_binding__pack(&b, packed));
    *out = match_row(&m, &row);
    match_fini(&m);
    return OK;
}

static void test_equal(void **state)
{
    (void)state;
    bool is;
    value v = string_of("s1");
    CHECK_OK(ask("session_id", &v, &is));
    assert_true(is);
    CHECK_OK(ask("user_id", &v, &is));
    assert_false(is);
    v = string_of("key1");
    CHECK_OK(ask("id", &v, &is));
    assert_true(is);
    CHECK_ERR(ask("no_such", &v, &is), ERR_NOT_FOUND);
    CHECK_ERR(ask("issued_at", &v, &is), ERR_NOT_FOUND);
    CHECK_ERR(ask("issued_at.seconds", &v, &is), ERR_NOT_FOUND);
    CHECK_ERR(ask("session_id.x", &v, &is), ERR_NOT_FOUND);
    CHECK_ERR(ask("", &v, &is), ERR_NOT_FOUND);
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
    CHECK_ERR(ask("session_id", &v, &is), ERR_SYNTAX);
}

/* {op: [{"session_id": a}, {"user_id": b}]} */
static enum err ask_two(const char *op, const char *a, const char *b, bool *out)
{
    value va = string_of(a);
    value vb = string_of(b);
    entry ea = entry_of("session_id", &va);
    entry eb = entry_of("user_id", &vb);
    entry *la[] = {&ea};
    entry *lb[] = {&eb};
    Google__Protobuf__Struct sa = GOOGLE__PROTOBUF__STRUCT__INIT;
    Google__Protobuf__Struct sb = GOOGLE__PROTOBUF__STRUCT__INIT;
    sa.n_fields = sb.n_fields = 1;
    sa.fields = la;
    sb.fields = lb;
    value one = GOOGLE__PROTOBUF__VALUE__INIT;
    value two = GOOGLE__PROTOBUF__VALUE__INIT;
    one.kind_case = two.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    one.struct_value = &sa;
    two.struct_value = &sb;
    value *items[] = {&one, &two};
    Google__Protobuf__ListValue list = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    list.n_values = 2;
    list.values = items;
    value v = GOOGLE__PROTOBUF__VALUE__INIT;
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    v.list_value = &list;
    return ask(op, &v, out);
}

static void test_tree(void **state)
{
    (void)state;
    bool is;
    CHECK_OK(ask_two("$and", "s1", "u1", &is));
    assert_true(is);
    CHECK_OK(ask_two("$and", "s1", "u2", &is));
    assert_false(is);
    CHECK_OK(ask_two("$or", "s2", "u1", &is));
    assert_true(is);
    CHECK_OK(ask_two("$or", "s2", "u2", &is));
    assert_false(is);
    CHECK_ERR(ask_two("$not", "s1", "u1", &is), ERR_SYNTAX);
    value v = string_of("x");
    CHECK_ERR(ask("$and", &v, &is), ERR_SYNTAX);
}

static void test_lease(void **state)
{
    (void)state;
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 1);
    struct leases l = {.rng = &rng};
    const char *id = NULL;
    char first[LEASE_ID_LEN + 1];
    CHECK_OK(lease_acquire(&l, "a", 100, 1000, &id));
    assert_int_equal(strlen(id), LEASE_ID_LEN);
    memcpy(first, id, sizeof(first));
    CHECK_ERR(lease_acquire(&l, "a", 100, 1099, &id), ERR_EXISTS);
    CHECK_OK(lease_acquire(&l, "b", 100, 1099, &id));
    CHECK_OK(lease_renew(&l, "a", first, 100, 1099));
    CHECK_ERR(lease_acquire(&l, "a", 100, 1198, &id), ERR_EXISTS);
    CHECK_OK(lease_acquire(&l, "a", 100, 1199, &id));
    assert_string_not_equal(id, first);
    CHECK_ERR(lease_renew(&l, "a", first, 100, 1200), ERR_EXISTS);
    lease_release(&l, "a", first);
    CHECK_ERR(lease_acquire(&l, "a", 100, 1200, &id), ERR_EXISTS);
    CHECK_ERR(lease_acquire(&l, "", 100, 1200, &id), ERR_SYNTAX);
    CHECK_ERR(lease_acquire(&l, "c", 0, 1200, &id), ERR_RANGE);
    CHECK_ERR(lease_acquire(&l, "c", LEASE_DURATION_MAX_MS + 1, 1200, &id), ERR_RANGE);
    CHECK_ERR(lease_renew(&l, "none", first, 100, 1200), ERR_EXISTS);
    leases_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_tree),
        cmocka_unit_test(test_lease),
    };
    return RUN(tests);
}
