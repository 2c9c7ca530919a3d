/*
 * The front on a loop, with a browser (or any client) by TLS and an authenticate that does what a
 * test wants.
 */
#ifndef TESTS_UNIT_PROXY_FRONT_FIXTURE_H
#define TESTS_UNIT_PROXY_FRONT_FIXTURE_H

#include "common/http/fields.h"
#include "common/io/httpd.h"
#include "proxy/front.h"
#include "tests/unit/common/io/io_fixture.h"

static struct certs certs;
static struct x509_pair authenticate_pair;

struct fixture {
    struct loop loop;
    struct front *front;
    char target[ADDRESS_TEXT_MAX];
    struct httpd *authenticate;
    char authenticate_target[ADDRESS_TEXT_MAX];
    struct front_settings settings; /* beyond contexts and addresses; set by begin_with */
    bool is_plain;                  /* no TLS */
    bool has_h2;
    struct tls_context *browser_tls;
    struct side browser;
    char seen[2000];
    int requests;
    struct httpd_reply *late;
    bool front_closed;
    bool httpd_closed;
    bool drained;
    /* An authenticate whose bytes the test writes itself. */
    struct listener *raw_listener;
    struct tls_context *raw_tls;
    struct side raw;
};

static inline void on_request(void *ctx, const struct httpd_request *r, struct httpd_reply *reply)
{
    struct fixture *f = ctx;
    struct buf text;
    buf_init(&text, sizeof f->seen - 1);
    f->requests++;
    CHECK_OK(buf_printf(&text, "%.*s %.*s uri=%s body=%zu:%.*s\n", VIEW_FMT(r->method),
                        VIEW_FMT(r->target), r->peer_uri, r->body.len,
                        VIEW_FMT(view_take(r->body, 20))));
    CHECK_OK(fields_write(r->fields, &text));
    memset(f->seen, 0, sizeof f->seen);
    memcpy(f->seen, buf_ptr(&text), text.len);
    buf_fini(&text);
    if (view_eq_str(r->target, "/late")) {
        f->late = reply;
        return;
    }
    AUTO(fields_fini) struct fields fields = {0};
    CHECK_OK(fields_add_str(&fields, "Set-Cookie", "session=1"));
    CHECK_OK(fields_add_str(&fields, "Keep-Alive", "timeout=5"));
    if (view_eq_str(r->target, "/big")) {
        char *big = mem_zalloc(HTTPD_RESPONSE_MAX);
        memset(big, 'x', HTTPD_RESPONSE_MAX);
        httpd_reply_send(reply, 200, &fields, view_of(big, HTTPD_RESPONSE_MAX));
        mem_free(big);
        return;
    }
    httpd_reply_send(reply, 200, &fields, VIEW("page"));
}

static inline struct tls_context *service_tls(const struct x509_pair *pair)
{
    const struct tls_chain chain = {pair->cert_pem, pair->key_pem};
    return make_server(&(struct tls_server_spec){.chains = &chain,
                                                 .chain_count = 1,
                                                 .client_ca_pem = certs.ca.cert_pem,
                                                 .client_uri = "postern://service/proxy",
                                                 .alpn_http1 = true});
}

static inline int bind_any(char target[ADDRESS_TEXT_MAX])
{
    int fd;
    char *why = NULL;
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    struct address a = listen_address(fd);
    address_text(&a, target);
    return fd;
}

static inline void open_front(struct fixture *f)
{
    const struct tls_chain chain = {certs.web.cert_pem, certs.web.key_pem};
    struct tls_context *server = make_server(&(struct tls_server_spec){
        .chains = &chain, .chain_count = 1, .alpn_http1 = true, .alpn_h2 = f->has_h2});
    struct tls_context *client =
        make_client(&(struct tls_client_spec){.ca_pem = certs.ca.cert_pem,
                                              .server_uri = "postern://service/authenticate",
                                              .chain_pem = certs.proxy.cert_pem,
                                              .key_pem = certs.proxy.key_pem,
                                              .alpn_http1 = true});
    struct front_settings settings = f->settings;
    settings.server = f->is_plain ? NULL : server;
    settings.client = client;
    settings.authenticate_host = "auth.test";
    settings.authenticate_target = f->authenticate_target;
    struct rng rng = rng_system();
    f->front = front_open(&f->loop, bind_any(f->target), &rng, &settings);
    tls_unref(server);
    tls_unref(client);
}

static inline void connect_side(struct fixture *f, struct side *side)
{
    struct socket_pair p = {-1, -1};
    *side = (struct side){0};
    (void)dial_open(&f->loop, f->target, 0, pair_on_dial, &p);
    WAIT(&f->loop, p.client >= 0);
    side_start(side,
               &(struct stream_spec){.loop = &f->loop,
                                     .tls = f->is_plain ? NULL : f->browser_tls,
                                     .server_name = "localhost",
                                     .queue_max = 8 << 20},
               p.client);
}

static inline void connect_browser(struct fixture *f)
{
    connect_side(f, &f->browser);
}

static inline void on_raw(void *ctx, int fd, const struct address *peer)
{
    struct fixture *f = ctx;
    (void)peer;
    assert_null(f->raw.s);
    side_start(&f->raw,
               &(struct stream_spec){.loop = &f->loop, .tls = f->raw_tls, .queue_max = 64 << 20},
               fd);
}

enum authenticate { HTTPD, RAW, NOBODY, IMPOSTOR };

/* `f` is zeroed, or says what is wanted. */
static inline void begin_with(struct fixture *f, enum authenticate kind)
{
    f->raw.closed = f->httpd_closed = true;
    loop_init(&f->loop);
    f->browser_tls = make_client(&(struct tls_client_spec){
        .ca_pem = certs.ca.cert_pem, .alpn_http1 = f->has_h2, .alpn_h2 = f->has_h2});
    int fd = bind_any(f->authenticate_target);
    if (kind == NOBODY) {
        (void)close(fd);
    } else if (kind == RAW) {
        f->raw = (struct side){0};
        f->raw_tls = service_tls(&authenticate_pair);
        f->raw_listener = listener_open(&f->loop, fd, on_raw, f);
    } else {
        struct tls_context *tls = service_tls(kind == HTTPD ? &authenticate_pair : &certs.proxy);
        f->authenticate = httpd_open(
            &(struct httpd_spec){.loop = &f->loop, .tls = tls, .on_request = on_request, .ctx = f},
            fd);
        tls_unref(tls);
        f->httpd_closed = false;
    }
    open_front(f);
    connect_browser(f);
}

static inline void begin(struct fixture *f, enum authenticate kind)
{
    *f = (struct fixture){0};
    begin_with(f, kind);
}

static inline void set_true(void *ctx)
{
    *(bool *)ctx = true;
}

static inline void end(struct fixture *f)
{
    side_end(&f->loop, &f->browser);
    if (f->front)
        front_close(f->front, set_true, &f->front_closed);
    WAIT(&f->loop, f->front_closed);
    if (f->raw_listener) {
        listener_close(f->raw_listener);
        if (f->raw.in.max)
            side_end(&f->loop, &f->raw);
        tls_unref(f->raw_tls);
    }
    if (f->authenticate)
        httpd_close(f->authenticate, 0, set_true, &f->httpd_closed);
    WAIT(&f->loop, f->httpd_closed);
    tls_unref(f->browser_tls);
    loop_fini(&f->loop);
}

static inline void say(struct fixture *f, const char *text)
{
    CHECK_OK(stream_write(f->browser.s, view_str(text)));
}

static inline bool has(const struct side *s, const char *text)
{
    return view_search(buf_view(&s->in), view_str(text)) >= 0;
}

static inline void spin(struct fixture *f, int turns)
{
    for (int i = 0; i < turns; i++)
        (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
}

#define FIXTURE_RUN(tests)                                                                         \
    ({                                                                                             \
        static const char *const uris[] = {"postern://service/authenticate", NULL};                \
        certs_init(&certs);                                                                        \
        certs_leaf(&certs.ca, uris, NULL, NULL, &authenticate_pair);                               \
        int failed = RUN(tests);                                                                   \
        x509_pair_fini(&authenticate_pair);                                                        \
        certs_fini(&certs);                                                                        \
        failed;                                                                                    \
    })

#endif
