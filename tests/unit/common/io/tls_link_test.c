/* Streams against BoringSSL's own record layer: both roles, both versions, KeyUpdates, tickets. */
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <pthread.h>

#include "tests/unit/common/io/io_fixture.h"

static struct certs certs;

enum { PIECES = 40 };

/* A blocking peer in a thread: sends pieces, takes as much as it is told, then ends. */
struct peer {
    int fd;
    bool server;
    uint16_t version;
    bool updates; /* asks for a KeyUpdate between pieces */
    size_t expect;
    size_t got;
    bool clean; /* the end came with close_notify */
    bool bad_bytes;
    pthread_t thread;
};

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 13 + i / 4096);
}

static size_t piece_len(size_t i)
{
    static const size_t sizes[] = {1, 100, 16384, 5, 70000, 33, 16385, 250000};
    return sizes[i % ARRAY_LEN(sizes)];
}

static size_t total_len(void)
{
    size_t n = 0;
    for (size_t i = 0; i < PIECES; i++)
        n += piece_len(i);
    return n;
}

static SSL *connect_peer(struct peer *p, SSL_CTX *c)
{
    if (p->server) {
        BIO *cert = BIO_new_mem_buf(certs.web.cert_pem, -1);
        BIO *key = BIO_new_mem_buf(certs.web.key_pem, -1);
        X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
        EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
        CHECK(SSL_CTX_use_certificate(c, x) && SSL_CTX_use_PrivateKey(c, k));
        X509_free(x);
        EVP_PKEY_free(k);
        BIO_free(cert);
        BIO_free(key);
    }
    SSL *ssl = SSL_new(c);
    CHECK(ssl && SSL_set_fd(ssl, p->fd));
    int ok = p->server ? SSL_accept(ssl) : SSL_connect(ssl);
    CHECK(ok == 1 && SSL_version(ssl) == p->version);
    return ssl;
}

static void send_pieces(const struct peer *p, SSL *ssl)
{
    uint8_t *piece = mem_zalloc(250000);
    size_t at = 0;
    for (size_t i = 0; i < PIECES; i++) {
        size_t n = piece_len(i);
        for (size_t k = 0; k < n; k++)
            piece[k] = byte_at(at + k);
        CHECK(SSL_write(ssl, piece, (int)n) == (int)n);
        at += n;
        if (p->updates && i % 3 == 0)
            CHECK(SSL_key_update(ssl, i % 2 ? SSL_KEY_UPDATE_REQUESTED
                                            : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
    }
    mem_free(piece);
}

static void take_all(struct peer *p, SSL *ssl)
{
    uint8_t *piece = mem_zalloc(65536);
    for (;;) {
        int n = SSL_read(ssl, piece, 65536);
        for (int k = 0; k < n; k++)
            p->bad_bytes = p->bad_bytes || piece[k] != byte_at(p->got + (size_t)k);
        if (n <= 0) {
            p->clean = SSL_get_error(ssl, n) == SSL_ERROR_ZERO_RETURN;
            break;
        }
        p->got += (size_t)n;
    }
    mem_free(piece);
}

static void *run_peer(void *ctx)
{
    struct peer *p = ctx;
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    CHECK(SSL_CTX_set_min_proto_version(c, p->version));
    CHECK(SSL_CTX_set_max_proto_version(c, p->version));
    SSL *ssl = connect_peer(p, c);
    send_pieces(p, ssl);
    CHECK(SSL_shutdown(ssl) >= 0);
    (void)shutdown(p->fd, SHUT_WR);
    take_all(p, ssl);
    SSL_free(ssl);
    SSL_CTX_free(c);
    ERR_clear_error();
    (void)close(p->fd);
    return NULL;
}

static void run_with(bool peer_is_server, uint16_t version, bool updates)
{
    struct loop loop;
    struct side side = {0};
    loop_init(&loop);
    struct socket_pair sockets = socket_pair(&loop);
    struct peer p = {
        .fd = sockets.client, .server = peer_is_server, .version = version, .updates = updates};
    CHECK(fcntl(p.fd, F_SETFL, fcntl(p.fd, F_GETFL) & ~O_NONBLOCK) == 0);
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *tls =
        peer_is_server ? make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem})
                       : make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
    CHECK(pthread_create(&p.thread, NULL, run_peer, &p) == 0);
    side_start(&side,
               &(struct stream_spec){
                   .loop = &loop, .tls = tls, .server_name = "localhost", .queue_max = 16 << 20},
               sockets.server);
    tls_unref(tls);
    /* All that comes goes back, in pieces that are ours. */
    WAIT(&loop, side.ended || side.failed);
    assert_false(side.failed);
    assert_int_equal(side.in.len, total_len());
    for (size_t i = 0; i < side.in.len; i++)
        assert_int_equal(buf_ptr(&side.in)[i], byte_at(i));
    struct view back = buf_view(&side.in);
    for (size_t i = 0; back.len; i++) {
        CHECK_OK(stream_write(side.s, view_take(back, piece_len(i))));
        back = view_skip(back, piece_len(i));
        (void)uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    side_close(&side);
    WAIT(&loop, side.closed);
    assert_int_equal(pthread_join(p.thread, NULL), 0);
    assert_int_equal(p.got, total_len());
    assert_true(p.clean && !p.bad_bytes);
    side_end(&loop, &side);
    loop_fini(&loop);
}

static void test_versions(void **state)
{
    (void)state;
    for (int server = 0; server < 2; server++) {
        run_with(server != 0, TLS1_2_VERSION, false);
        run_with(server != 0, TLS1_3_VERSION, false);
        run_with(server != 0, TLS1_3_VERSION, true);
    }
}

/* A peer that goes on sending after our end is taken from until it stops: no reset. */
static void *flood(void *ctx)
{
    struct peer *p = ctx;
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    SSL *ssl = connect_peer(p, c);
    uint8_t *piece = mem_zalloc(65536);
    while (p->got < p->expect) {
        int n = SSL_write(ssl, piece, 65536);
        if (n <= 0)
            break;
        p->got += (size_t)n;
    }
    p->clean = SSL_read(ssl, piece, 1) == 0 && SSL_shutdown(ssl) >= 0;
    (void)shutdown(p->fd, SHUT_WR);
    mem_free(piece);
    SSL_free(ssl);
    SSL_CTX_free(c);
    (void)close(p->fd);
    return NULL;
}

static void test_close_while_peer_sends(void **state)
{
    (void)state;
    struct loop loop;
    struct side side = {.pause_on_read = true};
    loop_init(&loop);
    struct socket_pair sockets = socket_pair(&loop);
    struct peer p = {.fd = sockets.client, .version = TLS1_3_VERSION, .expect = 300u << 20};
    CHECK(fcntl(p.fd, F_SETFL, fcntl(p.fd, F_GETFL) & ~O_NONBLOCK) == 0);
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *tls =
        make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
    CHECK(pthread_create(&p.thread, NULL, flood, &p) == 0);
    side_start(&side, &(struct stream_spec){.loop = &loop, .tls = tls}, sockets.server);
    tls_unref(tls);
    WAIT(&loop, side.in.len > 0);
    side_close(&side);
    WAIT(&loop, side.closed);
    assert_int_equal(pthread_join(p.thread, NULL), 0);
    assert_true(p.clean && p.got >= p.expect);
    side_end(&loop, &side);
    loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_close_while_peer_sends),
    };
    certs_init(&certs);
    int failed = RUN(tests);
    certs_fini(&certs);
    return failed;
}
