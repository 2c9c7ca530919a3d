/*
 * A client of an auth_server in front of a list: requests with real signatures are fed, answers and
 * events are expected. Header only, since not every test links proxy/ssh.
 */
#ifndef TESTS_SUPPORT_AUTH_H
#define TESTS_SUPPORT_AUTH_H

#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "proxy/ssh/auth_server.h"
#include "proxy/ssh/msg.h"
#include "tests/support/sink.h"
#include "tests/support/test.h"

#define SESSION VIEW("0123456789abcdef0123456789abcdef")
#define METHODS "publickey,keyboard-interactive"

/* --- a client and the engine --- */

struct fixture {
    struct sink_list out;
    struct auth_server a;
    struct rng_test seed;
    struct rng rng;
    struct private_key key;
    struct buf b;
};

static inline void start(struct fixture *f)
{
    struct auth_server_config c = {.out = sink_list_init(&f->out)};
    auth_server_init(&f->a, &c, SESSION);
    f->rng = rng_test(&f->seed, 7);
    CHECK_OK(private_key_generate(&f->key, KEY_ED25519, &f->rng));
    buf_init(&f->b, 1 << 20);
}

static inline void feed(struct fixture *f, enum err expected)
{
    CHECK_ERR(auth_server_feed(&f->a, buf_view(&f->b)), expected);
    buf_clear(&f->b);
}

static inline struct writer begin(struct fixture *f, uint8_t type)
{
    buf_clear(&f->b);
    struct writer w = writer_to(&f->b);
    write_u8(&w, type);
    return w;
}

static inline void service(struct fixture *f, const char *name)
{
    struct writer w = begin(f, MSG_SERVICE_REQUEST);
    write_cstring(&w, name);
    feed(f, OK);
}

static inline struct writer begin_request(struct fixture *f, const char *user, const char *method)
{
    struct writer w = begin(f, MSG_USERAUTH_REQUEST);
    write_cstring(&w, user);
    write_cstring(&w, "ssh-connection");
    write_cstring(&w, method);
    return w;
}

static inline void request(struct fixture *f, const char *user, const char *method)
{
    struct writer w = begin_request(f, user, method);
    if (strcmp(method, "keyboard-interactive") == 0) {
        write_cstring(&w, "");
        write_cstring(&w, "");
    }
    feed(f, OK);
}

static inline void probe(struct fixture *f, const char *alg, struct view blob)
{
    struct writer w = begin_request(f, "dev@web1", "publickey");
    write_bool(&w, false);
    write_cstring(&w, alg);
    write_string(&w, blob);
    feed(f, OK);
}

/* A request signed by `key` for the blob, over the session id given. */
static inline void build_signed(struct fixture *f, const struct private_key *key, const char *alg,
                                struct view blob, struct view session)
{
    struct writer w = begin_request(f, "dev@web1", "publickey");
    write_bool(&w, true);
    write_cstring(&w, alg);
    write_string(&w, blob);
    AUTO(buf_fini) struct buf data;
    AUTO(buf_fini) struct buf signature;
    buf_init(&data, 1 << 20);
    buf_init(&signature, 1 << 20);
    struct writer d = writer_to(&data);
    write_string(&d, session);
    write_bytes(&d, buf_view(&f->b));
    CHECK_OK(private_key_sign(key, view_str(alg), buf_view(&data), &signature));
    write_string(&w, buf_view(&signature));
}

static inline void sign_in(struct fixture *f)
{
    build_signed(f, &f->key, "ssh-ed25519", public_key_blob(&f->key.public), SESSION);
    feed(f, OK);
}

static inline void respond(struct fixture *f, uint32_t count)
{
    struct writer w = begin(f, MSG_USERAUTH_INFO_RESPONSE);
    write_u32(&w, count);
    for (uint32_t i = 0; i < count; i++)
        write_cstring(&w, "x");
    feed(f, OK);
}

/* --- what came back --- */

static inline void expect_failure(struct fixture *f, const char *list, bool partial)
{
    struct reader r = reader_of(sink_list_next(&f->out));
    assert_int_equal(read_u8(&r), MSG_USERAUTH_FAILURE);
    CHECK_VIEW_STR(read_string(&r), list);
    assert_int_equal(read_bool(&r), partial);
    CHECK_OK(reader_done(&r));
}

static inline void expect_info(struct fixture *f, const char *name, const char *instruction)
{
    struct reader r = reader_of(sink_list_next(&f->out));
    assert_int_equal(read_u8(&r), MSG_USERAUTH_INFO_REQUEST);
    CHECK_VIEW_STR(read_string(&r), name);
    CHECK_VIEW_STR(read_string(&r), instruction);
    CHECK_VIEW_STR(read_string(&r), "");
    assert_int_equal(read_u32(&r), 0);
    CHECK_OK(reader_done(&r));
}

static inline void expect_type(struct fixture *f, uint8_t type)
{
    struct view p = sink_list_next(&f->out);
    assert_true(p.len > 0);
    assert_int_equal(p.ptr[0], type);
}

static inline void expect_nothing(struct fixture *f)
{
    struct auth_server_event e;
    assert_int_equal(f->out.count, 0);
    assert_false(auth_server_next(&f->a, &e));
}

static inline void expect_checked(struct fixture *f, struct view key, const char *type)
{
    struct auth_server_event e;
    assert_true(auth_server_next(&f->a, &e));
    assert_int_equal(e.type, AUTH_SERVER_CHECK);
    CHECK_VIEW_STR(e.login, "dev");
    CHECK_VIEW_STR(e.route, "web1");
    CHECK_VIEW(e.key, key);
    CHECK_VIEW_STR(e.key_type, type);
    expect_nothing(f);
}

static inline void expect_own_check(struct fixture *f)
{
    expect_checked(f, public_key_blob(&f->key.public), "ssh-ed25519");
}

static inline void expect_disconnect(struct fixture *f, uint32_t reason, const char *text)
{
    struct auth_server_event e;
    assert_true(auth_server_next(&f->a, &e));
    assert_int_equal(e.type, AUTH_SERVER_DISCONNECT);
    assert_int_equal(e.reason, reason);
    if (text)
        CHECK_VIEW_STR(e.text, text);
    expect_nothing(f);
}

static inline int setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof *f);
    start(f);
    *state = f;
    return 0;
}

static inline int setup_open(void **state)
{
    (void)setup(state);
    struct fixture *f = *state;
    service(f, "ssh-userauth");
    expect_type(f, MSG_SERVICE_ACCEPT);
    return 0;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;
    auth_server_fini(&f->a);
    sink_list_fini(&f->out);
    private_key_fini(&f->key);
    buf_fini(&f->b);
    mem_free(f);
    return 0;
}

static inline void make_cert(struct fixture *f, enum cert_kind kind, const struct private_key *ca,
                             struct buf *out)
{
    struct view principal = VIEW("dev");
    struct cert_spec spec = {
        .kind = kind,
        .key = &f->key.public,
        .serial = 1,
        .key_id = VIEW("id"),
        .principals = &principal,
        .principals_len = 1,
        .valid_after = 1,
        .valid_before = UINT64_MAX,
    };
    buf_init(out, 1 << 16);
    CHECK_OK(cert_sign(&spec, ca, &f->rng, out));
}

#define URL "https://auth.example/.pomerium/sign_in?user_code=abc"
#define SHOWN URL "\nMatch code: F3K7"
#define PROMPT "Please sign in to continue"

static inline void to_login(struct fixture *f)
{
    sign_in(f);
    expect_own_check(f);
    auth_server_login(&f->a, VIEW(PROMPT), VIEW(URL), VIEW("F3K7"));
    expect_failure(f, "keyboard-interactive", true);
    assert_int_equal(f->a.phase, AUTH_SERVER_PHASE_LOGIN);
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, setup_open, teardown)
#define FRESH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

#endif
