#include "tests/support/test.h"

#include "authorize/ca/ca.h"
#include "authorize/ca/ca_probe.h"

static void make_keys(struct private_key *ca, struct private_key *user, struct rng *rng)
{
    CHECK_OK(private_key_generate(ca, KEY_ED25519, rng));
    CHECK_OK(private_key_generate(user, KEY_ED25519, rng));
}

static void test_contents(void **state)
{
    (void)state;
    struct rng_test t;
    struct rng rng = rng_test(&t, 1);
    struct private_key ca;
    struct private_key user;
    make_keys(&ca, &user, &rng);
    struct ca_request r = {
        .key = &user.public,
        .login = VIEW("dev"),
        .session_id = VIEW("0b1c"),
        .user = VIEW("ann@example.test"),
        .connection_id = VIEW("00ff"),
        .now_s = 1000000,
    };
    struct ca_certificate made;
    CHECK_OK(ca_sign(&r, &ca, &rng, &made));
    struct cert c;
    CHECK_OK(cert_parse(&c, buf_view(&made.blob)));
    CHECK_OK(cert_verify(&c));
    assert_true(public_key_equal(&c.ca, &ca.public));
    assert_true(public_key_equal(&c.key, &user.public));
    assert_int_equal(c.kind, CERT_USER);
    CHECK_VIEW_STR(c.key_id, "session=0b1c user=ann@example.test connection=00ff");
    assert_int_equal(c.principals_len, 1);
    CHECK_VIEW_STR(c.principals[0], "dev");
    assert_int_equal(c.valid_after, 1000000 - 120);
    assert_int_equal(c.valid_before, 1000000 + 300);
    assert_int_equal(c.critical_len, 0);
    assert_int_equal(c.extensions_len, CERT_PERMITS);
    assert_true(c.serial == made.serial && made.serial != 0);
    assert_int_equal(made.valid_before_s, c.valid_before);
    CHECK_OK(cert_check(&c, CERT_USER, VIEW("dev"), 1000000, NULL));
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("dev"), 1000300, NULL), ERR_EXPIRED);
    CHECK_ERR(cert_check(&c, CERT_USER, VIEW("root"), 1000000, NULL), ERR_MISMATCH);
    cert_fini(&c);

    struct ca_certificate second;
    CHECK_OK(ca_sign(&r, &ca, &rng, &second));
    assert_true(second.serial != made.serial);
    ca_certificate_fini(&second);
    ca_certificate_fini(&made);
    private_key_fini(&ca);
    private_key_fini(&user);
}

/* What a doctor tries is good for nothing else. */
static void test_probe(void **state)
{
    (void)state;
    static const struct {
        uint64_t from;
        uint64_t to;
    } windows[CA_PROBE_WINDOWS] = {
        [CA_PROBE_NOW] = {1000000 - 120, 1000000 + 300},
        [CA_PROBE_ECDSA] = {1000000 - 120, 1000000 + 300},
        [CA_PROBE_RSA] = {1000000 - 120, 1000000 + 300},
        [CA_PROBE_BEHIND] = {1000000 - 86400, 1000000 + 300},
        [CA_PROBE_AHEAD] = {1000000 - 120, 1000000 + 86400},
    };
    struct rng_test t;
    struct rng rng = rng_test(&t, 1);
    struct private_key ca;
    struct private_key user;
    make_keys(&ca, &user, &rng);
    struct ca_request r = {
        .key = &user.public,
        .login = VIEW("dev"),
        .user = VIEW("ann"),
        .connection_id = VIEW("00ff"),
        .now_s = 1000000,
    };
    for (int w = 0; w < CA_PROBE_WINDOWS; w++) {
        struct ca_certificate made;
        struct cert c;
        CHECK_OK(ca_sign_probe(&r, (enum ca_probe_window)w, &ca, &rng, &made));
        CHECK_OK(cert_parse(&c, buf_view(&made.blob)));
        CHECK_OK(cert_verify(&c));
        CHECK_VIEW_STR(c.key_id, "session=probe user=ann connection=00ff");
        assert_int_equal(c.principals_len, 1);
        CHECK_VIEW_STR(c.principals[0], "dev");
        assert_int_equal(c.valid_after, windows[w].from);
        assert_int_equal(c.valid_before, windows[w].to);
        assert_int_equal(c.extensions_len, 0);
        assert_int_equal(c.critical_len, 1);
        CHECK_VIEW_STR(c.critical[0].name, "force-command");
        assert_int_equal(c.critical[0].data.len, 14);
        assert_memory_equal(c.critical[0].data.ptr, "\0\0\0\x0a/bin/false", 14);
        cert_fini(&c);
        ca_certificate_fini(&made);
    }
    struct ca_certificate none;
    r.login = VIEW("");
    CHECK_ERR(ca_sign_probe(&r, CA_PROBE_NOW, &ca, &rng, &none), ERR_RANGE);
    private_key_fini(&ca);
    private_key_fini(&user);
}

/* One word per part in sshd's log, whatever an identity provider says a name is. */
static void test_key_id_is_one_line(void **state)
{
    (void)state;
    struct buf id;
    buf_init(&id, CERT_KEY_ID_MAX);
    struct ca_request r = {.user = VIEW("a b\n\"c=d,\x80")};
    CHECK_OK(ca_write_key_id(&r, &id));
    CHECK_VIEW_STR(buf_view(&id), "session= user=a_b__c_d__ connection=");
    static char longest[2000];
    memset(longest, 'x', sizeof longest);
    r.user = r.session_id = r.connection_id = view_of(longest, sizeof longest);
    buf_clear(&id);
    CHECK_OK(ca_write_key_id(&r, &id));
    assert_in_range(id.len, 3 * CA_ID_PART_MAX, CERT_KEY_ID_MAX);
    buf_fini(&id);
}

static void test_no_login(void **state)
{
    (void)state;
    struct rng_test t;
    struct rng rng = rng_test(&t, 2);
    struct private_key ca;
    struct private_key user;
    make_keys(&ca, &user, &rng);
    struct ca_request r = {.key = &user.public, .now_s = 1000};
    struct ca_certificate made;
    CHECK_ERR(ca_sign(&r, &ca, &rng, &made), ERR_RANGE);
    private_key_fini(&ca);
    private_key_fini(&user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),
        cmocka_unit_test(test_probe),
        cmocka_unit_test(test_key_id_is_one_line),
        cmocka_unit_test(test_no_login),
    };
    return RUN(tests);
}
