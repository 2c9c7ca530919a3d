/* What the peer sends in one piece with the end of its handshake. */
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "tests/unit/common/io/io_fixture.h"

enum { DATA_MAX = 20000, RECEIVE_MAX = 65536 };

static struct certs certs;
static uint8_t data[DATA_MAX];

struct row {
    bool peer_is_server;
    uint16_t version;
    size_t len;   /* of the data */
    size_t split; /* of what is sent at last, after so many bytes; 0: not */
    bool paused;
    bool close; /* close_notify behind the data */
};

struct test {
    struct loop loop;
    struct side side;
    struct tls_context *tls;
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in;
    BIO *out;
    int fd;
};

static void use_certificate(SSL_CTX *c)
{
    BIO *cert = BIO_new_mem_buf(certs.web.cert_pem, -1);
    BIO *key = BIO_new_mem_buf(certs.web.key_pem, -1);
    X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    assert_true(SSL_CTX_use_certificate(c, x) && SSL_CTX_use_PrivateKey(c, k));
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(cert);
    BIO_free(key);
}

static void begin(struct test *t, const struct row *r)
{
    *t = (struct test){0};
    loop_init(&t->loop);
    struct socket_pair sockets = socket_pair(&t->loop);
    t->fd = sockets.client;
    t->ctx = SSL_CTX_new(TLS_method());
    assert_true(SSL_CTX_set_min_proto_version(t->ctx, r->version) &&
                SSL_CTX_set_max_proto_version(t->ctx, r->version));
    if (r->peer_is_server)
        use_certificate(t->ctx);
    t->ssl = SSL_new(t->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    SSL_set_bio(t->ssl, t->in, t->out);
    if (r->peer_is_server)
        SSL_set_accept_state(t->ssl);
    else
        SSL_set_connect_state(t->ssl);
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    t->tls = r->peer_is_server
                 ? make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem})
                 : make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
    side_start(
        &t->side,
        &(struct stream_spec){
            .loop = &t->loop, .tls = t->tls, .server_name = "localhost", .paused = r->paused},
        sockets.server);
}

static void end(struct test *t)
{
    side_end(&t->loop, &t->side);
    tls_unref(t->tls);
    SSL_free(t->ssl);
    SSL_CTX_free(t->ctx);
    (void)close(t->fd);
    loop_fini(&t->loop);
}

static void send_part(const struct test *t, struct view bytes)
{
    assert_int_equal(send(t->fd, bytes.ptr, bytes.len, 0), (ssize_t)bytes.len);
}

static struct view unsent(const struct test *t)
{
    const uint8_t *ptr = NULL;
    size_t len = 0;
    assert_true(BIO_mem_contents(t->out, &ptr, &len));
    return view_of(ptr, len);
}

/* What our side has sent, if anything yet. */
static void take(struct test *t)
{
    uint8_t bytes[RECEIVE_MAX];
    (void)uv_run(&t->loop.uv, UV_RUN_NOWAIT);
    ssize_t n = recv(t->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n > 0)
        assert_int_equal(BIO_write(t->in, bytes, (int)n), (int)n);
}

/* The last piece of it stays in `out`. */
static void shake_hands(struct test *t)
{
    uint64_t end_at = loop_clock_ms() + GUARD_MS;
    while (SSL_do_handshake(t->ssl) != 1) {
        assert_true(loop_clock_ms() < end_at);
        send_part(t, unsent(t));
        (void)BIO_reset(t->out);
        take(t);
    }
}

static void turns(struct test *t)
{
    for (int i = 0; i < 20; i++)
        (void)uv_run(&t->loop.uv, UV_RUN_NOWAIT);
}

static void check(const struct row *r)
{
    struct test t;
    char answer[8] = "";
    begin(&t, r);
    shake_hands(&t);
    for (size_t at = 0; at < r->len; at += 5000) {
        int n = (int)(r->len - at < 5000 ? r->len - at : 5000);
        assert_int_equal(SSL_write(t.ssl, data + at, n), n);
    }
    if (r->close)
        assert_true(SSL_shutdown(t.ssl) >= 0);
    struct view last = unsent(&t);
    send_part(&t, view_take(last, r->split));
    turns(&t);
    send_part(&t, view_skip(last, r->split));
    (void)BIO_reset(t.out);
    if (r->paused) {
        WAIT(&t.loop, t.side.opened);
        turns(&t);
        assert_true(t.side.in.len == 0 && !t.side.ended);
        stream_resume(t.side.s);
    }
    WAIT(&t.loop, t.side.in.len == r->len && t.side.ended == r->close);
    assert_memory_equal(buf_ptr(&t.side.in), data, r->len);
    assert_false(t.side.failed);
    /* And it goes on, in both directions. */
    CHECK_OK(stream_write(t.side.s, VIEW("welcome")));
    WAIT(&t.loop, (take(&t), SSL_read(t.ssl, answer, sizeof answer) > 0));
    assert_string_equal(answer, "welcome");
    if (!r->close) {
        assert_int_equal(SSL_write(t.ssl, "more", 4), 4);
        send_part(&t, unsent(&t));
        WAIT(&t.loop, t.side.in.len == r->len + 4);
    }
    end(&t);
}

static void test_early(void **state)
{
    static const size_t lengths[] = {1, 300, 4000, 4096, DATA_MAX};
    /* Inside a record's head, the end of the handshake, the data. */
    static const size_t splits[] = {0, 3, 6, 40, 60, 64, 66, 79, 81, 90, 130, 200, 4094, 4097};
    (void)state;
    for (size_t i = 0; i < DATA_MAX; i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    for (int kind = 0; kind < 8; kind++) {
        for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
            for (size_t s = 0; s < ARRAY_LEN(splits); s++) {
                const struct row r = {.peer_is_server = kind & 1,
                                      .version = kind & 2 ? TLS1_2_VERSION : TLS1_3_VERSION,
                                      .len = lengths[l],
                                      .split = splits[s],
                                      .paused = kind & 4,
                                      .close = (l + s) % 2};
                check(&r);
            }
        }
    }
}

/* The end of the connection behind the end of the handshake is told, and the stream can be closed.
 */
static void test_early_end(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        const struct row r = {.peer_is_server = kind & 1,
                              .version = kind & 2 ? TLS1_2_VERSION : TLS1_3_VERSION};
        struct test t;
        begin(&t, &r);
        shake_hands(&t);
        assert_int_equal(SSL_write(t.ssl, "last", 4), 4);
        send_part(&t, unsent(&t));
        (void)shutdown(t.fd, SHUT_WR);
        WAIT(&t.loop, t.side.failed);
        CHECK_VIEW_STR(buf_view(&t.side.in), "last");
        CHECK_ERR(t.side.why, ERR_CLOSED);
        side_close(&t.side);
        WAIT(&t.loop, t.side.closed);
        end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_early),
        cmocka_unit_test(test_early_end),
    };
    certs_init(&certs);
    int failed = RUN(tests);
    certs_fini(&certs);
    return failed;
}
