#include "proxy/ssh/auth_server.h"

#include "common/base/messages.h"
#include "tests/support/auth.h"

/* --- service, name, none --- */

static void test_service(void **state)
{
    struct fixture *f = *state;
    service(f, "ssh-userauth");
    struct reader r = reader_of(sink_list_next(&f->out));
    assert_int_equal(read_u8(&r), MSG_SERVICE_ACCEPT);
    CHECK_VIEW_STR(read_string(&r), "ssh-userauth");
    service(f, "ssh-userauth");
    expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
}

static void test_service_unknown(void **state)
{
    struct fixture *f = *state;
    service(f, "ssh-connection");
    expect_disconnect(f, REASON_SERVICE_NOT_AVAILABLE, NULL);
}

static void test_request_before_service(void **state)
{
    struct fixture *f = *state;
    request(f, "dev@web1", "none");
    expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
}

static void test_none(void **state)
{
    struct fixture *f = *state;
    request(f, "dev@web1", "none");
    expect_failure(f, METHODS, false);
    assert_int_equal(f->a.failures, 0);
    request(f, "dev@web1", "none");
    expect_failure(f, METHODS, false);
    assert_int_equal(f->a.failures, 1);
}

static void test_other_service(void **state)
{
    struct fixture *f = *state;
    struct writer w = begin(f, MSG_USERAUTH_REQUEST);
    write_cstring(&w, "dev@web1");
    write_cstring(&w, "ssh-other");
    write_cstring(&w, "none");
    feed(f, OK);
    expect_disconnect(f, REASON_SERVICE_NOT_AVAILABLE, NULL);
}

static void test_unknown_methods(void **state)
{
    struct fixture *f = *state;
    const char *names[] = {"password", "hostbased", "gssapi-with-mic",
                           "publickey-hostbound-v00@openssh.com", ""};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        request(f, "dev@web1", names[i]);
        expect_failure(f, METHODS, false);
    }
    expect_nothing(f);
    request(f, "dev@web1", "password"); /* the sixth */
    expect_disconnect(f, REASON_NO_MORE_AUTH_METHODS, message_text(MESSAGE_SSH_TOO_MANY_ATTEMPTS));
}

static void test_names(void **state)
{
    (void)state;
    const struct {
        const char *user;
        const char *text;
    } rows[] = {
        {"@web1", "The login name before @web1 is empty: connect as LOGIN@ROUTE."},
        {"de\nv@web1", NULL},
        {"", "Which server? Put the route into the user name: ssh @ROUTE@GATEWAY"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        void *s;
        (void)setup_open(&s);
        request(s, rows[i].user, "none");
        expect_disconnect(s, REASON_ILLEGAL_USER_NAME, rows[i].text);
        (void)teardown(&s);
    }
}

/* It is the management shell's: authorize decides. */
static void test_no_route(void **state)
{
    (void)state;
    static const char *const names[] = {"dev", "dev@", "dev@:22"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        void *s;
        (void)setup_open(&s);
        request(s, names[i], "none");
        expect_failure(s, METHODS, false);
        expect_nothing(s);
        (void)teardown(&s);
    }
}

static void test_name_too_long(void **state)
{
    struct fixture *f = *state;
    char name[AUTH_SERVER_NAME_MAX + 2];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    name[3] = '@';
    request(f, name, "none");
    expect_disconnect(f, REASON_ILLEGAL_USER_NAME, NULL);
}

static void test_name_changes(void **state)
{
    struct fixture *f = *state;
    request(f, "dev@web1", "none");
    expect_failure(f, METHODS, false);
    request(f, "dev@web2", "none");
    expect_disconnect(f, REASON_ILLEGAL_USER_NAME, message_text(MESSAGE_SSH_NAME_CHANGED));
    sign_in(f);
    expect_nothing(f);
}

static void test_route_is_normalised(void **state)
{
    struct fixture *f = *state;
    request(f, "dev@WEB1:22", "none");
    expect_failure(f, METHODS, false);
    CHECK_VIEW_STR(buf_view(&f->a.route), "web1");
}

/* --- keys --- */

static void test_probe(void **state)
{
    struct fixture *f = *state;
    struct view blob = public_key_blob(&f->key.public);
    probe(f, "ssh-ed25519", blob);
    struct reader r = reader_of(sink_list_next(&f->out));
    assert_int_equal(read_u8(&r), MSG_USERAUTH_PK_OK);
    CHECK_VIEW_STR(read_string(&r), "ssh-ed25519");
    CHECK_VIEW(read_string(&r), blob);
    CHECK_OK(reader_done(&r));
    expect_nothing(f);
    assert_false(auth_server_is_verified(&f->a));
}

static void test_probe_unsupported(void **state)
{
    struct fixture *f = *state;
    struct view blob = public_key_blob(&f->key.public);
    probe(f, "ssh-rsa", blob);
    expect_failure(f, METHODS, false);
    probe(f, "ecdsa-sha2-nistp256", blob);
    expect_failure(f, METHODS, false);
    probe(f, "ssh-ed25519-cert-v01@openssh.com", blob);
    expect_failure(f, METHODS, false);
    probe(f, "ssh-ed25519", view_take(blob, blob.len - 1));
    expect_failure(f, METHODS, false);
    assert_int_equal(f->a.failures, 0);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, "", message_text(MESSAGE_SSH_KEY_UNSUPPORTED));
}

static void test_every_algorithm(void **state)
{
    (void)state;
    for (size_t i = 0; i < KEY_ALG_COUNT; i++) {
        const struct key_alg *alg = key_alg(i);
        if (alg->type >= KEY_SK_ED25519)
            continue; /* cannot be made here */
        void *s;
        (void)setup_open(&s);
        struct fixture *f = s;
        struct private_key key = {0};
        CHECK_OK(private_key_generate(&key, alg->type, &f->rng));
        build_signed(f, &key, alg->name, public_key_blob(&key.public), SESSION);
        feed(f, OK);
        expect_checked(f, public_key_blob(&key.public), key_type_name(alg->type));
        auth_server_allow(&f->a);
        auth_server_success(&f->a);
        expect_type(f, MSG_USERAUTH_SUCCESS);
        assert_true(auth_server_is_done(&f->a));
        private_key_fini(&key);
        (void)teardown(&s);
    }
}

static void test_bad_signatures(void **state)
{
    struct fixture *f = *state;
    struct view blob = public_key_blob(&f->key.public);
    build_signed(f, &f->key, "ssh-ed25519", blob, VIEW("another session"));
    feed(f, OK);
    expect_failure(f, METHODS, false);
    build_signed(f, &f->key, "ssh-ed25519", blob, SESSION);
    buf_ptr(&f->b)[f->b.len - 1] ^= 1;
    feed(f, OK);
    expect_failure(f, METHODS, false);
    assert_int_equal(f->a.failures, 2);
    assert_false(auth_server_is_verified(&f->a));
}

/* CVE-2024-45337: the key that counts is the one that signed, whatever was asked about before. */
static void test_cve_2024_45337_queried_key_is_not_proven(void **state)
{
    struct fixture *f = *state;
    struct private_key other = {0};
    CHECK_OK(private_key_generate(&other, KEY_ED25519, &f->rng));
    struct view mine = public_key_blob(&f->key.public);
    struct view theirs = public_key_blob(&other.public);
    sign_in(f);
    expect_own_check(f);
    auth_server_next_key(&f->a, VIEW("no"));
    expect_failure(f, METHODS, false);
    probe(f, "ssh-ed25519", theirs);
    expect_type(f, MSG_USERAUTH_PK_OK);
    sign_in(f);
    probe(f, "ssh-ed25519", theirs); /* pipelined behind */
    expect_checked(f, mine, "ssh-ed25519");
    auth_server_next_key(&f->a, VIEW("no"));
    expect_failure(f, METHODS, false);
    expect_type(f, MSG_USERAUTH_PK_OK);
    build_signed(f, &f->key, "ssh-ed25519", theirs, SESSION); /* signed by another than named */
    feed(f, OK);
    expect_failure(f, METHODS, false);
    expect_nothing(f);
    private_key_fini(&other);
}

static void test_certificates(void **state)
{
    struct fixture *f = *state;
    const char *alg = "ssh-ed25519-cert-v01@openssh.com";
    struct private_key ca = {0};
    CHECK_OK(private_key_generate(&ca, KEY_ED25519, &f->rng));
    AUTO(buf_fini) struct buf user;
    AUTO(buf_fini) struct buf host;
    make_cert(f, CERT_USER, &ca, &user);
    make_cert(f, CERT_HOST, &ca, &host);

    build_signed(f, &f->key, alg, buf_view(&host), SESSION);
    feed(f, OK);
    expect_failure(f, METHODS, false);

    build_signed(f, &ca, alg, buf_view(&user), SESSION); /* the CA's key is not the user's */
    feed(f, OK);
    expect_failure(f, METHODS, false);

    buf_ptr(&user)[user.len - 1] ^= 1; /* the CA's signature */
    build_signed(f, &f->key, alg, buf_view(&user), SESSION);
    feed(f, OK);
    expect_failure(f, METHODS, false);
    buf_ptr(&user)[user.len - 1] ^= 1;

    build_signed(f, &f->key, alg, buf_view(&user), SESSION);
    feed(f, OK);
    expect_checked(f, buf_view(&user), alg);
    private_key_fini(&ca);
}

/* --- decisions --- */

static void test_allow(void **state)
{
    struct fixture *f = *state;
    sign_in(f);
    expect_own_check(f);
    auth_server_success(&f->a); /* too early: nothing is decided */
    expect_nothing(f);
    auth_server_allow(&f->a);
    auth_server_banner(&f->a, VIEW("Welcome\n"));
    struct reader r = reader_of(sink_list_next(&f->out));
    assert_int_equal(read_u8(&r), MSG_USERAUTH_BANNER);
    CHECK_VIEW_STR(read_string(&r), "Welcome\n");
    assert_false(auth_server_is_done(&f->a));
    auth_server_success(&f->a);
    CHECK_VIEW(sink_list_next(&f->out), VIEW("\x34"));
    assert_true(auth_server_is_done(&f->a));
    request(f, "dev@web1", "none"); /* RFC 4252 §5.3 */
    auth_server_banner(&f->a, VIEW("late"));
    auth_server_deny(&f->a, VIEW("late"));
    expect_nothing(f);
}

static void test_deny(void **state)
{
    struct fixture *f = *state;
    sign_in(f);
    expect_own_check(f);
    auth_server_deny(&f->a, VIEW("No such person."));
    expect_disconnect(f, REASON_NO_MORE_AUTH_METHODS, "No such person.");
    sign_in(f);
    expect_nothing(f);
}

static void test_next_key(void **state)
{
    struct fixture *f = *state;
    sign_in(f);
    expect_own_check(f);
    auth_server_next_key(&f->a, VIEW("Another key is needed."));
    expect_failure(f, METHODS, false);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, "", "Another key is needed.");
    respond(f, 0);
    expect_failure(f, "publickey", false);
    request(f, "dev@web1", "keyboard-interactive"); /* explained once is enough */
    expect_failure(f, "publickey", false);
    sign_in(f);
    expect_own_check(f);
    auth_server_allow(&f->a);
    auth_server_success(&f->a);
    expect_type(f, MSG_USERAUTH_SUCCESS);
}

static void test_no_key(void **state)
{
    struct fixture *f = *state;
    request(f, "dev@web1", "none");
    expect_failure(f, METHODS, false);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, "", message_text(MESSAGE_SSH_NO_KEY));
    respond(f, 0);
    expect_failure(f, "publickey", false);
    expect_nothing(f);
}

static void test_login(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    respond(f, 0);
    expect_nothing(f);
    auth_server_allow(&f->a);
    expect_nothing(f);
    auth_server_success(&f->a);
    expect_type(f, MSG_USERAUTH_SUCCESS);
    expect_nothing(f);
}

/* The decision comes before the client has asked, and before it has answered. */
static void test_login_is_overtaken(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    auth_server_allow(&f->a);
    auth_server_success(&f->a);
    expect_nothing(f);
    request(f, "dev@web1", "publickey");
    expect_failure(f, "keyboard-interactive", false);
    request(f, "dev@web1", "keyboard-interactive");
    expect_type(f, MSG_USERAUTH_SUCCESS);
    expect_nothing(f);
}

static void test_login_is_decided_before_the_response(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    auth_server_allow(&f->a);
    auth_server_success(&f->a);
    expect_nothing(f);
    respond(f, 0);
    expect_type(f, MSG_USERAUTH_SUCCESS);
}

/* CVE-2026-25949 again: a client that is let in and does not come for it has a deadline. */
static void test_whose_turn_it_is(void **state)
{
    struct fixture *f = *state;
    assert_true(auth_server_awaits_client(&f->a));
    sign_in(f);
    expect_own_check(f);
    assert_false(auth_server_awaits_client(&f->a));
    auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
    expect_failure(f, "keyboard-interactive", true);
    assert_false(auth_server_awaits_client(&f->a));
    auth_server_allow(&f->a);
    assert_false(auth_server_awaits_client(&f->a)); /* the target is being dialled */
    auth_server_success(&f->a);
    assert_true(auth_server_awaits_client(&f->a));
    request(f, "dev@web1", "keyboard-interactive");
    expect_type(f, MSG_USERAUTH_SUCCESS);
    assert_false(auth_server_awaits_client(&f->a));
}

static void test_login_denied(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    auth_server_deny(&f->a, VIEW("Denied in the browser."));
    expect_disconnect(f, REASON_NO_MORE_AUTH_METHODS, "Denied in the browser.");
}

static void test_login_other_methods(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    sign_in(f); /* no other key may take the place of the one that is signed in for */
    expect_failure(f, "keyboard-interactive", false);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    request(f, "dev@web1", "none"); /* abandons the exchange, RFC 4252 §5.1 */
    expect_failure(f, "keyboard-interactive", false);
    respond(f, 0);
    expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
}

static void test_login_again(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    auth_server_login(&f->a, VIEW("Two"), VIEW(URL), VIEW("AAAA"));
    expect_nothing(f);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, "Two", URL "\nMatch code: AAAA");
    auth_server_login(&f->a, VIEW("Three"), VIEW(URL), VIEW("BBBB"));
    expect_info(f, "Three", URL "\nMatch code: BBBB");
    respond(f, 0);
    auth_server_allow(&f->a);
    auth_server_success(&f->a);
    expect_nothing(f); /* the answer to the second is still to come */
    respond(f, 0);
    expect_type(f, MSG_USERAUTH_SUCCESS);
}

static void test_login_after_login_another_key(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    respond(f, 0);
    auth_server_next_key(&f->a, VIEW("Not this key."));
    expect_failure(f, METHODS, false);
    sign_in(f);
    expect_own_check(f);
}

static void test_login_wrong_response(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
    respond(f, 1); /* RFC 4256 §3.4: must fail */
    expect_failure(f, "keyboard-interactive", false);
    request(f, "dev@web1", "keyboard-interactive");
    expect_info(f, PROMPT, SHOWN);
}

static void test_info_length(void **state)
{
    struct fixture *f = *state;
    char prompt[2000];
    memset(prompt, 'p', sizeof prompt);
    sign_in(f);
    expect_own_check(f);
    auth_server_login(&f->a, view_of(prompt, sizeof prompt), VIEW(URL), VIEW("F3K7"));
    expect_failure(f, "keyboard-interactive", true);
    request(f, "dev@web1", "keyboard-interactive");
    struct reader r = reader_of(sink_list_next(&f->out));
    (void)read_u8(&r);
    size_t name = read_string(&r).len;
    struct view instruction = read_string(&r);
    CHECK_VIEW_STR(instruction, SHOWN);
    assert_true(name + instruction.len < AUTH_SERVER_INFO_MAX);
    auth_server_login(&f->a, VIEW(PROMPT), view_of(prompt, sizeof prompt), VIEW("F3K7"));
    expect_disconnect(f, REASON_BY_APPLICATION, NULL);
}

/* --- limits --- */

static void test_request_limit(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < AUTH_SERVER_REQUESTS_MAX; i++) {
        probe(f, "ssh-ed25519", public_key_blob(&f->key.public));
        expect_type(f, MSG_USERAUTH_PK_OK);
    }
    expect_nothing(f);
    probe(f, "ssh-ed25519", public_key_blob(&f->key.public));
    expect_disconnect(f, REASON_NO_MORE_AUTH_METHODS, NULL);
}

static void test_response_limit(void **state)
{
    struct fixture *f = *state;
    to_login(f);
    for (int i = 0; i < AUTH_SERVER_REQUESTS_MAX && f->a.phase == AUTH_SERVER_PHASE_LOGIN; i++) {
        request(f, "dev@web1", "keyboard-interactive");
        respond(f, 0);
    }
    assert_int_equal(f->a.phase, AUTH_SERVER_PHASE_FAILED);
    assert_int_equal(f->a.requests, AUTH_SERVER_REQUESTS_MAX + 1);
}

static void test_held_requests(void **state)
{
    struct fixture *f = *state;
    sign_in(f);
    request(f, "dev@web1", "password");
    sign_in(f);
    request(f, "dev@web1", "password"); /* waits for the second decision */
    expect_own_check(f);
    auth_server_next_key(&f->a, VIEW("no"));
    expect_failure(f, METHODS, false);
    expect_failure(f, METHODS, false);
    expect_own_check(f);
    auth_server_allow(&f->a);
    expect_nothing(f);
    auth_server_success(&f->a);
    expect_type(f, MSG_USERAUTH_SUCCESS);
    expect_nothing(f);
}

static void test_held_limit(void **state)
{
    struct fixture *f = *state;
    char big[20000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = 0;
    sign_in(f);
    expect_own_check(f);
    for (int i = 0; i < 3; i++) {
        request(f, "dev@web1", big);
        expect_nothing(f);
    }
    request(f, "dev@web1", big);
    expect_disconnect(f, REASON_NO_MORE_AUTH_METHODS, NULL);
}

static void test_full_output(void **state)
{
    struct fixture *f = *state;
    f->out.full = true;
    request(f, "dev@web1", "none");
    expect_disconnect(f, msg_reason_of(ERR_LIMIT), NULL);
}

/* --- malformed --- */

static void test_truncated(void **state)
{
    (void)state;
    for (size_t cut = 1;; cut++) {
        void *s;
        (void)setup_open(&s);
        struct fixture *f = s;
        build_signed(f, &f->key, "ssh-ed25519", public_key_blob(&f->key.public), SESSION);
        bool whole = cut >= f->b.len;
        if (!whole)
            buf_truncate(&f->b, cut);
        feed(f, OK);
        if (whole)
            expect_own_check(f);
        else
            expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
        (void)teardown(&s);
        if (whole)
            return;
    }
}

static void test_trailing_bytes(void **state)
{
    struct fixture *f = *state;
    build_signed(f, &f->key, "ssh-ed25519", public_key_blob(&f->key.public), SESSION);
    CHECK_OK(buf_append_u8(&f->b, 0));
    feed(f, OK);
    expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
}

/* --- message by state --- */

static void to_phase(struct fixture *f, enum auth_server_phase phase)
{
    if (phase >= AUTH_SERVER_PHASE_OPEN)
        service(f, "ssh-userauth");
    if (phase >= AUTH_SERVER_PHASE_CHECKING)
        sign_in(f);
    if (phase == AUTH_SERVER_PHASE_LOGIN)
        auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
    if (phase >= AUTH_SERVER_PHASE_ALLOWED)
        auth_server_allow(&f->a);
    if (phase >= AUTH_SERVER_PHASE_DONE)
        auth_server_success(&f->a);
    assert_int_equal(f->a.phase, phase);
    struct auth_server_event e;
    while (auth_server_next(&f->a, &e))
        assert_int_equal(e.type, AUTH_SERVER_CHECK);
    sink_list_clear(&f->out);
}

static bool is_of_layer(int type)
{
    return type == MSG_SERVICE_REQUEST || type == MSG_SERVICE_ACCEPT ||
           (type >= 50 && type <= 53) || (type >= 60 && type <= 127);
}

/* A bare number is never enough to get on: each message either is not ours or ends it. */
static void test_message_by_state(void **state)
{
    (void)state;
    for (int phase = AUTH_SERVER_PHASE_START; phase <= AUTH_SERVER_PHASE_DONE; phase++) {
        for (int type = 0; type < 256; type++) {
            void *s;
            (void)setup(&s);
            struct fixture *f = s;
            to_phase(f, (enum auth_server_phase)phase);
            (void)begin(f, (uint8_t)type);
            bool holds = phase == AUTH_SERVER_PHASE_CHECKING || phase == AUTH_SERVER_PHASE_ALLOWED;
            if (phase == AUTH_SERVER_PHASE_DONE) {
                feed(f, type == MSG_USERAUTH_REQUEST ? OK : ERR_UNSUPPORTED);
                assert_true(auth_server_is_done(&f->a));
            } else if (!is_of_layer(type)) {
                feed(f, ERR_UNSUPPORTED);
                assert_int_equal(f->a.phase, phase);
            } else if (type == MSG_USERAUTH_REQUEST && holds) {
                feed(f, OK);
                assert_int_equal(f->a.phase, phase);
            } else {
                feed(f, OK);
                expect_disconnect(f, REASON_PROTOCOL_ERROR, NULL);
            }
            assert_int_equal(f->out.count, 0);
            (void)teardown(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_service),
        FRESH(test_service_unknown),
        FRESH(test_request_before_service),
        OPEN(test_none),
        OPEN(test_other_service),
        OPEN(test_unknown_methods),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_no_route),
        OPEN(test_name_too_long),
        OPEN(test_name_changes),
        OPEN(test_route_is_normalised),
        OPEN(test_probe),
        OPEN(test_probe_unsupported),
        cmocka_unit_test(test_every_algorithm),
        OPEN(test_bad_signatures),
        OPEN(test_cve_2024_45337_queried_key_is_not_proven),
        OPEN(test_certificates),
        OPEN(test_allow),
        OPEN(test_deny),
        OPEN(test_next_key),
        OPEN(test_no_key),
        OPEN(test_login),
        OPEN(test_login_is_overtaken),
        OPEN(test_login_is_decided_before_the_response),
        OPEN(test_whose_turn_it_is),
        OPEN(test_login_denied),
        OPEN(test_login_other_methods),
        OPEN(test_login_again),
        OPEN(test_login_after_login_another_key),
        OPEN(test_login_wrong_response),
        OPEN(test_info_length),
        OPEN(test_request_limit),
        OPEN(test_response_limit),
        OPEN(test_held_requests),
        OPEN(test_held_limit),
        OPEN(test_full_output),
        cmocka_unit_test(test_truncated),
        OPEN(test_trailing_bytes),
        cmocka_unit_test(test_message_by_state),
    };
    return RUN(tests);
}
