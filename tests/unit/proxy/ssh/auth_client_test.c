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
    struct auth_client_config config;
    struct buf b;
    struct buf cert;
};

static int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    f->rng = rng_test(&f->seed, 7);
    f->config = (struct auth_client_config){
        .out = sink_list_init(&f->out), .login = VIEW("dev"), .deadline = 5000, .rng = f->rng};
    auth_client_init(&f->a, &f->config, SESSION);
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

static struct view key_file(const char *name)
{
    AUTO_FREE char *path = mem_printf("tests/vectors/keys/%s", name);
    return test_file(path);
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

/* What the worker does for CERTIFY, after giving an RSA key where one is needed. */
static void certify(struct fixture *f)
{
    struct auth_client_event e;
    assert_true(auth_client_next(&f->a, &e));
    if (e.type == AUTH_CLIENT_NEED_KEY) {
        assert_int_equal(f->a.phase, AUTH_CLIENT_PHASE_KEY);
        struct private_key key = {0};
        CHECK_OK(private_key_parse(&key, key_file("rsa")));
        auth_client_key(&f->a, &key);
        assert_null(key.pkey);
        assert_true(auth_client_next(&f->a, &e));
    }
    assert_int_equal(e.type, AUTH_CLIENT_CERTIFY);
    make_cert(f, CERT_USER, e.public_key);
    auth_client_certificate(&f->a, buf_view(&f->cert));
}

static void to_requested(struct fixture *f)
{
    to_certify(f, NULL);
    certify(f);
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
        certify(f);
        auth_client_sig_algs(&f->a, VIEW("ssh-rsa")); /* too late to matter */
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
    failure(f, "password", false);
    expect_failed(f, AUTH_CLIENT_REFUSED, "password");
}

/* --- tries --- */

static void again(struct fixture *f, const char *first, bool is_known)
{
    auth_client_fini(&f->a);
    sink_list_fini(&f->out);
    f->config.out = sink_list_init(&f->out);
    f->config.first = first ? key_alg_find(view_str(first), NULL) : NULL;
    f->config.first_is_known = is_known;
    auth_client_init(&f->a, &f->config, SESSION);
}

/* Refused as often as it asks; the algorithms in the order of the tries. */
static void check_tries(struct fixture *f, const char *sig_algs, const char *const *algorithms,
                        size_t count)
{
    to_certify(f, sig_algs);
    for (size_t i = 0; i < count; i++) {
        certify(f);
        AUTO_FREE char *name = mem_printf("%s-cert-v01@openssh.com", algorithms[i]);
        check_request(f, name);
        failure(f, "publickey,password", false);
    }
    expect_failed(f, AUTH_CLIENT_REFUSED, "publickey,password");
}

static void check_hint(const struct fixture *f, const char *name, bool is_known)
{
    bool known;
    const struct key_alg *hint = auth_client_hint(&f->a, &known);
    assert_non_null(hint);
    assert_string_equal(hint->name, name);
    assert_int_equal(known, is_known);
}

#define TRIES(...) (const char *const[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / 8

/* A server that lists what it does not take, or nothing, is asked with one type after the other. */
static void test_tries(void **state)
{
    struct fixture *f = *state;
    static const char all[] = "ssh-ed25519,ssh-rsa,rsa-sha2-256,rsa-sha2-512,ecdsa-sha2-nistp256,"
                              "ecdsa-sha2-nistp384,ecdsa-sha2-nistp521";
    const char *const lists[] = {NULL, all};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        again(f, NULL, false);
        check_tries(f, lists[i],
                    TRIES("ssh-ed25519", "ecdsa-sha2-nistp256", "rsa-sha2-512",
                          "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-256"));
        check_hint(f, "ssh-ed25519", false);
    }
    again(f, "ecdsa-sha2-nistp521", false);
    check_tries(f, NULL,
                TRIES("ecdsa-sha2-nistp521", "rsa-sha2-256", "ssh-ed25519", "ecdsa-sha2-nistp256",
                      "rsa-sha2-512", "ecdsa-sha2-nistp384"));
    check_hint(f, "ecdsa-sha2-nistp521", false);
    again(f, NULL, false);
    check_tries(f, "rsa-sha2-512,ecdsa-sha2-nistp384",
                TRIES("rsa-sha2-512", "ecdsa-sha2-nistp384"));
    check_hint(f, "rsa-sha2-512", false);
    /* Not what the list rules out. */
    again(f, "ssh-ed25519", true);
    check_tries(f, "ecdsa-sha2-nistp256", TRIES("ecdsa-sha2-nistp256"));
}

/* Where the type is known to be taken, a refusal is the person's. */
static void test_known_type_refused(void **state)
{
    struct fixture *f = *state;
    again(f, "rsa-sha2-512", true);
    check_tries(f, NULL, TRIES("rsa-sha2-512"));
    check_hint(f, "rsa-sha2-512", false);
}

static void test_second_try_accepted(void **state)
{
    struct fixture *f = *state;
    bool known;
    assert_null(auth_client_hint(&f->a, &known));
    to_requested(f);
    assert_null(auth_client_hint(&f->a, &known));
    failure(f, "publickey", false);
    assert_int_equal(auth_client_deadline(&f->a), 5000);
    certify(f);
    (void)begin(f, MSG_USERAUTH_SUCCESS);
    feed(f);
    (void)expect(f, AUTH_CLIENT_SUCCESS);
    check_hint(f, "ecdsa-sha2-nistp256", true);
    assert_false(auth_client_ended(&f->a));
}

/* MaxAuthTries is reached before we are through. */
static void test_disconnected_by_tries(void **state)
{
    struct fixture *f = *state;
    to_requested(f);
    assert_false(auth_client_ended(&f->a));
    failure(f, "publickey", false);
    certify(f);
    assert_true(auth_client_ended(&f->a));
    expect_failed(f, AUTH_CLIENT_REFUSED, "");
    /* The next connection goes on from there. */
    check_hint(f, "rsa-sha2-512", false);
    assert_false(auth_client_ended(&f->a));
}

static void test_key_too_late(void **state)
{
    struct fixture *f = *state;
    to_certify(f, "rsa-sha2-512");
    (void)expect(f, AUTH_CLIENT_NEED_KEY);
    struct private_key key = {0};
    CHECK_OK(private_key_parse(&key, key_file("ed25519")));
    auth_client_key(&f->a, &key); /* of another type: not taken */
    assert_null(key.pkey);
    assert_int_equal(f->a.phase, AUTH_CLIENT_PHASE_KEY);
    auth_client_tick(&f->a, 5000);
    expect_failed(f, AUTH_CLIENT_KEY_TIMEOUT, "");
    CHECK_OK(private_key_parse(&key, key_file("rsa")));
    auth_client_key(&f->a, &key);
    assert_null(key.pkey);
    assert_int_equal(f->a.phase, AUTH_CLIENT_PHASE_FAILED);
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
            else if (phase == AUTH_CLIENT_PHASE_KEY)
                to_certify(f, "rsa-sha2-512");
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
        TEST(test_tries),
        TEST(test_known_type_refused),
        TEST(test_second_try_accepted),
        TEST(test_disconnected_by_tries),
        TEST(test_key_too_late),
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
