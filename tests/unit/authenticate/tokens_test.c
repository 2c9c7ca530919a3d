#include "authenticate/tokens.h"

#include "common/crypto/seal.h"
#include "tests/support/test.h"

#define NOW UINT64_C(1700000000000)
#define MINUTE UINT64_C(60000)

static struct secret key;
static struct rng_test seed;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    uint8_t bytes[SEAL_KEY_LEN];
    rng = rng_test(&seed, 2);
    rng_fill(&rng, bytes, sizeof bytes);
    secret_set(&key, view_of(bytes, sizeof bytes));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    secret_fini(&key);
    return 0;
}

static struct oidc_result result(void)
{
    return (struct oidc_result){.access_token = "at-1",
                                .refresh_token = "rt-1",
                                .id_token = "id-1",
                                .access_expires_at = NOW + 60 * MINUTE,
                                .id_expires_at = NOW + 5 * MINUTE};
}

static void test_round_trip(void **state)
{
    (void)state;
    AUTO(tokens_fini) struct tokens t = {0};
    AUTO(tokens_fini) struct tokens back = {0};
    AUTO(buf_fini) struct buf sealed;
    struct oidc_result r = result();
    buf_init(&sealed, TOKENS_MAX);
    tokens_of_result(&r, NULL, &t);
    CHECK_OK(tokens_seal(&t, &key, "session-1", &rng, &sealed));
    assert_true(view_search(buf_view(&sealed), VIEW("rt-1")) < 0);
    CHECK_OK(tokens_unseal(buf_view(&sealed), &key, "session-1", &back));
    assert_string_equal(back.access_token, "at-1");
    assert_string_equal(back.refresh_token, "rt-1");
    assert_string_equal(back.id_token, "id-1");
    assert_int_equal(back.access_expires_ms, NOW + 60 * MINUTE);
    assert_int_equal(back.id_expires_ms, NOW + 5 * MINUTE);
    CHECK_ERR(tokens_unseal(buf_view(&sealed), &key, "session-2", &back), ERR_VERIFY);
    buf_ptr(&sealed)[30] ^= 1;
    CHECK_ERR(tokens_unseal(buf_view(&sealed), &key, "session-1", &back), ERR_VERIFY);
    CHECK_ERR(tokens_unseal(VIEW(""), &key, "session-1", &back), ERR_VERIFY);
    assert_string_equal(back.refresh_token, "rt-1");
}

static void test_too_large(void **state)
{
    (void)state;
    AUTO(tokens_fini) struct tokens t = {0};
    AUTO(buf_fini) struct buf sealed;
    buf_init(&sealed, TOKENS_MAX);
    char *large = mem_zalloc(TOKENS_MAX + 1);
    memset(large, 'x', TOKENS_MAX);
    t.access_token = large;
    CHECK_ERR(tokens_seal(&t, &key, "s", &rng, &sealed), ERR_LIMIT);
    assert_int_equal(sealed.len, 0);
}

/* A refresh that brings no id_token keeps the old one, whose end counts no more. */
static void test_old_id_token(void **state)
{
    (void)state;
    AUTO(tokens_fini) struct tokens old = {0};
    AUTO(tokens_fini) struct tokens t = {0};
    struct oidc_result r = result();
    tokens_of_result(&r, NULL, &old);
    r.id_token = "";
    r.id_expires_at = 0;
    tokens_of_result(&r, &old, &t);
    assert_string_equal(t.id_token, "id-1");
    assert_int_equal(t.id_expires_ms, 0);
    tokens_fini(&t);
    r.id_token = "id-2";
    tokens_of_result(&r, &old, &t);
    assert_string_equal(t.id_token, "id-2");
}

static void test_refresh_at(void **state)
{
    (void)state;
    static const struct {
        const char *refresh_token;
        uint64_t access, id, wanted;
    } rows[] = {
        {"rt", NOW + 60 * MINUTE, 0, NOW + 59 * MINUTE},
        {"rt", NOW + 60 * MINUTE, NOW + 5 * MINUTE, NOW + 4 * MINUTE},
        {"rt", NOW + 5 * MINUTE, NOW + 60 * MINUTE, NOW + 4 * MINUTE},
        {"rt", NOW + 1 * MINUTE, 0, NOW + TOKENS_PAUSE_MS},
        {"rt", NOW + 1, 0, NOW + TOKENS_PAUSE_MS},
        {"rt", 1, 0, NOW + TOKENS_PAUSE_MS},
        {"rt", 0, 0, NOW + TOKENS_UNKNOWN_MS},
        {"rt", 0, NOW + 5 * MINUTE, NOW + 4 * MINUTE},
        {"", NOW + 60 * MINUTE, 0, TOKENS_NEVER},
        {NULL, NOW + 60 * MINUTE, 0, TOKENS_NEVER},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct tokens t = {.refresh_token = (char *)rows[i].refresh_token,
                           .access_expires_ms = rows[i].access,
                           .id_expires_ms = rows[i].id};
        assert_int_equal(tokens_refresh_at(&t, NOW), rows[i].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_old_id_token),
        cmocka_unit_test(test_refresh_at),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
