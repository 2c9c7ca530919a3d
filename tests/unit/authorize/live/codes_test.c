#include "tests/support/test.h"

#include "authorize/live/codes.h"

static struct code *add(struct codes *c, const char *text, const char *source, uint64_t created)
{
    AUTO_FREE char *binding = mem_printf("sshkey-%s", text);
    return codes_add(c, &(struct code_spec){.text = text,
                                            .binding = binding,
                                            .source = source,
                                            .key_type = "ssh-ed25519",
                                            .fingerprint = "SHA256:x",
                                            .idp_id = "",
                                            .created_ms = created,
                                            .expires_ms = created + 1000});
}

static void test_find(void **state)
{
    (void)state;
    struct codes c = {0};
    struct code *a = add(&c, "a", "192.0.2.1", 100);
    struct code *b = add(&c, "b", "192.0.2.1", 50);
    assert_ptr_equal(codes_find(&c, VIEW("a")), a);
    assert_ptr_equal(codes_find_binding(&c, VIEW("sshkey-b")), b);
    assert_null(codes_find(&c, VIEW("c")));
    assert_int_equal(codes_deadline(&c), 1050);
    assert_null(codes_expired(&c, 1049));
    assert_ptr_equal(codes_expired(&c, 1050), b);

    /* An accepted code stays for those who wait; the key may get another one. */
    codes_settle(&c, a);
    assert_null(codes_find_binding(&c, VIEW("sshkey-a")));
    assert_ptr_equal(codes_find(&c, VIEW("a")), a);
    codes_remove(&c, a);
    assert_null(codes_find(&c, VIEW("a")));
    codes_fini(&c);
}

static void test_cap_per_source(void **state)
{
    (void)state;
    struct codes c = {0};
    struct code *codes[CODES_PER_SOURCE_MAX];
    struct code *victim;
    for (size_t i = 0; i < CODES_PER_SOURCE_MAX; i++) {
        CHECK_OK(codes_room(&c, VIEW("192.0.2.1"), &victim));
        AUTO_FREE char *text = mem_printf("c%zu", i);
        codes[i] = add(&c, text, "192.0.2.1", 100 + i);
        codes[i]->waiting = 1;
    }
    add(&c, "other", "192.0.2.2", 1);
    CHECK_ERR(codes_room(&c, VIEW("192.0.2.1"), &victim), ERR_LIMIT);
    assert_null(victim);
    CHECK_OK(codes_room(&c, VIEW("192.0.2.2"), &victim));
    /* The oldest that nobody waits on gives way, but not one that is being written. */
    codes[3]->waiting = 0;
    codes[3]->writing = true;
    codes[5]->waiting = 0;
    codes[9]->waiting = 0;
    CHECK_ERR(codes_room(&c, VIEW("192.0.2.1"), &victim), ERR_LIMIT);
    assert_ptr_equal(victim, codes[5]);
    codes_remove(&c, victim);
    CHECK_OK(codes_room(&c, VIEW("192.0.2.1"), &victim));
    codes_fini(&c);
}

/* Whoever has one IPv6 address has 2^64 of them. */
static void test_cap_per_network(void **state)
{
    (void)state;
    struct codes c = {0};
    struct code *victim;
    for (size_t i = 0; i < CODES_PER_SOURCE_MAX; i++) {
        AUTO_FREE char *text = mem_printf("c%zu", i);
        AUTO_FREE char *source = mem_printf("2001:db8::%zx%s", i, i % 2 ? "" : "%3");
        CHECK_OK(codes_room(&c, view_str(source), &victim));
        add(&c, text, source, 100 + i)->waiting = i != 7;
    }
    CHECK_OK(codes_room(&c, VIEW("2001:db8:0:1::1"), &victim));
    CHECK_ERR(codes_room(&c, VIEW("2001:db8::ffff:1"), &victim), ERR_LIMIT);
    CHECK_VIEW_STR(view_str(victim->text), "c7");
    codes_remove(&c, victim);
    CHECK_OK(codes_room(&c, VIEW("2001:db8::ffff:1"), &victim));
    codes_fini(&c);
    assert_int_equal(map_count(&c.sources), 0);
}

static void test_cap_in_total(void **state)
{
    (void)state;
    struct codes c = {0};
    struct code *victim;
    for (size_t i = 0; i < CODES_MAX; i++) {
        AUTO_FREE char *text = mem_printf("c%zu", i);
        AUTO_FREE char *source = mem_printf("10.0.0.%zu", i / 10);
        CHECK_OK(codes_room(&c, view_str(source), &victim));
        add(&c, text, source, 1000 - i)->waiting = i != 500;
    }
    CHECK_ERR(codes_room(&c, VIEW("192.0.2.9"), &victim), ERR_BUSY);
    CHECK_VIEW_STR(view_str(victim->text), "c500");
    victim->waiting = 1;
    CHECK_ERR(codes_room(&c, VIEW("192.0.2.9"), &victim), ERR_BUSY);
    assert_null(victim);
    codes_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_cap_per_source),
        cmocka_unit_test(test_cap_per_network),
        cmocka_unit_test(test_cap_in_total),
    };
    return RUN(tests);
}
