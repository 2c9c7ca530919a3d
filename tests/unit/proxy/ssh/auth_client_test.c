#include "proxy/ssh/auth_client.h"

#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "proxy/ssh/auth_key.h"
#include "proxy/ssh/msg.h"
#include "tests/support/sink.h"
#include "tests/support/test.h"

#define SESSION VIEW("0123456789abcdef0123456789abcdef")

struct fixture {
    struct sink_list out;
    struct auth_client a;
    struct rng_test seed;
    struct rng rng;
    struct private_key ca;
    struct buf b;
    struct buf cert;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->rng = rng_test(&f->seed, 7);
    struct auth_client_config c = {
        .out = sink_list_init(&f->out), .login = VIEW("dev"), .deadline = 5000, .rng = f->rng};
    auth_client_init(&f->a, &c, SESSION);
    CHECK_OK(private_key_generate(&f->ca, KEY_ED25519, &f->rng));
    buf_init(&f->b, 1 << 20);
    buf_init(&f->cert, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    auth_client_fini(&f->a);
    sink_list_fini(&f->out);
    private_key_fini(&f->ca);
    buf_fini(&f->b);
    buf_fini(&f->cert);
    mem_free(f);
    return 0;
}

static struct writer begin(struct fixture *f, uint8_t type)
{
    buf_clear(&f->b);
    struct writer w = writer_to(&f->b);
    write_u8(&w, type);
    return w;
}

static void feed(struct fixture *f)
{
    CHECK_OK(auth_client_feed(&f->a, buf_view(&f->b)));
}

static void accept_service(struct fixture *f)
{
    struct writer w = begin(f, MSG_SERVICE_ACCEPT);
    write_cstring(&w, "ssh-userauth");
    feed(f);
}

static void failure(struct fixture *f, const char *methods, bool partial)
{
    struct writer w = begin(f, MSG_USERAUTH_FAILURE);
    write_cstring(&w, methods);
    write_bool(&w, partial);
    feed(f);
}

static struct auth_client_event expect(struct fixture *f, enum auth_client_event_type type)
{
    struct auth_client_event e;
    assert_true(auth_client_next(&f->a, &e));
    assert_int_equal(e.type, type);
    return e;
}

static void expect_failed(struct fixture *f, enum auth_client_failure failure, const char *text)
{
    struct auth_client_event e = expect(f, AUTH_CLIENT_FAILED);
    assert_int_equal(e.failure, failure);
    if (text)
        CHECK_VIEW_STR(e.text, text);
    assert_false(auth_client_next(&f->a, &e));
    assert_int_equal(auth_client_deadline(&f->a), UINT64_MAX);
}

static void to_certify(struct fixture *f, const char *sig_algs)
{
    auth_client_start(&f->a);
    CHECK_VIEW(sink_list_next(&f->out), VIEW("\5\0\0\0\14ssh-userauth"));
    if (sig_algs)
        auth_client_sig_algs(&f->a, view_str(sig_algs));
    accept_service(f);
}

static void make_cert(struct fixture *f, enum cert_kind kind, struct view blob)
{
    struct public_key key = {0};
    CHECK_OK(public_key_parse(&key, blob));
    struct view principal = VIEW("dev");
    struct cert_spec spec = {
        .kind = kind,
        .key = &key,
        .key_id = VIEW("id"),
        .principals = &principal,
        .principals_len = 1,
        .valid_after = 1,
        .valid_before = 2,
    };
    buf_clear(&f->cert);
    CHECK_OK(cert_sign(&spec, &f->ca, &f->rng, &f->cert));
    public_key_fini(&key);
}

static void to_requested(struct fixture *f)
{
    to_certify(f, NULL);
    make_cert(f, CERT_USER, expect(f, AUTH_CLIENT_CERTIFY).public_key);
    auth_client_certificate(&f->a, buf_view(&f->cert));
    assert_int_equal(f->a.phase, AUTH_CLIENT_PHASE_REQUESTED);
}

/* --- the way through --- */

/* What a server would check: RFC 4252 §7. */
static void check_request(struct fixture *f, const char *algorithm)
{
    struct view request = sink_list_next(&f->out);
    struct reader r = reader_of(request);
    assert_int_equal(read_u8(&r), MSG_USERAUTH_REQUEST);
    CHECK_VIEW_STR(read_string(&r), "dev");
    CHECK_VIEW_STR(read_string(&r), "ssh-connection");
    CHECK_VIEW_STR(read_string(&r), "publickey");
    assert_true(read_bool(&r));
    struct view alg = read_string(&r);
    CHECK_VIEW_STR(alg, algorithm);
    struct view blob = read_string(&r);
    CHECK_VIEW(blob, buf_view(&f->cert));
    struct view covered = view_take(request, request.len - reader_left(&r));
    struct view signature = read_string(&r);
    CHECK_OK(reader_done(&r));
    struct auth_key k = {0};
    CHECK_OK(auth_key_parse(&k, alg, blob));
    CHECK_OK(auth_key_verify(&k, alg, SESSION, covered, signature));
    auth_key_fini(&k);
}

static void test_key_types(void **state)
{
    (void)state;
    const struct {
        const char *sig_algs;
        const char *algorithm;
    } rows[] = {
        {NULL, "ssh-ed25519-cert-v01@openssh.com"},
        {"rsa-sha2-256,ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"},
        {"ecdsa-sha2-nistp256-cert-v01@openssh.com", "ecdsa-sha2-nistp256-cert-v01@openssh.com"},
        {"ecdsa-sha2-nistp521,ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384-cert-v01@openssh.com"},
        {"ssh-rsa,ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521-cert-v01@openssh.com"},
        {"ssh-rsa,rsa-sha2-256", "rsa-sha2-256-cert-v01@openssh.com"},
        {"rsa-sha2-256,rsa-sha2-512", "rsa-sha2-512-cert-v01@openssh.com"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *s;
        (void)setup(&s);
        struct fixture *f = s;
        to_certify(f, rows[i].sig_algs);
        make_cert(f, CERT_USER, expect(f, AUTH_CLIENT_CERTIFY).public_key);
        auth_client_sig_algs(&f->a, VIEW("ssh-rsa")); /* too late to matter */
        auth_client_certificate(&f->a, buf_view(&f->cert));
        check_request(f, rows[i].algorithm);
        (void)begin(f, MSG_USERAUTH_SUCCESS);
        feed(f);
        (void)expect(f, AUTH_CLIENT_SUCCESS);
        assert_int_equal(f->a.phase, AUTH_CLIENT_PHASE_DONE);
        assert_int_equal(auth_client_deadline(&f->a), UINT64_MAX);
        (void)teardown(&s);
    }
}

static void test_no_type_in_common(void **state)
{
    struct fixture *f = *state;
    to_certify(f, "ssh-rsa,ssh-dss");
    expect_failed(f, AUTH_CLIENT_KEY, "ssh-rsa,ssh-dss");
}

static void test_banners(void **state)
{
    struct fixture *f = *state;
    auth_client_start(&f->a);
    for (int i = 0; i < 2; i++) {
        struct writer w = begin(f, MSG_USERAUTH_BANNER);
        write_cstring(&w, i ? "two\n" : "one\n");
        write_cstring(&w, "en");
        feed(f);
    }
    CHECK_VIEW_STR(expect(f, AUTH_CLIENT_BANNER).text, "one\ntwo\n");
    struct writer w = begin(f, MSG_USERAUTH_BANNER);
    size_t mark = write_begin(&w);
    for (int i = 0; i < AUTH_CLIENT_BANNER_MAX; i++)
        write_u8(&w, 'x');
    write_end(&w, mark);
    feed(f);
    feed(f); /* more than is taken */
    assert_int_equal(expect(f, AUTH_CLIENT_BANNER).text.len, AUTH_CLIENT_BANNER_MAX - 8);
    struct auth_client_event e;
    assert_false(auth_client_next(&f->a, &e));
}

/* --- failures --- */

static void test_refused(void **state)
{
    struct fixture *f = *state;
    to_requested(f);
    failure(f, "publickey,password", false);
    expect_failed(f, AUTH_CLIENT_REFUSED, "publickey,password");
}

static void test_partial(void **state)
{
    struct fixture *f = *state;
    to_requested(f);
    failure(f, "keyboard-interactive", true);
    expect_failed(f, AUTH_CLIENT_PARTIAL, "keyboard-interactive");
}

static void test_other_service(void **state)
{
    struct fixture *f = *state;
    auth_client_start(&f->a);
    struct writer w = begin(f, MSG_SERVICE_ACCEPT);
    write_cstring(&w, "ssh-connection");
    feed(f);
    expect_failed(f, AUTH_CLIENT_SERVICE, "ssh-connection");
}

static void test_foreign_certificate(void **state)
{
    struct fixture *f = *state;
    to_certify(f, NULL);
    (void)expect(f, AUTH_CLIENT_CERTIFY);
    make_cert(f, CERT_USER, public_key_blob(&f->ca.public));
    auth_client_certificate(&f->a, buf_view(&f->cert));
    expect_failed(f, AUTH_CLIENT_KEY, NULL);
}

static void test_host_certificate(void **state)
{
    struct fixture *f = *state;
    to_certify(f, NULL);
    make_cert(f, CERT_HOST, expect(f, AUTH_CLIENT_CERTIFY).public_key);
    auth_client_certificate(&f->a, buf_view(&f->cert));
    expect_failed(f, AUTH_CLIENT_KEY, NULL);
}

static void test_broken_certificate(void **state)
{
    struct fixture *f = *state;
    to_certify(f, NULL);
    (void)expect(f, AUTH_CLIENT_CERTIFY);
    auth_client_certificate(&f->a, VIEW("certificate"));
    expect_failed(f, AUTH_CLIENT_KEY, NULL);
    auth_client_certificate(&f->a, VIEW("certificate"));
    accept_service(f);
    struct auth_client_event e;
    assert_false(auth_client_next(&f->a, &e));
}

static void test_deadline(void **state)
{
    struct fixture *f = *state;
    auth_client_start(&f->a);
    assert_int_equal(auth_client_deadline(&f->a), 5000);
    auth_client_tick(&f->a, 4999);
    assert_int_equal(f->a.phase, AUTH_CLIENT_PHASE_SERVICE);
    auth_client_tick(&f->a, 5000);
    expect_failed(f, AUTH_CLIENT_TIMEOUT, "");
}

static void test_full_output(void **state)
{
    struct fixture *f = *state;
    f->out.full = true;
    auth_client_start(&f->a);
    expect_failed(f, AUTH_CLIENT_PROTOCOL, NULL);
}

/* CVE-2018-10933 seen from the other end: only an answer to our request ends the exchange. */
static void test_message_by_state(void **state)
{
    (void)state;
    for (int phase = AUTH_CLIENT_PHASE_SERVICE; phase <= AUTH_CLIENT_PHASE_REQUESTED; phase++) {
        for (int type = 0; type < 256; type++) {
            void *s;
            (void)setup(&s);
            struct fixture *f = s;
            if (phase == AUTH_CLIENT_PHASE_SERVICE)
                auth_client_start(&f->a);
            else if (phase == AUTH_CLIENT_PHASE_CERTIFICATE)
                to_certify(f, NULL);
            else
                to_requested(f);
            assert_int_equal(f->a.phase, phase);
            bool ours = type == MSG_SERVICE_REQUEST || type == MSG_SERVICE_ACCEPT ||
                        (type >= 50 && type <= 53) || (type >= 60 && type <= 127);
            (void)begin(f, (uint8_t)type);
            CHECK_ERR(auth_client_feed(&f->a, buf_view(&f->b)), ours ? OK : ERR_UNSUPPORTED);
            bool service = type == MSG_SERVICE_ACCEPT && phase == AUTH_CLIENT_PHASE_SERVICE;
            bool success = type == MSG_USERAUTH_SUCCESS && phase == AUTH_CLIENT_PHASE_REQUESTED;
            int next = !ours     ? phase
                       : service ? AUTH_CLIENT_PHASE_CERTIFICATE
                       : success ? AUTH_CLIENT_PHASE_DONE
                                 : AUTH_CLIENT_PHASE_FAILED;
            assert_int_equal(f->a.phase, next);
            (void)teardown(&s);
        }
    }
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_key_types),
        TEST(test_no_type_in_common),
        TEST(test_banners),
        TEST(test_refused),
        TEST(test_partial),
        TEST(test_other_service),
        TEST(test_foreign_certificate),
        TEST(test_host_certificate),
        TEST(test_broken_certificate),
        TEST(test_deadline),
        TEST(test_full_output),
        cmocka_unit_test(test_message_by_state),
    };
    return RUN(tests);
}
