#include "proxy/key_hints.h"

#include "common/base/mem.h"
#include "tests/support/test.h"

static void test_hints(void **state)
{
    (void)state;
    struct key_hints h = {0};
    assert_null(key_hints_get(&h, "a:22").first);
    key_hints_put(&h, "a:22", (struct key_hint){key_alg_default(KEY_RSA), false});
    key_hints_put(&h, "a:22", (struct key_hint){key_alg_default(KEY_RSA), true});
    key_hints_put(&h, "a:23", (struct key_hint){key_alg_default(KEY_ED25519), true});
    struct key_hint hint = key_hints_get(&h, "a:22");
    assert_string_equal(hint.first->name, "rsa-sha2-512");
    assert_true(hint.is_known);
    assert_string_equal(key_hints_get(&h, "a:23").first->name, "ssh-ed25519");
    key_hints_fini(&h);
}

static void test_bound(void **state)
{
    (void)state;
    struct key_hints h = {0};
    for (unsigned i = 0; i <= KEY_HINTS_MAX; i++) {
        AUTO_FREE char *address = mem_printf("h%u:22", i);
        key_hints_put(&h, address, (struct key_hint){key_alg_default(KEY_RSA), true});
    }
    assert_int_equal(map_count(&h.by_address), KEY_HINTS_MAX);
    assert_null(key_hints_get(&h, "h0:22").first);
    assert_non_null(key_hints_get(&h, "h1:22").first);
    key_hints_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hints),
        cmocka_unit_test(test_bound),
    };
    return RUN(tests);
}
