#include "authenticate/convert.h"

#include "tests/support/test.h"

/* A text that is not const. */
#define TEXT(text) ((char[]){text})

/* The record that a message would come back as. */
struct stored {
    struct record record;
    struct buf data;
    char *type;
};

static struct stored store(const char *id, const ProtobufCMessage *m)
{
    struct stored s = {.type = record_type(m->descriptor)};
    uint8_t *room;
    size_t len = protobuf_c_message_get_packed_size(m);
    buf_init(&s.data, len);
    CHECK_OK(buf_reserve(&s.data, len, &room));
    buf_commit(&s.data, protobuf_c_message_pack(m, room));
    s.record = (struct record){.type = s.type, .id = id, .version = 7, .data = buf_view(&s.data)};
    return s;
}

static void stored_fini(struct stored *s)
{
    buf_fini(&s->data);
    mem_free(s->type);
}

static char *groups[] = {TEXT("ops"), TEXT("dev")};
static char *email[] = {TEXT("a@b.test")};
static struct claim items[] = {{TEXT("email"), email, 1}, {TEXT("groups"), groups, 2}};
static const struct claims claims = {items, 2, 3};

static ProtobufCMessage *make_session(void)
{
    const struct session s = {.id = TEXT("s-1"),
                              .user_id = TEXT("u-1"),
                              .idp_id = TEXT("oidc"),
                              .issued_ms = 1700000000123,
                              .expires_ms = 1700000001456,
                              .claims = claims};
    return convert_make_session(&s);
}

static void test_session(void **state)
{
    (void)state;
    ProtobufCMessage *m = make_session();
    AUTO(stored_fini) struct stored stored = store("s-1", m);
    AUTO(session_fini) struct session back = {0};
    protobuf_c_message_free_unpacked(m, NULL);
    CHECK_OK(convert_read_session(&stored.record, &back));
    assert_string_equal(back.id, "s-1");
    assert_string_equal(back.user_id, "u-1");
    assert_string_equal(back.idp_id, "oidc");
    assert_string_equal(back.email, "a@b.test");
    assert_string_equal(back.name, "");
    assert_string_equal(session_label(&back), "a@b.test");
    assert_int_equal(back.issued_ms, 1700000000123);
    assert_int_equal(back.expires_ms, 1700000001456);
    assert_false(back.refresh_disabled);
    assert_int_equal(claims_get(&back.claims, "groups")->count, 2);
    assert_string_equal(claims_get(&back.claims, "groups")->values[1], "dev");
}

/* All that is not claims stays, fields of other releases too. */
static void test_set_claims(void **state)
{
    (void)state;
    ProtobufCMessage *made = make_session();
    AUTO(stored_fini) struct stored stored = store("s-1", made);
    protobuf_c_message_free_unpacked(made, NULL);
    static const uint8_t unknown[] = {0x98, 0x06, 0x2a}; /* field 99 = 42 */
    AUTO(buf_fini) struct buf longer;
    buf_init(&longer, 10000);
    CHECK_OK(buf_append(&longer, buf_view(&stored.data)));
    CHECK_OK(buf_append(&longer, view_of(unknown, sizeof unknown)));
    stored.record.data = buf_view(&longer);
    ProtobufCMessage *m = record_unpack(&stored.record, convert_session);
    assert_non_null(m);
    const struct claims fewer = {items, 1, 1};
    convert_set_claims(m, &fewer);
    AUTO(stored_fini) struct stored again = store("s-1", m);
    AUTO(session_fini) struct session back = {0};
    CHECK_OK(convert_read_session(&again.record, &back));
    assert_null(claims_get(&back.claims, "groups"));
    assert_string_equal(claims_first(&back.claims, "email"), "a@b.test");
    assert_int_equal(back.expires_ms, 1700000001456);
    assert_true(view_search(again.record.data, view_of(unknown, sizeof unknown)) >= 0);
    protobuf_c_message_free_unpacked(m, NULL);
}

static void test_tokens(void **state)
{
    (void)state;
    ProtobufCMessage *m = convert_make_tokens(VIEW("sealed\0bytes"), 1700000000000);
    AUTO(stored_fini) struct stored stored = store("s-1", m);
    AUTO(sealed_tokens_fini) struct sealed_tokens back = {0};
    protobuf_c_message_free_unpacked(m, NULL);
    CHECK_OK(convert_read_tokens(&stored.record, &back));
    CHECK_VIEW(buf_view(&back.sealed), VIEW("sealed\0bytes"));
    assert_int_equal(back.expires_ms, 1700000000000);
}

static void test_damaged(void **state)
{
    (void)state;
    ProtobufCMessage *m = make_session();
    AUTO(stored_fini) struct stored stored = store("s-1", m);
    protobuf_c_message_free_unpacked(m, NULL);
    AUTO(session_fini) struct session s = {0};
    struct binding b = {0};
    struct request r = {0};
    stored.record.data = VIEW("\x0a\xff");
    CHECK_ERR(convert_read_session(&stored.record, &s), ERR_DAMAGED);
    CHECK_ERR(convert_read_binding(&stored.record, &b), ERR_DAMAGED);
    CHECK_ERR(convert_read_request(&stored.record, &r), ERR_DAMAGED);
    stored.record.deleted = true;
    CHECK_ERR(convert_read_session(&stored.record, &s), ERR_DAMAGED);
}

/* What an approval writes is what the list of bindings reads. */
static void test_binding(void **state)
{
    (void)state;
    struct request_waiting waiting = {.address = TEXT("192.0.2.1")};
    const struct request r = {.protocol = TEXT("ssh"),
                              .key_type = TEXT("ED25519"),
                              .fingerprint = TEXT("SHA256:x"),
                              .waiting = &waiting,
                              .waiting_count = 1};
    const struct session s = {.id = TEXT("s-1"),
                              .user_id = TEXT("u-1"),
                              .idp_id = TEXT("oidc"),
                              .expires_ms = 1700000009000};
    ProtobufCMessage *m = convert_make_binding(&r, &s, 1700000000000);
    AUTO(stored_fini) struct stored stored = store("sshkey-SHA256:x", m);
    AUTO(binding_fini) struct binding b = {0};
    protobuf_c_message_free_unpacked(m, NULL);
    CHECK_OK(convert_read_binding(&stored.record, &b));
    assert_string_equal(b.id, "sshkey-SHA256:x");
    assert_string_equal(b.session_id, "s-1");
    assert_string_equal(b.user_id, "u-1");
    assert_string_equal(b.fingerprint, "SHA256:x");
    assert_string_equal(b.initiated_from, "192.0.2.1");
    assert_int_equal(b.issued_ms, 1700000000000);
    assert_int_equal(b.expires_ms, 1700000009000);
    ProtobufCMessage *i = convert_make_identity_binding(&r, &s);
    AUTO(stored_fini) struct stored identity = store("sshkey-SHA256:x", i);
    AUTO(binding_fini) struct binding remembered = {0};
    protobuf_c_message_free_unpacked(i, NULL);
    CHECK_OK(convert_read_identity_binding(&identity.record, &remembered));
    assert_string_equal(remembered.user_id, "u-1");
    assert_string_equal(remembered.idp_id, "oidc");
    assert_string_equal(remembered.fingerprint, "SHA256:x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_session), cmocka_unit_test(test_set_claims),
        cmocka_unit_test(test_tokens),  cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_binding),
    };
    return RUN(tests);
}
