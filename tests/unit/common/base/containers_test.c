#include "common/base/diag.h"
#include "common/base/map.h"
#include "common/base/messages.h"
#include "common/base/secret.h"
#include "common/base/slots.h"
#include "tests/support/test.h"

static void test_map(void **state)
{
    (void)state;
    struct map m = {0};
    int values[1000];
    for (int i = 0; i < 1000; i++) {
        char key[16];
        int n = snprintf(key, sizeof key, "key-%d", i);
        assert_null(map_put(&m, view_of(key, (size_t)n), &values[i]));
    }
    assert_int_equal(map_count(&m), 1000);
    assert_ptr_equal(map_get(&m, VIEW("key-517")), &values[517]);
    assert_ptr_equal(map_put(&m, VIEW("key-517"), &values[0]), &values[517]);
    assert_ptr_equal(map_remove(&m, VIEW("key-517")), &values[0]);
    assert_null(map_get(&m, VIEW("key-517")));
    assert_null(map_remove(&m, VIEW("")));
    size_t seen = 0;
    for (struct map_iter i = map_iter(&m); map_next(&i); seen++) {
        if (seen % 2)
            assert_ptr_equal(map_remove(&m, i.key), i.value);
    }
    assert_int_equal(seen, 999);
    assert_int_equal(map_count(&m), 500);
    map_fini(&m);
}

/* The SipHash-2-4 reference: key 00…0f, message 00…0e. */
static void test_siphash(void **state)
{
    (void)state;
    map_seed(test_hex("000102030405060708090a0b0c0d0e0f").ptr);
    assert_true(map_hash(test_hex("000102030405060708090a0b0c0d0e")) == 0xa129ca6149be45e5);
    map_seed(test_hex("00000000000000000000000000000000").ptr);
}

static void test_slots(void **state)
{
    (void)state;
    struct slots s = {0};
    int a, b;
    uint64_t first = slots_add(&s, &a);
    assert_ptr_equal(slots_get(&s, first), &a);
    assert_ptr_equal(slots_remove(&s, first), &a);
    assert_null(slots_get(&s, first));
    assert_null(slots_remove(&s, first));
    uint64_t second = slots_add(&s, &b);
    assert_true(second != first);
    assert_null(slots_get(&s, first));
    assert_null(slots_get(&s, 0));
    assert_null(slots_get(&s, UINT64_MAX));
    for (int i = 0; i < 100; i++)
        assert_true(slots_add(&s, &a) != 0);
    size_t cursor = 0, n = 0;
    while (slots_next(&s, &cursor))
        n++;
    assert_int_equal(n, 101);
    slots_fini(&s);
}

static void test_secret(void **state)
{
    (void)state;
    struct secret s = {0};
    secret_set(&s, VIEW("hush"));
    assert_true(secret_equal(secret_view(&s), VIEW("hush")));
    assert_false(secret_equal(secret_view(&s), VIEW("husk")));
    assert_false(secret_equal(secret_view(&s), VIEW("hus")));
    secret_fini(&s);
    assert_int_equal(secret_view(&s).len, 0);
}

static void test_diag(void **state)
{
    (void)state;
    struct diag d = {0};
    diag_error(&d, (struct diag_place){"a.yaml", 3, 7}, "address", "expected %s", "host:port");
    diag_warn(&d, (struct diag_place){0}, NULL, "hm");
    assert_string_equal(d.items[0].text, "a.yaml:3:7: address: expected host:port");
    assert_string_equal(d.items[1].text, "hm");
    assert_int_equal(d.errors, 1);
    for (int i = 0; i < 2 * DIAG_MAX; i++)
        diag_error(&d, (struct diag_place){0}, "k", "x");
    assert_int_equal(d.count, DIAG_MAX);
    assert_int_equal(d.errors, 1 + 2 * DIAG_MAX);
    diag_fini(&d);
}

/* Every sentence has a cause and a remedy, and takes %s alone. */
static void test_messages(void **state)
{
    (void)state;
    for (int m = 0; m < MESSAGE_COUNT; m++) {
        assert_true(strlen(message_text(m)) > 0);
        assert_true(strlen(message_cause(m)) > 0);
        assert_true(strlen(message_remedy(m)) > 0);
        for (const char *p = message_text(m); (p = strchr(p, '%')); p++)
            assert_int_equal(p[1], 's');
    }
    AUTO_FREE char *text = message_format(MESSAGE_SHUTDOWN, NULL);
    assert_string_equal(text, message_text(MESSAGE_SHUTDOWN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),   cmocka_unit_test(test_siphash),
        cmocka_unit_test(test_slots), cmocka_unit_test(test_secret),
        cmocka_unit_test(test_diag),  cmocka_unit_test(test_messages),
    };
    return RUN(tests);
}
