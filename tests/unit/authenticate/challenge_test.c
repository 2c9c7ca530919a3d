#include "authenticate/challenge.h"

#include "tests/support/test.h"

/* RFC 7636 appendix B */
#define VERIFIER "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

static void test_key(void **state)
{
    (void)state;
    AUTO_FREE char *a = challenge_key(VIEW(CHALLENGE));
    AUTO_FREE char *b = challenge_key_of_verifier(VIEW(VERIFIER));
    assert_string_equal(a, "cli-SHA256:" CHALLENGE);
    assert_string_equal(a, b);
    AUTO_FREE char *other = challenge_key_of_verifier(VIEW("x" VERIFIER));
    assert_string_not_equal(a, other);
}

static void test_hash(void **state)
{
    (void)state;
    AUTO_FREE char *hash = challenge_of(VIEW(VERIFIER));
    assert_string_equal(hash, CHALLENGE);
}

static void test_bounds(void **state)
{
    (void)state;
    assert_true(challenge_is_valid(VIEW(CHALLENGE)));
    for (size_t i = 0; i < CHALLENGE_LEN; i++)
        assert_false(challenge_is_valid(view_of(CHALLENGE, i)));
    assert_false(challenge_is_valid(VIEW(CHALLENGE "A")));
    assert_false(challenge_is_valid(VIEW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM")));
    assert_false(challenge_is_valid(VIEW("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cN")));
    char text[CHALLENGE_VERIFIER_MAX + 1];
    memset(text, 'v', sizeof text);
    assert_null(challenge_key_of_verifier(view_of(text, CHALLENGE_VERIFIER_MIN - 1)));
    assert_null(challenge_key_of_verifier(view_of(text, CHALLENGE_VERIFIER_MAX + 1)));
    AUTO_FREE char *longest = challenge_key_of_verifier(view_of(text, CHALLENGE_VERIFIER_MAX));
    assert_non_null(longest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_bounds),
    };
    return RUN(tests);
}
