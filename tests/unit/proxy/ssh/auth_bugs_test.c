/* Authentication bugs of others, by name. CVE-2024-45337 is in auth_server_test.c. */
#include "common/base/messages.h"
#include "proxy/ssh/auth_client.h"
#include "tests/support/auth.h"

/* A string replaced by another within a blob of strings. */
static void put_string(struct buf *out, struct view s)
{
    struct writer w = writer_to(out);
    write_string(&w, s);
    CHECK_OK(writer_done(&w));
}

/* Neither a probe nor a signed request with the blob gets anywhere, and nothing breaks. */
static void refuse_blob(const char *alg, struct view blob)
{
    void *s;
    (void)setup_open(&s);
    struct fixture *f = s;
    probe(f, alg, blob);
    expect_failure(f, METHODS, false);
    build_signed(f, &f->key, "ssh-ed25519", blob, SESSION);
    feed(f, OK);
    expect_failure(f, METHODS, false);
    expect_nothing(f);
    assert_false(auth_server_is_verified(&f->a));
    (void)teardown(&s);
}

/* A key blob that is cut, in its outer length and in its inner ones, panicked a Go server. */
static void test_cve_2020_9283_short_keys(void **state)
{
    (void)state;
    struct rng_test seed;
    struct rng rng = rng_test(&seed, 1);
    for (enum key_type type = KEY_ED25519; type <= KEY_RSA; type++) {
        struct private_key key = {0};
        CHECK_OK(private_key_generate(&key, type, &rng));
        struct view blob = public_key_blob(&key.public);
        const char *alg = key_alg_default(type)->name;
        for (size_t n = 0; n < blob.len; n += type == KEY_RSA ? 7 : 1)
            refuse_blob(alg, view_take(blob, n));
        struct buf inner;
        struct view name = view_str(key_type_name(type));
        for (size_t n = 0; n <= 40; n++) {
            buf_init(&inner, 4096);
            put_string(&inner, name);
            put_string(&inner, view_take(VIEW("0123456789abcdef0123456789abcdef01234567"), n));
            if (type != KEY_ED25519 || n != 32)
                refuse_blob(alg, buf_view(&inner));
            buf_fini(&inner);
        }
        private_key_fini(&key);
    }
}

/* A user certificate that names a certificate, not a key, as its CA: critical in Teleport. */
static void test_cve_2025_49825_certificate_as_ca(void **state)
{
    struct fixture *f = *state;
    const char *alg = "ssh-ed25519-cert-v01@openssh.com";
    struct private_key ca = {0};
    CHECK_OK(private_key_generate(&ca, KEY_ED25519, &f->rng));
    struct buf inner, outer, data;
    make_cert(f, CERT_USER, &ca, &inner); /* of f->key, which then poses as a CA */
    make_cert(f, CERT_USER, &f->key, &outer);
    build_signed(f, &f->key, alg, buf_view(&outer), SESSION);
    feed(f, OK);
    expect_checked(f, buf_view(&outer), alg); /* as such it is good */
    auth_server_next_key(&f->a, VIEW("no"));
    expect_failure(f, METHODS, false);

    struct cert c = {0};
    CHECK_OK(cert_parse(&c, buf_view(&outer)));
    size_t ca_len = 4 + public_key_blob(&c.ca).len;
    buf_init(&data, 1 << 16);
    CHECK_OK(buf_append(&data, view_take(c.signed_part, c.signed_part.len - ca_len)));
    put_string(&data, buf_view(&inner));
    struct buf signature;
    buf_init(&signature, 4096);
    CHECK_OK(private_key_sign(&f->key, VIEW("ssh-ed25519"), buf_view(&data), &signature));
    put_string(&data, buf_view(&signature));
    build_signed(f, &f->key, alg, buf_view(&data), SESSION);
    feed(f, OK);
    expect_failure(f, METHODS, false);
    expect_nothing(f);

    cert_fini(&c);
    private_key_fini(&ca);
    buf_fini(&inner);
    buf_fini(&outer);
    buf_fini(&data);
    buf_fini(&signature);
}

/*
 * Restrictions of the first factor were dropped behind a partial success: here the certificate
 * that was checked is the one that gets in, whatever else is tried in between.
 */
static void test_cve_2026_39828_restrictions_survive_partial_success(void **state)
{
    struct fixture *f = *state;
    const char *alg = "ssh-ed25519-cert-v01@openssh.com";
    struct private_key ca = {0};
    CHECK_OK(private_key_generate(&ca, KEY_ED25519, &f->rng));
    struct cert_option critical[] = {{VIEW("force-command"), VIEW("\0\0\0\4true")}};
    struct view principal = VIEW("dev");
    struct cert_spec spec = {.kind = CERT_USER,
                             .key = &f->key.public,
                             .principals = &principal,
                             .principals_len = 1,
                             .valid_after = 1,
                             .valid_before = UINT64_MAX,
                             .critical = critical,
                             .critical_len = ARRAY_LEN(critical)};
    struct buf blob;
    buf_init(&blob, 1 << 16);
    CHECK_OK(cert_sign(&spec, &ca, &f->rng, &blob));
    build_signed(f, &f->key, alg, buf_view(&blob), SESSION);
    feed(f, OK);
    expect_checked(f, buf_view(&blob), alg);
    auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
    expect_failure(f, "keyboard-interactive", true);
    sign_in(f); /* the same key without its restrictions */
    expect_failure(f, "keyboard-interactive", false);
    probe(f, "ssh-ed25519", public_key_blob(&f->key.public));
    expect_failure(f, "keyboard-interactive", false);
    expect_nothing(f);
    CHECK_VIEW(buf_view(&f->a.key), buf_view(&blob));
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    respond(f, 0);
    auth_server_allow(&f->a);
    sign_in(f); /* held: it cannot come before the answer */
    auth_server_success(&f->a);
    expect_type(f, MSG_USERAUTH_SUCCESS);
    expect_nothing(f);
    CHECK_VIEW(buf_view(&f->a.key), buf_view(&blob));
    private_key_fini(&ca);
    buf_fini(&blob);
}

/* x/crypto's VerifiedPublicKeyCallback, CVE-2026-46595: a late answer is not one for the next key.
 */
static void test_cve_2026_46595_a_late_answer(void **state)
{
    struct fixture *f = *state;
    sign_in(f);
    expect_own_check(f);
    auth_server_next_key(&f->a, VIEW("no"));
    expect_failure(f, METHODS, false);
    auth_server_allow(&f->a); /* of the key that was refused */
    auth_server_success(&f->a);
    auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
    expect_nothing(f);
    assert_int_equal(f->a.phase, AUTH_SERVER_PHASE_OPEN);
    sign_in(f);
    expect_own_check(f);
    auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
    expect_failure(f, "keyboard-interactive", true);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    respond(f, 0);
    auth_server_allow(&f->a);
    expect_nothing(f); /* the success from before does not count */
    auth_server_success(&f->a);
    expect_type(f, MSG_USERAUTH_SUCCESS);
}

/* CVE-2018-10933, CVE-2025-32433 at this layer, with bodies that would be well formed. */
static void test_cve_2018_10933_success_and_channels_in_every_phase(void **state)
{
    (void)state;
    static const char *const payloads[] = {
        "34",                                                    /* USERAUTH_SUCCESS */
        "50 00000001 78 01",                                     /* GLOBAL_REQUEST */
        "5a 00000007 73657373696f6e 00000000 00200000 00008000", /* CHANNEL_OPEN session */
        "62 00000000 00000004 65786563 01 00000002 6964",        /* exec id */
    };
    for (size_t i = 0; i < ARRAY_LEN(payloads); i++) {
        for (int steps = 0; steps < 4; steps++) {
            void *s;
            (void)setup_open(&s);
            struct fixture *f = s;
            struct auth_server_event e;
            if (steps > 0)
                sign_in(f);
            if (steps > 1)
                auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
            if (steps > 2)
                auth_server_allow(&f->a);
            while (auth_server_next(&f->a, &e))
                assert_int_equal(e.type, AUTH_SERVER_CHECK);
            sink_list_clear(&f->out);
            CHECK_OK(auth_server_feed(&f->a, test_hex(payloads[i])));
            expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
            auth_server_allow(&f->a);
            auth_server_success(&f->a);
            expect_nothing(f);
            assert_false(auth_server_is_done(&f->a));
            (void)teardown(&s);
        }
    }
}

/* CVE-2024-43410: strings that claim four gigabytes in a request of a few bytes. */
static void test_cve_2024_43410_claimed_lengths(void **state)
{
    (void)state;
    static const char *const heads[] = {
        "32 ffffffff",
        "32 00000003 614062 fffffff0",
        "32 00000003 614062 0000000e 7373682d636f6e6e656374696f6e 80000000",
        "32 00000003 614062 0000000e 7373682d636f6e6e656374696f6e 00000009 7075626c69636b6579 00 "
        "7fffffff",
        "05 ffffffff",
        "3d ffffffff",
    };
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        void *s;
        (void)setup_open(&s);
        struct fixture *f = s;
        CHECK_OK(auth_server_feed(&f->a, test_hex(heads[i])));
        expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
        (void)teardown(&s);
    }
}

/* The ephemeral key of the upstream side makes one signature and is gone. */
static void test_the_ephemeral_key_is_gone_after_its_signature(void **state)
{
    struct fixture *f = *state;
    struct auth_client a;
    struct sink_list out;
    struct auth_client_event e;
    struct auth_client_config c = {
        .out = sink_list_init(&out), .login = VIEW("dev"), .rng = f->rng};
    auth_client_init(&a, &c, SESSION);
    auth_client_start(&a);
    CHECK_OK(auth_client_feed(&a, VIEW("\6\0\0\0\x0cssh-userauth")));
    assert_true(auth_client_next(&a, &e));
    assert_int_equal(e.type, AUTH_CLIENT_CERTIFY);
    struct public_key key = {0};
    CHECK_OK(public_key_parse(&key, e.public_key));
    struct view principal = VIEW("dev");
    struct cert_spec spec = {.kind = CERT_USER,
                             .key = &key,
                             .principals = &principal,
                             .principals_len = 1,
                             .valid_after = 1,
                             .valid_before = 2};
    struct buf blob;
    buf_init(&blob, 1 << 16);
    CHECK_OK(cert_sign(&spec, &f->key, &f->rng, &blob));
    auth_client_certificate(&a, buf_view(&blob));
    assert_int_equal(a.phase, AUTH_CLIENT_PHASE_REQUESTED);
    assert_null(a.key);
    auth_client_sig_algs(&a, VIEW("rsa-sha2-512"));
    assert_int_equal(a.sig_algs.len, 0);
    CHECK_OK(auth_client_feed(&a, VIEW("\x34")));
    assert_true(auth_client_next(&a, &e));
    assert_int_equal(e.type, AUTH_CLIENT_SUCCESS);
    public_key_fini(&key);
    buf_fini(&blob);
    auth_client_fini(&a);
    sink_list_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cve_2020_9283_short_keys),
        OPEN(test_cve_2025_49825_certificate_as_ca),
        OPEN(test_cve_2026_39828_restrictions_survive_partial_success),
        OPEN(test_cve_2026_46595_a_late_answer),
        cmocka_unit_test(test_cve_2018_10933_success_and_channels_in_every_phase),
        cmocka_unit_test(test_cve_2024_43410_claimed_lengths),
        OPEN(test_the_ephemeral_key_is_gone_after_its_signature),
    };
    return RUN(tests);
}
