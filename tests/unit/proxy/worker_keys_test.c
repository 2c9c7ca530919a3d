#include "proxy/worker_keys.h"

#include <sys/socket.h>

#include "tests/unit/common/io/io_fixture.h"

/* A worker's keys and a supervisor that the test plays. */
struct fixture {
    struct loop loop;
    struct worker_link *worker;
    struct worker_link *supervisor;
    struct worker_keys *keys;
    struct ssh_signer ssh;
    struct worker_host_key key;
    /* At the supervisor. */
    int asked;
    uint32_t ids[8];
    enum worker_frame_type types[8];
    struct worker_key_id last_key;
    char last_algorithm[64];
    char last_input[64];
    const char *supervisor_ended;
    /* At the worker. */
    enum err answer_err;
    const char *worker_ended;
    uint64_t tags[8];
    enum err errs[8];
    char signatures[8][16];
    int answered;
};

static void on_request(void *ctx, const struct worker_frame *frame)
{
    struct fixture *f = ctx;
    struct worker_sign_message m;
    CHECK_OK(worker_sign_parse((uint8_t)frame->type, frame->body, &m));
    f->ids[f->asked] = frame->id;
    f->types[f->asked++] = frame->type;
    f->last_key = m.request.key;
    (void)snprintf(f->last_algorithm, sizeof f->last_algorithm, "%.*s",
                   VIEW_FMT(m.request.algorithm));
    (void)snprintf(f->last_input, sizeof f->last_input, "%.*s", VIEW_FMT(m.request.input));
    worker_sign_fini(&m);
}

static void on_answer(void *ctx, const struct worker_frame *frame)
{
    struct fixture *f = ctx;
    f->answer_err = worker_keys_answer(f->keys, frame);
}

static void on_supervisor_end(void *ctx, const char *why)
{
    struct fixture *f = ctx;
    f->supervisor_ended = why;
}

static void on_worker_end(void *ctx, const char *why)
{
    struct fixture *f = ctx;
    f->worker_ended = why;
    worker_keys_lost(f->keys);
}

static void on_signed(void *ctx, uint64_t tag, enum err e, struct view signature)
{
    struct fixture *f = ctx;
    f->tags[f->answered] = tag;
    f->errs[f->answered] = e;
    (void)snprintf(f->signatures[f->answered++], 16, "%.*s", VIEW_FMT(signature));
}

static void begin(struct fixture *f)
{
    static const struct worker_link_handler supervisor = {.on_frame = on_request,
                                                          .on_end = on_supervisor_end};
    static const struct worker_link_handler worker = {.on_frame = on_answer,
                                                      .on_end = on_worker_end};
    int pair[2];
    *f = (struct fixture){0};
    loop_init(&f->loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f->supervisor = worker_link_open(&f->loop, pair[0], &supervisor, f);
    f->worker = worker_link_open(&f->loop, pair[1], &worker, f);
    f->keys = worker_keys_new(&f->loop, f->worker);
    f->ssh = worker_keys_ssh(f->keys);
    f->key.id = worker_key_id(VIEW("blob"));
}

static void end(struct fixture *f)
{
    worker_keys_lost(f->keys);
    worker_link_close(f->worker);
    worker_link_close(f->supervisor);
    worker_link_close(NULL);
    loop_fini(&f->loop);
    worker_keys_free(f->keys);
    worker_keys_free(NULL);
}

static void reply(struct fixture *f, uint32_t id, const char *signature, const char *error)
{
    AUTO(buf_fini) struct buf body;
    buf_init(&body, 1000);
    CHECK_OK(worker_signed_write(view_str(signature), error, &body));
    CHECK_OK(worker_link_send(f->supervisor, WORKER_FRAME_SIGNED, id, buf_view(&body)));
}

static void ask(struct fixture *f, uint64_t tag)
{
    f->ssh.sign_kex(f->ssh.ctx, &f->key, "ssh-ed25519", VIEW("hash"), on_signed, f, tag);
}

static void test_answers(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    ask(&f, 11);
    f.ssh.sign_prove(f.ssh.ctx, &f.key, "rsa-sha2-512", VIEW("session"), on_signed, &f, 12);
    WAIT(&f.loop, f.asked == 2);
    assert_int_equal(f.types[0], WORKER_FRAME_SIGN_KEX);
    assert_int_equal(f.types[1], WORKER_FRAME_SIGN_HOSTKEYS_PROVE);
    assert_true(f.ids[0] != 0 && f.ids[1] != f.ids[0]);
    assert_memory_equal(f.last_key.bytes, f.key.id.bytes, WORKER_KEY_ID);
    assert_string_equal(f.last_algorithm, "rsa-sha2-512");
    assert_string_equal(f.last_input, "session");
    assert_int_equal(f.answered, 0);
    reply(&f, f.ids[0], "one", NULL);
    reply(&f, f.ids[1], "", "busy");
    WAIT(&f.loop, f.answered == 2);
    assert_int_equal(f.tags[0], 11);
    CHECK_OK(f.errs[0]);
    assert_string_equal(f.signatures[0], "one");
    assert_int_equal(f.tags[1], 12);
    CHECK_ERR(f.errs[1], ERR_DENIED);
    CHECK_OK(f.answer_err);
    end(&f);
}

static void test_wrong_answers(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    ask(&f, 1);
    ask(&f, 2);
    WAIT(&f.loop, f.asked == 2);
    reply(&f, f.ids[1], "out of order", NULL);
    WAIT(&f.loop, f.answer_err != OK);
    CHECK_ERR(f.answer_err, ERR_PROTOCOL);
    assert_int_equal(f.answered, 0);
    f.answer_err = OK;
    reply(&f, f.ids[0], "one", NULL);
    reply(&f, f.ids[1], "two", NULL);
    WAIT(&f.loop, f.answered == 2);
    reply(&f, f.ids[1], "again", NULL);
    WAIT(&f.loop, f.answer_err != OK);
    assert_int_equal(f.answered, 2);
    end(&f);
}

/* Whoever waits when the supervisor goes, and whoever asks later, is told, never at once. */
static void test_lost(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    ask(&f, 1);
    WAIT(&f.loop, f.asked == 1);
    worker_link_close(f.supervisor);
    f.supervisor = NULL;
    WAIT(&f.loop, f.worker_ended);
    WAIT(&f.loop, f.answered == 1);
    CHECK_ERR(f.errs[0], ERR_UNAVAILABLE);
    ask(&f, 2);
    assert_int_equal(f.answered, 1);
    WAIT(&f.loop, f.answered == 2);
    CHECK_ERR(f.errs[1], ERR_UNAVAILABLE);
    assert_int_equal(f.tags[1], 2);
    end(&f);
}

/* A handshake of a browser whose certificate's key is at the supervisor. */
static void test_tls(void **state)
{
    (void)state;
    struct fixture f;
    struct certs certs;
    begin(&f);
    certs_init(&certs);
    struct worker_config *config = worker_config_new();
    worker_config_add_certificate(config, certs.second.cert_pem);
    worker_config_add_certificate(config, certs.web.cert_pem);
    const struct tls_chain chains[] = {{certs.second.cert_pem, NULL}, {certs.web.cert_pem, NULL}};
    struct tls_context *server = make_server(&(struct tls_server_spec){
        .chains = chains, .chain_count = 2, .signer = worker_keys_tls(f.keys, config)});
    struct tls_context *client =
        make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem});
    struct side browser = {0};
    struct side front = {0};
    struct socket_pair p = socket_pair(&f.loop);
    side_start(&front, &(struct stream_spec){.loop = &f.loop, .tls = server}, p.server);
    side_start(&browser,
               &(struct stream_spec){.loop = &f.loop, .tls = client, .server_name = "localhost"},
               p.client);
    WAIT(&f.loop, f.asked == 1);
    assert_int_equal(f.types[0], WORKER_FRAME_SIGN_TLS);
    assert_memory_equal(f.last_key.bytes, config->certificates[1].id.bytes, WORKER_KEY_ID);
    reply(&f, f.ids[0], "", "no");
    WAIT(&f.loop, front.failed);
    side_end(&f.loop, &front);
    side_end(&f.loop, &browser);
    tls_unref(server);
    tls_unref(client);
    worker_config_unref(config);
    certs_fini(&certs);
    end(&f);
}

static void test_link_violation(void **state)
{
    (void)state;
    struct fixture f;
    begin(&f);
    /* What is too large is not sent; what is no frame ends the link. */
    char *large = mem_zalloc(WORKER_FRAME_BODY_MAX + 1);
    CHECK_ERR(worker_link_send(f.worker, WORKER_FRAME_STATUS, 0,
                               view_of(large, WORKER_FRAME_BODY_MAX + 1)),
              ERR_LIMIT);
    mem_free(large);
    worker_link_close(f.supervisor);
    int pair[2];
    static const struct worker_link_handler supervisor = {.on_frame = on_request,
                                                          .on_end = on_supervisor_end};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    f.supervisor = worker_link_open(&f.loop, pair[0], &supervisor, &f);
    assert_int_equal(write(pair[1], "\xff\xff\xff\xff", 4), 4);
    WAIT(&f.loop, f.supervisor_ended);
    assert_string_equal(f.supervisor_ended, err_text(ERR_LIMIT));
    (void)close(pair[1]);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),        cmocka_unit_test(test_wrong_answers),
        cmocka_unit_test(test_lost),           cmocka_unit_test(test_tls),
        cmocka_unit_test(test_link_violation),
    };
    return RUN(tests);
}
