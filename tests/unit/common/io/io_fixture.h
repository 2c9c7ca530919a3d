/* What the tests of common/io share: a loop with a guard, two ends of a connection, certificates.
 */
#ifndef TESTS_UNIT_COMMON_IO_IO_FIXTURE_H
#define TESTS_UNIT_COMMON_IO_IO_FIXTURE_H

#include <sys/socket.h>
#include <unistd.h>

#include "common/crypto/x509.h"
#include "common/io/dial.h"
#include "common/io/listen.h"
#include "common/io/loop.h"
#include "common/io/stream.h"
#include "common/io/tls.h"
#include "tests/support/test.h"

enum { GUARD_MS = 60000, SIDE_MAX = 64 << 20 };

/* Turns the loop until `cond`; a test that hangs fails with its place. */
#define WAIT(loop, cond)                                                                           \
    do {                                                                                           \
        uint64_t wait_end_ = loop_clock_ms() + GUARD_MS;                                           \
        while (!(cond)) {                                                                          \
            (void)uv_run(&(loop)->uv, UV_RUN_NOWAIT);                                              \
            if (loop_clock_ms() > wait_end_)                                                       \
                fail_msg("%s:%d: never: %s", __FILE__, __LINE__, #cond);                           \
            if (!(cond))                                                                           \
                (void)usleep(200);                                                                 \
        }                                                                                          \
    } while (0)

/* One end of a connection and what it has seen. */
struct side {
    struct stream *s;
    struct buf in;
    bool opened;
    bool ended;
    bool failed;
    enum err why;
    bool closed;
    int drains;
    bool close_on_read;
    bool abort_on_read;
    bool pause_on_read;
    bool close_on_open;
};

static inline void side_closed(void *ctx)
{
    struct side *e = ctx;
    e->closed = true;
}

static inline void side_close(struct side *e)
{
    if (e->s)
        stream_close(e->s, 0, side_closed, e);
    e->s = NULL;
}

static inline void side_on_open(void *ctx)
{
    struct side *e = ctx;
    assert_false(e->opened);
    e->opened = true;
    if (e->close_on_open)
        side_close(e);
}

static inline void side_on_read(void *ctx, struct view bytes)
{
    struct side *e = ctx;
    assert_true(e->opened && bytes.len > 0 && !e->ended && !e->failed);
    CHECK_OK(buf_append(&e->in, bytes));
    if (e->pause_on_read)
        stream_pause(e->s);
    if (e->close_on_read)
        side_close(e);
    if (e->abort_on_read) {
        stream_abort(e->s, side_closed, e);
        e->s = NULL;
    }
}

static inline void side_on_drain(void *ctx)
{
    struct side *e = ctx;
    e->drains++;
}

static inline void side_on_end(void *ctx, enum err why)
{
    struct side *e = ctx;
    assert_false(e->failed);
    if (why == OK)
        e->ended = true;
    else
        e->failed = true;
    e->why = why;
}

static const struct stream_handler side_handler = {.on_open = side_on_open,
                                                   .on_read = side_on_read,
                                                   .on_drain = side_on_drain,
                                                   .on_end = side_on_end};

static inline void side_start(struct side *e, const struct stream_spec *spec, int fd)
{
    buf_init(&e->in, SIDE_MAX);
    e->s = stream_new(spec, fd, &side_handler, e);
}

/* Closes what is open and frees. */
static inline void side_end(struct loop *l, struct side *e)
{
    if (e->s) {
        stream_abort(e->s, side_closed, e);
        e->s = NULL;
    }
    WAIT(l, e->closed);
    buf_fini(&e->in);
}

/* Two connected TCP sockets on loopback. */
struct socket_pair {
    int client;
    int server;
};

static inline void pair_on_accept(void *ctx, int fd, const struct address *peer)
{
    struct socket_pair *p = ctx;
    assert_true(address_is_loopback(peer));
    p->server = fd;
}

static inline void pair_on_dial(void *ctx, const struct dial_result *r)
{
    struct socket_pair *p = ctx;
    CHECK_OK(r->err);
    p->client = r->fd;
}

static inline struct socket_pair socket_pair(struct loop *l)
{
    struct socket_pair p = {-1, -1};
    int fd;
    char *why = NULL;
    char target[ADDRESS_TEXT_MAX];
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    struct address a = listen_address(fd);
    address_text(&a, target);
    struct listener *ls = listener_open(l, fd, pair_on_accept, &p);
    (void)dial_open(l, target, 0, pair_on_dial, &p);
    WAIT(l, p.client >= 0 && p.server >= 0);
    listener_close(ls);
    return p;
}

/* Certificates made once per program. */
struct certs {
    struct x509_pair ca;
    struct x509_pair other_ca;
    struct x509_pair proxy;   /* URI postern://service/proxy */
    struct x509_pair two;     /* two URI names */
    struct x509_pair foreign; /* as proxy, by other_ca */
    struct x509_pair text;    /* DNS name "postern://service/proxy" would be malformed: "proxy" */
    struct x509_pair web;     /* DNS localhost, IP 127.0.0.1 */
    struct x509_pair second;  /* DNS second.test */
};

static inline void certs_leaf(const struct x509_pair *ca, const char *const *uris,
                              const char *const *dns, const char *const *ips, struct x509_pair *out)
{
    uint64_t now = loop_wall_ms();
    const struct x509_leaf leaf = {.common_name = "test",
                                   .uris = uris,
                                   .dns = dns,
                                   .ips = ips,
                                   .not_before_at = now - 3600000,
                                   .not_after_at = now + 3600000,
                                   .server_auth = true,
                                   .client_auth = true};
    CHECK_OK(x509_make_leaf(ca, &leaf, out));
}

static inline void certs_init(struct certs *c)
{
    static const char *const proxy[] = {"postern://service/proxy", NULL};
    static const char *const two[] = {"postern://service/proxy", "postern://service/x", NULL};
    static const char *const text[] = {"proxy", NULL};
    static const char *const web[] = {"localhost", NULL};
    static const char *const web_ip[] = {"127.0.0.1", NULL};
    static const char *const second[] = {"second.test", NULL};
    uint64_t now = loop_wall_ms();
    CHECK_OK(x509_make_ca("test ca", now - 3600000, now + 3600000, &c->ca));
    CHECK_OK(x509_make_ca("other ca", now - 3600000, now + 3600000, &c->other_ca));
    certs_leaf(&c->ca, proxy, NULL, NULL, &c->proxy);
    certs_leaf(&c->ca, two, NULL, NULL, &c->two);
    certs_leaf(&c->other_ca, proxy, NULL, NULL, &c->foreign);
    certs_leaf(&c->ca, NULL, text, NULL, &c->text);
    certs_leaf(&c->ca, NULL, web, web_ip, &c->web);
    certs_leaf(&c->ca, NULL, second, NULL, &c->second);
}

static inline void certs_fini(struct certs *c)
{
    x509_pair_fini(&c->ca);
    x509_pair_fini(&c->other_ca);
    x509_pair_fini(&c->proxy);
    x509_pair_fini(&c->two);
    x509_pair_fini(&c->foreign);
    x509_pair_fini(&c->text);
    x509_pair_fini(&c->web);
    x509_pair_fini(&c->second);
}

static inline struct tls_context *make_server(const struct tls_server_spec *spec)
{
    struct tls_context *t = NULL;
    char *why = NULL;
    enum err e = tls_server_new(spec, &t, &why);
    if (e != OK)
        fail_msg("tls_server_new: %s", why);
    return t;
}

static inline struct tls_context *make_client(const struct tls_client_spec *spec)
{
    struct tls_context *t = NULL;
    char *why = NULL;
    enum err e = tls_client_new(spec, &t, &why);
    if (e != OK)
        fail_msg("tls_client_new: %s", why);
    return t;
}

#endif
