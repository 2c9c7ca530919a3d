#include "authenticate/login_state.h"

#include "common/crypto/seal.h"
#include "tests/support/test.h"

#define NOW UINT64_C(1700000000000)
#define RETURN_TO "/.pomerium/sign_in?user_code=abc"

static struct secret key;
static struct rng_test seed;
static struct rng rng;

static int set_up(void **state)
{
    (void)state;
    uint8_t bytes[SEAL_KEY_LEN];
    rng = rng_test(&seed, 1);
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

static struct login make_login(const char *return_to)
{
    struct login l = {0};
    oidc_login_init(&l.oidc, &rng);
    l.return_to = mem_strdup(return_to);
    return l;
}

/* Sealed text of a login begun at NOW. */
static char *sealed_of(const struct login *l)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, LOGIN_TEXT_MAX);
    CHECK_OK(login_seal(&key, &rng, l, NOW, &out));
    return buf_to_str(&out);
}

static enum err open_at(const char *sealed, const char *login_state, uint64_t now)
{
    AUTO(login_fini) struct login l = {0};
    return login_unseal(&key, view_str(login_state), view_str(sealed), now, &l);
}

static void test_round_trip(void **state)
{
    (void)state;
    AUTO(login_fini) struct login l = make_login(RETURN_TO);
    AUTO(login_fini) struct login back = {0};
    AUTO_FREE char *sealed = sealed_of(&l);
    CHECK_OK(login_unseal(&key, view_str(l.oidc.state), view_str(sealed), NOW + 1, &back));
    assert_string_equal(back.oidc.state, l.oidc.state);
    assert_string_equal(back.oidc.nonce, l.oidc.nonce);
    assert_string_equal(back.oidc.verifier, l.oidc.verifier);
    assert_string_equal(back.return_to, RETURN_TO);
    assert_null(strstr(sealed, "user_code"));
    /* Again into the same one. */
    CHECK_OK(login_unseal(&key, view_str(l.oidc.state), view_str(sealed), NOW, &back));
}

static void test_time(void **state)
{
    (void)state;
    AUTO(login_fini) struct login l = make_login(RETURN_TO);
    AUTO_FREE char *sealed = sealed_of(&l);
    CHECK_OK(open_at(sealed, l.oidc.state, NOW + LOGIN_MS));
    CHECK_ERR(open_at(sealed, l.oidc.state, NOW + LOGIN_MS + 1), ERR_EXPIRED);
    CHECK_OK(open_at(sealed, l.oidc.state, NOW - LOGIN_SKEW_MS));
    CHECK_ERR(open_at(sealed, l.oidc.state, NOW - LOGIN_SKEW_MS - 1), ERR_EXPIRED);
}

static void test_bound_to_the_state(void **state)
{
    (void)state;
    AUTO(login_fini) struct login l = make_login(RETURN_TO);
    AUTO(login_fini) struct login other = make_login(RETURN_TO);
    AUTO_FREE char *sealed = sealed_of(&l);
    char longest[OIDC_LOGIN_TEXT_MAX + 2] = {0};
    memset(longest, 'a', sizeof longest - 1);
    CHECK_ERR(open_at(sealed, other.oidc.state, NOW), ERR_VERIFY);
    CHECK_ERR(open_at(sealed, "", NOW), ERR_SYNTAX);
    CHECK_ERR(open_at(sealed, longest, NOW), ERR_SYNTAX);
}

/* Any changed character, and any part of it, is refused. */
static void test_tampered(void **state)
{
    (void)state;
    AUTO(login_fini) struct login l = make_login(RETURN_TO);
    AUTO_FREE char *sealed = sealed_of(&l);
    for (size_t i = 0; sealed[i]; i++) {
        char was = sealed[i];
        sealed[i] = was == 'A' ? 'B' : 'A';
        assert_int_not_equal(open_at(sealed, l.oidc.state, NOW), OK);
        sealed[i] = '\0';
        assert_int_not_equal(open_at(sealed, l.oidc.state, NOW), OK);
        sealed[i] = was;
    }
    CHECK_OK(open_at(sealed, l.oidc.state, NOW));
}

static void test_longest(void **state)
{
    (void)state;
    char path[LOGIN_RETURN_MAX + 1] = {0};
    memset(path, '/', LOGIN_RETURN_MAX);
    AUTO(login_fini) struct login l = make_login(path);
    AUTO(login_fini) struct login back = {0};
    AUTO_FREE char *sealed = sealed_of(&l);
    CHECK_OK(login_unseal(&key, view_str(l.oidc.state), view_str(sealed), NOW, &back));
    assert_string_equal(back.return_to, path);
}

static void test_cookie_name(void **state)
{
    (void)state;
    AUTO_FREE char *name = login_cookie_name(VIEW("abcdefghijkl"));
    AUTO_FREE char *brief = login_cookie_name(VIEW("ab"));
    assert_string_equal(name, "_pomerium_state_abcdefgh");
    assert_string_equal(brief, "_pomerium_state_ab");
}

/* One more than LOGIN_TABS_MAX will be there: the oldest go. */
static void test_surplus(void **state)
{
    (void)state;
    AUTO(fields_fini) struct fields f = {0};
    AUTO(buf_fini) struct buf cookies;
    struct view name;
    buf_init(&cookies, 10000);
    CHECK_OK(buf_append_str(&cookies, "_pomerium=x"));
    for (int i = 0; i < LOGIN_TABS_MAX - 1; i++)
        CHECK_OK(buf_printf(&cookies, "; _pomerium_state_%d=v", i));
    CHECK_OK(fields_add(&f, VIEW("Cookie"), buf_view(&cookies)));
    assert_false(login_surplus(&f, 0, &name));
    CHECK_OK(fields_add_str(&f, "Cookie", "_pomerium_state_b=v; other=1; _pomerium_state_c=v"));
    assert_true(login_surplus(&f, 0, &name));
    CHECK_VIEW_STR(name, "_pomerium_state_0");
    assert_true(login_surplus(&f, 1, &name));
    CHECK_VIEW_STR(name, "_pomerium_state_1");
    assert_false(login_surplus(&f, 2, &name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_bound_to_the_state),
        cmocka_unit_test(test_tampered),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_cookie_name),
        cmocka_unit_test(test_surplus),
    };
    return cmocka_run_group_tests_name(__FILE__, tests, set_up, tear_down);
}
