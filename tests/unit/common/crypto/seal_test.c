#include "common/crypto/seal.h"

#include "tests/support/test.h"

static struct secret key;
static struct rng_test random_state;
static struct rng rng;

static void seal_one(struct view ad, struct view plain, struct buf *out)
{
    buf_init(out, 4096);
    CHECK_OK(seal(&key, ad, plain, &rng, out));
    assert_int_equal(out->len, plain.len + SEAL_OVERHEAD);
}

static void test_round_trip(void **state)
{
    (void)state;
    const struct view plains[] = {VIEW(""), VIEW("x"), VIEW("a cookie with some state in it")};
    for (size_t i = 0; i < ARRAY_LEN(plains); i++) {
        AUTO(buf_fini) struct buf sealed, opened;
        seal_one(VIEW("cookie"), plains[i], &sealed);
        buf_init(&opened, 4096);
        CHECK_OK(buf_append_str(&opened, "before "));
        CHECK_OK(unseal(&key, VIEW("cookie"), buf_view(&sealed), &opened));
        CHECK_VIEW(view_skip(buf_view(&opened), 7), plains[i]);
    }
}

static void test_nonces_differ(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf a, b;
    seal_one(VIEW(""), VIEW("same"), &a);
    seal_one(VIEW(""), VIEW("same"), &b);
    assert_false(view_eq(view_take(buf_view(&a), 24), view_take(buf_view(&b), 24)));
}

static void test_every_change_is_seen(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf sealed, opened;
    seal_one(VIEW("ad"), VIEW("some plain text"), &sealed);
    buf_init(&opened, 4096);
    for (size_t bit = 0; bit < sealed.len * 8; bit++) {
        buf_ptr(&sealed)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        CHECK_ERR(unseal(&key, VIEW("ad"), buf_view(&sealed), &opened), ERR_VERIFY);
        buf_ptr(&sealed)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t n = 0; n < sealed.len; n++)
        CHECK_ERR(unseal(&key, VIEW("ad"), view_take(buf_view(&sealed), n), &opened), ERR_VERIFY);
    CHECK_ERR(unseal(&key, VIEW("AD"), buf_view(&sealed), &opened), ERR_VERIFY);
    assert_int_equal(opened.len, 0);
    CHECK_OK(unseal(&key, VIEW("ad"), buf_view(&sealed), &opened));
}

static void test_keys(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf sealed, opened;
    AUTO(secret_fini) struct secret a = {0}, b = {0}, again = {0}, short_key = {0};
    buf_init(&opened, 4096);
    seal_derive_key(&key, VIEW("cookie"), &a);
    seal_derive_key(&key, VIEW("token"), &b);
    seal_derive_key(&key, VIEW("cookie"), &again);
    assert_int_equal(a.len, SEAL_KEY_LEN);
    assert_false(secret_equal(secret_view(&a), secret_view(&b)));
    assert_true(secret_equal(secret_view(&a), secret_view(&again)));
    buf_init(&sealed, 4096);
    CHECK_OK(seal(&a, VIEW(""), VIEW("x"), &rng, &sealed));
    CHECK_ERR(unseal(&b, VIEW(""), buf_view(&sealed), &opened), ERR_VERIFY);
    CHECK_OK(unseal(&again, VIEW(""), buf_view(&sealed), &opened));
    secret_set(&short_key, VIEW("short"));
    CHECK_ERR(seal(&short_key, VIEW(""), VIEW("x"), &rng, &sealed), ERR_STATE);
}

static void test_full_buffer(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, SEAL_OVERHEAD + 2);
    CHECK_ERR(seal(&key, VIEW(""), VIEW("xyz"), &rng, &out), ERR_LIMIT);
    CHECK_OK(seal(&key, VIEW(""), VIEW("xy"), &rng, &out));
}

int main(void)
{
    uint8_t bytes[SEAL_KEY_LEN] = {1, 2, 3};
    secret_set(&key, view_of(bytes, sizeof bytes));
    rng = rng_test(&random_state, 7);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),           cmocka_unit_test(test_nonces_differ),
        cmocka_unit_test(test_every_change_is_seen), cmocka_unit_test(test_keys),
        cmocka_unit_test(test_full_buffer),
    };
    int failed = RUN(tests);
    secret_fini(&key);
    return failed;
}
