/* Records as the databroker hands them out, into the state. */
#include "tests/support/test.h"

#include "authorize/convert_records.h"
#include "proto/session/session.pb-c.h"
#include "proto/user/user.pb-c.h"

static struct record pack(const ProtobufCMessage *m, const char *id, struct buf *store)
{
    uint8_t *p;
    size_t n = protobuf_c_message_get_packed_size(m);
    buf_init(store, n);
    CHECK_OK(buf_reserve(store, n, &p));
    buf_commit(store, protobuf_c_message_pack(m, p));
    return (struct record){
        .type = record_type(m->descriptor), .id = id, .version = 7, .data = buf_view(store)};
}

static void unpack(struct record *r, struct buf *store)
{
    mem_free((void *)(uintptr_t)r->type);
    buf_fini(store);
}

static Google__Protobuf__Value text_value(const char *s)
{
    Google__Protobuf__Value v = GOOGLE__PROTOBUF__VALUE__INIT;
    v.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRING_VALUE;
    v.string_value = (char *)(uintptr_t)s;
    return v;
}

static void check_claim(const struct session *s, const char *name, size_t count, const char *all)
{
    struct facts f = {.session_claims = s->claims};
    const struct claim *c = facts_claim(&f, view_str(name));
    char text[100] = "";
    assert_non_null(c);
    assert_int_equal(c->count, count);
    for (size_t i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", i ? " " : "",
                       c->values[i]);
    assert_string_equal(text, all);
}

/* {"groups": ["ops", "dev"], "n": [5, 0.5, true], "realm": [{"roles": ["admin"]}]} */
static void test_session(void **state)
{
    (void)state;
    Google__Protobuf__Value values[] = {text_value("ops"), text_value("dev"), text_value(""),
                                        text_value(""),    text_value(""),    text_value("admin")};
    Google__Protobuf__Value roles = GOOGLE__PROTOBUF__VALUE__INIT;
    Google__Protobuf__Value realm = GOOGLE__PROTOBUF__VALUE__INIT;
    values[2].kind_case = values[3].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_NUMBER_VALUE;
    values[2].number_value = 5;
    values[3].number_value = 0.5;
    values[4].kind_case = GOOGLE__PROTOBUF__VALUE__KIND_BOOL_VALUE;
    values[4].bool_value = 1;
    Google__Protobuf__Value *pointers[] = {&values[0], &values[1], &values[2],
                                           &values[3], &values[4], &values[5]};
    Google__Protobuf__ListValue groups = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    Google__Protobuf__ListValue numbers = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    Google__Protobuf__ListValue inner = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    Google__Protobuf__ListValue outer = GOOGLE__PROTOBUF__LIST_VALUE__INIT;
    groups.values = pointers;
    groups.n_values = 2;
    numbers.values = pointers + 2;
    numbers.n_values = 3;
    inner.values = pointers + 5;
    inner.n_values = 1;
    roles.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_LIST_VALUE;
    roles.list_value = &inner;
    Google__Protobuf__Struct__FieldsEntry field = GOOGLE__PROTOBUF__STRUCT__FIELDS_ENTRY__INIT;
    Google__Protobuf__Struct__FieldsEntry *fields = &field;
    Google__Protobuf__Struct object = GOOGLE__PROTOBUF__STRUCT__INIT;
    field.key = (char *)(uintptr_t) "roles";
    field.value = &roles;
    object.fields = &fields;
    object.n_fields = 1;
    realm.kind_case = GOOGLE__PROTOBUF__VALUE__KIND_STRUCT_VALUE;
    realm.struct_value = &object;
    Google__Protobuf__Value *realm_pointer = &realm;
    outer.values = &realm_pointer;
    outer.n_values = 1;

    Session__Session__ClaimsEntry entries[3];
    Session__Session__ClaimsEntry *entry_pointers[] = {&entries[0], &entries[1], &entries[2]};
    static const char *const names[] = {"groups", "n", "realm"};
    Google__Protobuf__ListValue *lists[] = {&groups, &numbers, &outer};
    for (size_t i = 0; i < 3; i++) {
        entries[i] = (Session__Session__ClaimsEntry)SESSION__SESSION__CLAIMS_ENTRY__INIT;
        entries[i].key = (char *)(uintptr_t)names[i];
        entries[i].value = lists[i];
    }
    Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    expires.seconds = 12;
    expires.nanos = 345000000;
    Session__Session m = SESSION__SESSION__INIT;
    m.user_id = (char *)(uintptr_t) "u1";
    m.expires_at = &expires;
    m.claims = entry_pointers;
    m.n_claims = 3;

    struct buf store;
    struct state s = {0};
    struct record r = pack(&m.base, "s1", &store);
    assert_true(convert_durable(&s, &r));
    const struct session *session = state_session(&s, "s1");
    assert_non_null(session);
    assert_string_equal(session->user_id, "u1");
    assert_int_equal(session->expires_ms, 12345);
    check_claim(session, "groups", 2, "ops dev");
    check_claim(session, "n", 3, "5 0.5 true");
    check_claim(session, "realm/roles", 1, "admin");
    unpack(&r, &store);
    state_fini(&s);
}

static void test_no_expiry(void **state)
{
    (void)state;
    struct buf store;
    struct state s = {0};
    Session__SessionBinding m = SESSION__SESSION_BINDING__INIT;
    m.protocol = (char *)(uintptr_t) "ssh";
    struct record r = pack(&m.base, "sshkey-x", &store);
    assert_true(convert_durable(&s, &r));
    assert_true(state_binding(&s, "sshkey-x")->expires_ms == STATE_NEVER);
    /* One that cannot be read binds nobody, like a deleted one. */
    struct view data = r.data;
    r.data = VIEW("\xff\xff\xff");
    assert_false(convert_durable(&s, &r));
    assert_null(state_binding(&s, "sshkey-x"));
    r.data = data;
    assert_true(convert_durable(&s, &r));
    r.deleted = true;
    r.data = view_str("");
    assert_true(convert_durable(&s, &r));
    assert_null(state_binding(&s, "sshkey-x"));
    unpack(&r, &store);
    state_fini(&s);
}

static void test_service_account(void **state)
{
    (void)state;
    struct buf store;
    struct state s = {0};
    Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    expires.seconds = 12;
    User__ServiceAccount m = USER__SERVICE_ACCOUNT__INIT;
    m.user_id = (char *)(uintptr_t) "robot";
    m.description = (char *)(uintptr_t) "backups";
    m.expires_at = &expires;
    struct record r = pack(&m.base, "a1", &store);
    assert_true(convert_durable(&s, &r));
    const struct service_account *a = state_service_account(&s, "a1");
    assert_string_equal(a->id, "a1");
    assert_string_equal(a->user_id, "robot");
    assert_string_equal(a->description, "backups");
    assert_int_equal(a->expires_ms, 12000);
    struct state_changes changes = state_take_changes(&s);
    assert_int_equal(map_count(&changes.kind[STATE_SERVICE_ACCOUNT]), 1);
    state_changes_fini(&changes);
    r.deleted = true;
    r.data = view_str("");
    assert_true(convert_durable(&s, &r));
    assert_null(state_service_account(&s, "a1"));
    unpack(&r, &store);
    state_fini(&s);
}

static struct request *request_of(const char *code, const char *key, uint64_t version,
                                  Session__SessionBindingRequestState request_state)
{
    struct buf store;
    Session__SessionBindingRequest m = SESSION__SESSION_BINDING_REQUEST__INIT;
    Google__Protobuf__Timestamp expires = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
    expires.seconds = 100;
    m.key = (char *)(uintptr_t)key;
    m.expires_at = &expires;
    m.state = request_state;
    struct record r = pack(&m.base, code, &store);
    r.version = version;
    struct request *made = convert_request(&r);
    assert_non_null(made);
    unpack(&r, &store);
    return made;
}

static void test_requests(void **state)
{
    (void)state;
    struct requests r = {0};
    const Session__SessionBindingRequestState flying =
        SESSION__SESSION_BINDING_REQUEST_STATE__InFlight;
    requests_clear(&r);
    requests_put(&r, "c1", request_of("c1", "k1", 3, flying));
    assert_null(requests_find(&r, "c1"));
    requests_complete(&r);
    assert_int_equal(requests_find(&r, "c1")->version, 3);
    assert_string_equal(requests_find_key(&r, "k1", 99999)->code, "c1");
    assert_null(requests_find_key(&r, "k1", 100000));

    requests_put(&r, "c1",
                 request_of("c1", "k1", 4, SESSION__SESSION_BINDING_REQUEST_STATE__Accepted));
    assert_null(requests_find_key(&r, "k1", 0));
    assert_int_equal(requests_find(&r, "c1")->state, REQUEST_ACCEPTED);
    /* A state that this release does not know releases nobody. */
    requests_put(&r, "c2", request_of("c2", "k2", 5, (Session__SessionBindingRequestState)9));
    assert_int_equal(requests_find(&r, "c2")->state, REQUEST_REVOKED);
    requests_put(&r, "c3", request_of("c3", "k1", 6, flying));
    assert_string_equal(requests_find_key(&r, "k1", 0)->code, "c3");
    requests_put(&r, "c3", NULL);
    assert_null(requests_find_key(&r, "k1", 0));

    /* A new picture replaces the old one as a whole. */
    requests_clear(&r);
    requests_put(&r, "c4", request_of("c4", "k4", 1, flying));
    assert_non_null(requests_find(&r, "c1"));
    requests_complete(&r);
    assert_null(requests_find(&r, "c1"));
    assert_non_null(requests_find_key(&r, "k4", 0));
    requests_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session),
        cmocka_unit_test(test_service_account),
        cmocka_unit_test(test_no_expiry),
        cmocka_unit_test(test_requests),
    };
    return RUN(tests);
}
