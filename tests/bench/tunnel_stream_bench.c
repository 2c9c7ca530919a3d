// links: common/io
/*
 * A tunnel's bytes through streams, TLS 1.3 on one side and plain TCP on the other, against the
 * least that could do it: a blocking loop of one read of up to 256 KB, opening or sealing the
 * records with BoringSSL, and one write. Both get the same peers. One JSON line per direction:
 * MB per second of the relay thread's own CPU time, the best of rounds in which both take turns.
 *
 * For tests/bench/tunnel_bench.py, which measures the proxy with the same peers:
 *
 * - bare up|down PORT TARGET: the baseline as a proxy, for one client of port PORT who gets to port
 *   TARGET whatever it asks for: says "ready", and at the end its nanoseconds of CPU
 *
 * - drive up|down PROXY TARGET HEAD: one round through port PROXY to port TARGET, behind HEAD
 *
 * - rtt PROXY TARGET HEAD: 64 bytes there and back: p50 in ns, direct and through it
 *
 * - open PROXY COUNT CLIENTS HEAD: so many clients at once open so many in all, say so, and hold
 *   them until stdin ends
 *
 * - handshakes COUNT: ns of CPU that one accept, handshake and connect take alone
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/aead.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/crypto/tls_record.h"
#include "tests/unit/common/io/io_fixture.h"

enum {
    ROUNDS = 6,
    READ_MAX = 256 << 10,
    PIECE = 64 << 10, /* what a peer writes at once */
};
static const uint64_t round_bytes = 192u << 20;

static struct certs certs;

static uint64_t cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- the peers: a TLS client and a plain end --- */

struct peer {
    int fd;
    bool sends;
    const char *head; /* asked before, and answered with 200; or NULL */
    pthread_t thread;
};

static void ask(SSL *ssl, const char *head)
{
    char answer[4096];
    int n = 0;
    CHECK(SSL_write(ssl, head, (int)strlen(head)) > 0);
    do {
        CHECK(n < (int)sizeof answer - 1 && SSL_read(ssl, answer + n, 1) == 1);
        answer[++n] = '\0';
    } while (!strstr(answer, "\r\n\r\n"));
    CHECK(strncmp(answer, "HTTP/1.1 200 ", 13) == 0);
}

static void *run_client(void *ctx)
{
    struct peer *p = ctx;
    uint8_t *piece = mem_zalloc(PIECE);
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(c);
    SSL_set_fd(ssl, p->fd);
    CHECK(SSL_connect(ssl) == 1);
    if (p->head)
        ask(ssl, p->head);
    uint64_t n = 0;
    while (n < round_bytes) {
        int k = p->sends ? SSL_write(ssl, piece, PIECE) : SSL_read(ssl, piece, PIECE);
        CHECK(k > 0);
        n += (uint64_t)k;
    }
    (void)SSL_shutdown(ssl);
    (void)shutdown(p->fd, SHUT_WR);
    while (recv(p->fd, piece, PIECE, 0) > 0) {
    }
    SSL_free(ssl);
    SSL_CTX_free(c);
    mem_free(piece);
    (void)close(p->fd);
    return NULL;
}

static void *run_plain(void *ctx)
{
    struct peer *p = ctx;
    uint8_t *piece = mem_zalloc(READ_MAX);
    uint64_t n = 0;
    while (n < round_bytes) {
        ssize_t k = p->sends ? send(p->fd, piece, PIECE, 0) : recv(p->fd, piece, READ_MAX, 0);
        CHECK(k > 0);
        n += (uint64_t)k;
    }
    (void)shutdown(p->fd, SHUT_WR);
    while (recv(p->fd, piece, READ_MAX, 0) > 0) {
    }
    mem_free(piece);
    (void)close(p->fd);
    return NULL;
}

/* --- the baseline --- */

static struct tls_record_keys bare_keys[2];

static void on_secret(const SSL *ssl, const char *line)
{
    (void)ssl;
    size_t i = strncmp(line, "CLIENT_TRAFFIC_SECRET_0 ", 24) == 0   ? 0
               : strncmp(line, "SERVER_TRAFFIC_SECRET_0 ", 24) == 0 ? 1
                                                                    : 2;
    const char *hex = strrchr(line, ' ') + 1;
    for (size_t k = 0; i < 2 && hex[2 * k]; k++) {
        unsigned byte = 0;
        CHECK(sscanf(hex + 2 * k, "%2x", &byte) == 1);
        bare_keys[i].secret[k] = (uint8_t)byte;
    }
}

static void use_certificate(SSL_CTX *c)
{
    BIO *cert = BIO_new_mem_buf(certs.web.cert_pem, -1);
    BIO *key = BIO_new_mem_buf(certs.web.key_pem, -1);
    X509 *x = PEM_read_bio_X509(cert, NULL, NULL, NULL);
    EVP_PKEY *k = PEM_read_bio_PrivateKey(key, NULL, NULL, NULL);
    CHECK(x && k && SSL_CTX_use_certificate(c, x) && SSL_CTX_use_PrivateKey(c, k));
    SSL_CTX_set_options(c, SSL_OP_NO_TICKET);
    X509_free(x);
    EVP_PKEY_free(k);
    BIO_free(cert);
    BIO_free(key);
}

/* The handshake, and bare_keys. */
static SSL *bare_accept(int fd)
{
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    use_certificate(c);
    SSL_CTX_set_keylog_callback(c, on_secret);
    SSL *ssl = SSL_new(c);
    SSL_set_fd(ssl, fd);
    CHECK(SSL_accept(ssl) == 1);
    CHECK(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl)) == 0x1301);
    SSL_CTX_free(c);
    return ssl;
}

/* The AEAD of one direction, and nothing around it. */
struct bare {
    EVP_AEAD_CTX *aead;
    uint8_t iv[12];
    uint64_t seq;
};

static void bare_init(struct bare *b, const struct tls_record_keys *keys)
{
    static const char *const labels[] = {"tls13 key", "tls13 iv"};
    uint8_t key[16];
    uint8_t *out[] = {key, b->iv};
    for (uint8_t i = 0; i < 2; i++) {
        uint8_t info[32] = {0, i ? 12 : 16, (uint8_t)strlen(labels[i])};
        memcpy(info + 3, labels[i], strlen(labels[i]));
        CHECK(HKDF_expand(out[i], info[1], EVP_sha256(), keys->secret, 32, info,
                          strlen(labels[i]) + 4));
    }
    b->aead = EVP_AEAD_CTX_new(EVP_aead_aes_128_gcm(), key, 16, 16);
    b->seq = keys->seq;
}

static void bare_nonce(struct bare *b, uint8_t nonce[12])
{
    memcpy(nonce, b->iv, 12);
    for (size_t i = 0; i < 8; i++)
        nonce[11 - i] ^= (uint8_t)(b->seq >> (8 * i));
    b->seq++;
}

static void write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        CHECK(k > 0);
        p += k;
        n -= (size_t)k;
    }
}

static void bare_open_loop(int tls, int plain)
{
    struct bare b;
    bare_init(&b, &bare_keys[0]);
    uint8_t *in = mem_zalloc(2 * READ_MAX);
    uint8_t *out = mem_zalloc(2 * READ_MAX);
    size_t have = 0;
    for (uint64_t done = 0; done < round_bytes;) {
        ssize_t n = recv(tls, in + have, READ_MAX, 0);
        CHECK(n > 0);
        have += (size_t)n;
        size_t at = 0;
        size_t opened = 0;
        while (have - at >= 5) {
            size_t body = (size_t)in[at + 3] << 8 | in[at + 4];
            uint8_t nonce[12];
            size_t len = 0;
            if (have - at < 5 + body)
                break;
            bare_nonce(&b, nonce);
            CHECK(EVP_AEAD_CTX_open(b.aead, out + opened, &len, body, nonce, 12, in + at + 5, body,
                                    in + at, 5));
            if (out[opened + len - 1] == 23)
                opened += len - 1;
            at += 5 + body;
        }
        write_all(plain, out, opened);
        done += opened;
        memmove(in, in + at, have - at);
        have -= at;
    }
    EVP_AEAD_CTX_free(b.aead);
    mem_free(in);
    mem_free(out);
}

static void bare_seal_loop(int tls, int plain)
{
    struct bare b;
    bare_init(&b, &bare_keys[1]);
    uint8_t *in = mem_zalloc(2 * READ_MAX);
    uint8_t *out = mem_zalloc(2 * READ_MAX);
    for (uint64_t done = 0; done < round_bytes;) {
        ssize_t n = recv(plain, in, READ_MAX, 0);
        CHECK(n > 0);
        size_t sealed = 0;
        for (size_t at = 0; at < (size_t)n; at += 16384) {
            size_t part = (size_t)n - at < 16384 ? (size_t)n - at : 16384;
            uint8_t *p = out + sealed;
            uint8_t nonce[12];
            uint8_t type = 23;
            size_t tag = 0;
            memcpy(p, (uint8_t[]){23, 3, 3, (uint8_t)((part + 17) >> 8), (uint8_t)(part + 17)}, 5);
            bare_nonce(&b, nonce);
            CHECK(EVP_AEAD_CTX_seal_scatter(b.aead, p + 5, p + 5 + part, &tag, 17, nonce, 12,
                                            in + at, part, &type, 1, p, 5));
            sealed += 5 + part + 17;
        }
        write_all(tls, out, sealed);
        done += (uint64_t)n;
    }
    EVP_AEAD_CTX_free(b.aead);
    mem_free(in);
    mem_free(out);
}

/* --- the relay of streams --- */

struct half {
    struct stream *s;
    struct half *other;
    bool ended;
    bool closed;
};

static void half_read(void *ctx, struct view bytes)
{
    struct half *h = ctx;
    CHECK_OK(stream_write(h->other->s, bytes));
    if (stream_room(h->other->s) < READ_MAX)
        stream_pause(h->s);
}

static void half_drain(void *ctx)
{
    struct half *h = ctx;
    stream_resume(h->other->s);
}

static void half_end(void *ctx, enum err why)
{
    struct half *h = ctx;
    CHECK(why == OK);
    h->ended = true;
    stream_shutdown(h->other->s);
}

static void half_closed(void *ctx)
{
    struct half *h = ctx;
    h->closed = true;
}

static uint64_t relay(struct loop *l, struct tls_context *tls, int tls_fd, int plain_fd)
{
    static const struct stream_handler handler = {
        .on_read = half_read, .on_drain = half_drain, .on_end = half_end};
    struct half a = {0};
    struct half b = {.other = &a};
    a.other = &b;
    struct stream_spec spec = {.loop = l,
                               .tls = tls,
                               .read_max = READ_MAX,
                               .queue_max = 2 * READ_MAX,
                               .queue_low = READ_MAX / 2};
    a.s = stream_new(&spec, tls_fd, &handler, &a);
    spec.tls = NULL;
    b.s = stream_new(&spec, plain_fd, &handler, &b);
    uint64_t from = cpu_ns();
    while (!a.ended || !b.ended)
        (void)uv_run(&l->uv, UV_RUN_ONCE);
    uint64_t ns = cpu_ns() - from;
    stream_close(a.s, 0, half_closed, &a);
    stream_close(b.s, 0, half_closed, &b);
    while (!a.closed || !b.closed)
        (void)uv_run(&l->uv, UV_RUN_ONCE);
    return ns;
}

/* --- both --- */

static void set_blocking(int fd)
{
    CHECK(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
}

/* One round; CPU time of what is measured. */
static uint64_t one_round(struct loop *l, struct tls_context *tls, bool up)
{
    struct socket_pair t = socket_pair(l);
    struct socket_pair p = socket_pair(l);
    struct peer client = {.fd = t.client, .sends = up};
    struct peer plain = {.fd = p.server, .sends = !up};
    uint64_t ns;
    set_blocking(t.client);
    set_blocking(p.server);
    CHECK(pthread_create(&client.thread, NULL, run_client, &client) == 0);
    CHECK(pthread_create(&plain.thread, NULL, run_plain, &plain) == 0);
    if (tls) {
        ns = relay(l, tls, t.server, p.client);
    } else {
        set_blocking(t.server);
        set_blocking(p.client);
        uint64_t from = cpu_ns();
        bare_keys[0].seq = bare_keys[1].seq = 0;
        SSL_free(bare_accept(t.server));
        if (up)
            bare_open_loop(t.server, p.client);
        else
            bare_seal_loop(t.server, p.client);
        ns = cpu_ns() - from;
        (void)shutdown(t.server, SHUT_WR);
        (void)shutdown(p.client, SHUT_WR);
    }
    CHECK(pthread_join(client.thread, NULL) == 0);
    CHECK(pthread_join(plain.thread, NULL) == 0);
    if (!tls) {
        (void)close(t.server);
        (void)close(p.client);
    }
    return ns;
}

static void measure(struct loop *l, struct tls_context *tls, bool up)
{
    uint64_t best[2] = {UINT64_MAX, UINT64_MAX};
    for (int i = 0; i < 2 * ROUNDS; i++) {
        uint64_t ns = one_round(l, i % 2 ? tls : NULL, up);
        best[i % 2] = ns < best[i % 2] ? ns : best[i % 2];
    }
    double value = (double)round_bytes * 1e3 / (double)best[1];
    double baseline = (double)round_bytes * 1e3 / (double)best[0];
    (void)printf("{\"name\":\"stream relay %s\",\"value\":%.0f,\"unit\":\"MB per CPU second\","
                 "\"baseline\":%.0f,\"ratio\":%.3f}\n",
                 up ? "TLS to plain" : "plain to TLS", value, baseline, value / baseline);
}

/* --- for the proxy's bench --- */

static int listen_here(const char *port)
{
    char *why = NULL;
    int fd = -1;
    AUTO_FREE char *address = mem_printf("127.0.0.1:%s", port);
    CHECK(listen_bind(address, &fd, &why) == OK);
    set_blocking(fd);
    return fd;
}

static int connect_to(const char *port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(port)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof sa) == 0);
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    return fd;
}

static int bare_proxy(bool up, const char *port, const char *target)
{
    int listener = listen_here(port);
    char head[4096];
    (void)puts("ready");
    (void)fflush(stdout);
    int client = accept(listener, NULL, NULL);
    CHECK(client >= 0);
    uint64_t from = cpu_ns();
    SSL *ssl = bare_accept(client);
    CHECK(SSL_read(ssl, head, sizeof head) > 0);
    int plain = connect_to(target);
    CHECK(SSL_write(ssl, "HTTP/1.1 200 OK\r\n\r\n", 19) == 19);
    SSL_free(ssl);
    bare_keys[0].seq = bare_keys[1].seq = 1; /* the head and the answer */
    if (up)
        bare_open_loop(client, plain);
    else
        bare_seal_loop(client, plain);
    (void)printf("%llu\n", (unsigned long long)(cpu_ns() - from));
    (void)close(plain);
    (void)close(client);
    (void)close(listener);
    return 0;
}

static int drive(bool up, const char *proxy, const char *target, const char *head)
{
    int listener = listen_here(target);
    struct peer client = {.fd = connect_to(proxy), .sends = up, .head = head};
    CHECK(pthread_create(&client.thread, NULL, run_client, &client) == 0);
    struct peer plain = {.fd = accept(listener, NULL, NULL), .sends = !up};
    CHECK(plain.fd >= 0);
    (void)run_plain(&plain);
    CHECK(pthread_join(client.thread, NULL) == 0);
    (void)close(listener);
    (void)printf("%llu\n", (unsigned long long)round_bytes);
    return 0;
}

enum { TRIPS = 20000, MESSAGE = 64, OPENERS_MAX = 64 };

static void *run_echo(void *ctx)
{
    int fd = *(int *)ctx;
    int on = 1;
    char message[MESSAGE];
    CHECK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0);
    while (recv(fd, message, sizeof message, MSG_WAITALL) == MESSAGE)
        CHECK(send(fd, message, sizeof message, MSG_NOSIGNAL) == MESSAGE);
    (void)close(fd);
    return NULL;
}

static uint64_t wall_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static uint64_t p50_of_trips(int listener, int fd, const char *head)
{
    static uint64_t ns[TRIPS];
    char message[MESSAGE] = {0};
    pthread_t thread;
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    SSL *ssl = SSL_new(c);
    if (head) {
        CHECK(SSL_set_fd(ssl, fd) && SSL_connect(ssl) == 1);
        ask(ssl, head);
    }
    int echo = accept(listener, NULL, NULL);
    CHECK(echo >= 0 && pthread_create(&thread, NULL, run_echo, &echo) == 0);
    for (int i = 0; i < TRIPS; i++) {
        uint64_t from = wall_ns();
        int sent = head ? SSL_write(ssl, message, MESSAGE) : (int)send(fd, message, MESSAGE, 0);
        int got =
            head ? SSL_read(ssl, message, MESSAGE) : (int)recv(fd, message, MESSAGE, MSG_WAITALL);
        CHECK(sent == MESSAGE && got == MESSAGE);
        ns[i] = wall_ns() - from;
    }
    if (head)
        (void)SSL_shutdown(ssl);
    (void)shutdown(fd, SHUT_WR);
    CHECK(pthread_join(thread, NULL) == 0);
    SSL_free(ssl);
    SSL_CTX_free(c);
    (void)close(fd);
    qsort(ns, TRIPS, sizeof ns[0], by_size);
    return ns[TRIPS / 2];
}

static int trips(const char *proxy, const char *target, const char *head)
{
    int listener = listen_here(target);
    uint64_t direct = p50_of_trips(listener, connect_to(target), NULL);
    uint64_t through = p50_of_trips(listener, connect_to(proxy), head);
    (void)printf("%llu %llu\n", (unsigned long long)direct, (unsigned long long)through);
    return 0;
}

struct opener {
    pthread_t thread;
    SSL_CTX *context;
    const char *proxy;
    const char *head;
    int count;
};

static void *run_opener(void *ctx)
{
    struct opener *o = ctx;
    for (int i = 0; i < o->count; i++) {
        SSL *ssl = SSL_new(o->context); /* until the process ends */
        CHECK(SSL_set_fd(ssl, connect_to(o->proxy)) && SSL_connect(ssl) == 1);
        ask(ssl, o->head);
    }
    return NULL;
}

static int open_many(const char *proxy, const char *count, const char *clients, const char *head)
{
    struct opener openers[OPENERS_MAX];
    int n = atoi(clients);
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    CHECK(n > 0 && n <= OPENERS_MAX && atoi(count) % n == 0);
    for (int i = 0; i < n; i++) {
        openers[i] =
            (struct opener){.context = c, .proxy = proxy, .head = head, .count = atoi(count) / n};
        CHECK(pthread_create(&openers[i].thread, NULL, run_opener, &openers[i]) == 0);
    }
    for (int i = 0; i < n; i++)
        CHECK(pthread_join(openers[i].thread, NULL) == 0);
    (void)printf("%s\n", count);
    (void)fflush(stdout);
    return getchar() == EOF ? 0 : 1;
}

static void *run_clients(void *ctx)
{
    const struct peer *p = ctx;
    AUTO_FREE char *port = mem_printf("%d", p->fd);
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    for (int i = 0; i < atoi(p->head); i++) {
        SSL *ssl = SSL_new(c);
        char byte;
        CHECK(SSL_set_fd(ssl, connect_to(port)) && SSL_connect(ssl) == 1);
        CHECK(SSL_write(ssl, "x", 1) == 1 && SSL_read(ssl, &byte, 1) <= 0);
        (void)close(SSL_get_fd(ssl));
        SSL_free(ssl);
    }
    SSL_CTX_free(c);
    return NULL;
}

/* What cannot be done without. */
static int handshakes(const char *count)
{
    int listener = listen_here("0");
    int target = listen_here("0");
    struct address a = listen_address(listener);
    struct address b = listen_address(target);
    AUTO_FREE char *port = mem_printf("%u", b.port);
    struct peer clients = {.fd = a.port, .head = count};
    SSL_CTX *c = SSL_CTX_new(TLS_method());
    uint64_t ns = 0;
    use_certificate(c);
    CHECK(pthread_create(&clients.thread, NULL, run_clients, &clients) == 0);
    for (int i = 0; i < atoi(count); i++) {
        char byte;
        uint64_t from = cpu_ns();
        int fd = accept(listener, NULL, NULL);
        SSL *ssl = SSL_new(c);
        CHECK(SSL_set_fd(ssl, fd) && SSL_accept(ssl) == 1 && SSL_read(ssl, &byte, 1) == 1);
        int up = connect_to(port);
        ns += cpu_ns() - from;
        (void)close(accept(target, NULL, NULL));
        (void)close(up);
        SSL_free(ssl);
        (void)close(fd);
    }
    CHECK(pthread_join(clients.thread, NULL) == 0);
    SSL_CTX_free(c);
    (void)printf("%llu\n", (unsigned long long)(ns / (uint64_t)atoi(count)));
    return 0;
}

static int all(struct loop *l)
{
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *tls =
        make_server(&(struct tls_server_spec){.chains = &chain, .chain_count = 1});
    measure(l, tls, true);
    measure(l, tls, false);
    tls_unref(tls);
    return 0;
}

int main(int argc, char **argv)
{
    struct loop l;
    int status = 2;
    loop_init(&l);
    certs_init(&certs);
    bool up = argc > 2 && strcmp(argv[2], "up") == 0;
    if (argc == 1)
        status = all(&l);
    else if (argc == 5 && strcmp(argv[1], "bare") == 0)
        status = bare_proxy(up, argv[3], argv[4]);
    else if (argc == 6 && strcmp(argv[1], "drive") == 0)
        status = drive(up, argv[3], argv[4], argv[5]);
    else if (argc == 5 && strcmp(argv[1], "rtt") == 0)
        status = trips(argv[2], argv[3], argv[4]);
    else if (argc == 6 && strcmp(argv[1], "open") == 0)
        status = open_many(argv[2], argv[3], argv[4], argv[5]);
    else if (argc == 3 && strcmp(argv[1], "handshakes") == 0)
        status = handshakes(argv[2]);
    certs_fini(&certs);
    loop_fini(&l);
    return status;
}
