/*
 * Tunnels on a loop: an authorize that does what a test tells it, a client that is a few functions,
 * and targets that are threads with blocking sockets.
 */
#ifndef TESTS_UNIT_PROXY_TUNNEL_FIXTURE_H
#define TESTS_UNIT_PROXY_TUNNEL_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>

#include "proxy/tunnel.h"
#include "tests/unit/proxy/fixture.h"

enum { BENCH_ENDPOINTS = 8, BENCH_GOT_MAX = 256 << 20 };

struct bench {
    struct fixture f; /* for its loop, its certificates and its configuration */
    struct tunnels *tunnels;
    Postern__Decision__Verdict verdict;
    Postern__Decision__Cause cause;
    char sentence[128];
    char body[64];
    char authority[128]; /* of the last check, as the next */
    char token[128];
    char source[64];
    char protocol[8];
    /* the cluster "r1" */
    Postern__Cluster cluster;
    Postern__Endpoint endpoints[BENCH_ENDPOINTS];
    Postern__Endpoint *list[BENCH_ENDPOINTS];
    char addresses[BENCH_ENDPOINTS][64];
    Postern__UpstreamTls tls;
    Postern__OutlierDetection outlier;
};

/* --- the authorize --- */

static inline void bench_routes(struct bench *b)
{
    Postern__Cluster *clusters[] = {&b->cluster};
    Postern__RouteTable routes = POSTERN__ROUTE_TABLE__INIT;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_ROUTES;
    m.routes = &routes;
    routes.config_hash = (char *)(uintptr_t) "test";
    routes.more = true; /* in two parts */
    fixture_send(&b->f, &m);
    routes.more = false;
    routes.n_clusters = 1;
    routes.clusters = clusters;
    fixture_send(&b->f, &m);
}

static inline void bench_decide(struct bench *b)
{
    Postern__Decision d = POSTERN__DECISION__INIT;
    Postern__Login login = POSTERN__LOGIN__INIT;
    login.url = (char *)(uintptr_t)FIXTURE_URL;
    d.connection_id = b->f.connection;
    d.attempt = b->f.attempt;
    d.verdict = b->verdict;
    d.cause = b->cause;
    d.sentence = b->sentence;
    d.session_id = d.user_id = (char *)(uintptr_t) "someone";
    d.route_id = (char *)(uintptr_t) "r1";
    d.body = (ProtobufCBinaryData){strlen(b->body), (uint8_t *)b->body};
    if (b->verdict == POSTERN__DECISION__VERDICT__LOGIN)
        d.login = &login;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_DECISION;
    m.decision = &d;
    fixture_send(&b->f, &m);
}

static inline void bench_on_check(struct bench *b, const Postern__Check *c)
{
    b->f.checks++;
    b->f.attempt = c->attempt;
    assert_null(c->ssh);
    (void)snprintf(b->f.connection, sizeof b->f.connection, "%s", c->connection_id);
    (void)snprintf(b->authority, sizeof b->authority, "%s", c->tunnel->authority);
    (void)snprintf(b->token, sizeof b->token, "%.*s", (int)c->tunnel->token.len,
                   (const char *)c->tunnel->token.data);
    (void)snprintf(b->source, sizeof b->source, "%s", c->source_address);
    (void)snprintf(b->protocol, sizeof b->protocol, "%s", c->protocol);
    if (!b->f.is_mute)
        bench_decide(b);
}

static inline void bench_on_message(struct rpc_call *call, const ProtobufCMessage *message,
                                    void *ctx)
{
    struct bench *b = ctx;
    const Postern__WorkerMessage *m = (const Postern__WorkerMessage *)message;
    b->f.call = call;
    if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_HELLO) {
        fixture_hello(&b->f); /* with an empty table */
        bench_routes(b);
    } else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_CHECK) {
        bench_on_check(b, m->check);
    } else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_REGISTER) {
        b->f.registers++;
        for (size_t i = 0; i < m->register_->n_connections; i++) {
            const Postern__RegisteredConnection *c = m->register_->connections[i];
            b->f.live_registered += c->live;
            assert_string_equal((const char *)c->check->tunnel->authority, b->authority);
            assert_int_equal(c->check->tunnel->token.len, strlen(b->token));
        }
    } else {
        fixture_on_message(call, message, &b->f);
    }
}

static inline void bench_on_open(struct rpc_call *call, void *ctx)
{
    fixture_on_open(call, &((struct bench *)ctx)->f);
}

static inline void bench_on_end(struct rpc_call *call, bool cancelled, void *ctx)
{
    fixture_on_end(call, cancelled, &((struct bench *)ctx)->f);
}

static inline void bench_start_authorize(struct bench *b)
{
    static struct rpc_method methods[1];
    methods[0] = (struct rpc_method){.service = &postern__decide__descriptor,
                                     .name = "Stream",
                                     .kind = RPC_BIDI,
                                     .callers = RPC_CALLER_PROXY,
                                     .on_open = bench_on_open,
                                     .on_message = bench_on_message,
                                     .on_end = bench_on_end};
    char address[64];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", b->f.authorize_port);
    struct rpc_server_config c = {
        .address = address,
        .identity = {b->f.ca.cert_pem, b->f.ids[0].cert_pem, b->f.ids[0].key_pem},
        .methods = methods,
        .count = 1,
        .ctx = b};
    CHECK_OK(rpc_server_open(b->f.rpc, &c, &b->f.server));
}

/* --- targets --- */

struct target {
    int fd;
    uint16_t port;
    pthread_t thread;
    void (*serve)(struct target *t, int fd);
    int connections;          /* it serves that many */
    struct buf got;           /* what came on all of them */
    int end;                  /* errno of the last recv; 0: FIN */
    size_t amount;            /* for serve */
    _Atomic bool is_released; /* for serve */
    _Atomic bool is_done;
};

static inline void *target_run(void *arg)
{
    struct target *t = arg;
    for (int i = 0; i < t->connections; i++) {
        int fd = accept(t->fd, NULL, NULL);
        if (fd < 0)
            break;
        t->serve(t, fd);
        (void)close(fd);
    }
    t->is_done = true;
    return NULL;
}

static inline void target_start(struct target *t, void (*serve)(struct target *, int),
                                int connections)
{
    char *why = NULL;
    *t = (struct target){.serve = serve, .connections = connections};
    buf_init(&t->got, BENCH_GOT_MAX);
    CHECK_OK(listen_bind("127.0.0.1:0", &t->fd, &why));
    t->port = listen_address(t->fd).port;
    /* The thread blocks. */
    int flags = fcntl(t->fd, F_GETFL);
    assert_int_equal(fcntl(t->fd, F_SETFL, flags & ~O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&t->thread, NULL, target_run, t), 0);
}

/* When its last connection has ended; `got` stays. */
static inline void target_join(struct bench *b, struct target *t)
{
    (void)shutdown(t->fd, SHUT_RDWR);
    UNTIL(&b->f, t->is_done);
    (void)pthread_join(t->thread, NULL);
    (void)close(t->fd);
}

static inline void target_stop(struct bench *b, struct target *t)
{
    target_join(b, t);
    buf_fini(&t->got);
}

/* Reads all that comes, to the end. */
static inline void target_read(struct target *t, int fd)
{
    uint8_t *ptr;
    ssize_t n;
    do {
        CHECK(buf_reserve(&t->got, 65536, &ptr) == OK);
        n = recv(fd, ptr, 65536, 0);
        if (n > 0)
            buf_commit(&t->got, (size_t)n);
    } while (n > 0);
    t->end = n < 0 ? errno : 0;
}

static inline void target_send(int fd, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const uint8_t *)bytes + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += (size_t)n;
    }
}

/* --- the client --- */

struct client {
    struct tunnel *tunnel;
    struct buf got;
    size_t room; /* what it takes now */
    size_t most; /* that it was offered while it had no room */
    bool is_accepted;
    bool is_refused;
    bool is_paused;
    bool is_finished;
    bool is_closed;
    enum tunnel_cause cause;
    char id[DECIDE_ID_LEN + 1];
    char sentence[512];
    char url[256];
};

static inline void client_accept(void *ctx, const char *id)
{
    struct client *c = ctx;
    c->is_accepted = true;
    (void)snprintf(c->id, sizeof c->id, "%s", id);
}

static inline void client_refuse(void *ctx, const struct tunnel_refusal *r)
{
    struct client *c = ctx;
    assert_false(c->is_accepted);
    c->is_refused = true;
    c->cause = r->cause;
    (void)snprintf(c->sentence, sizeof c->sentence, "%s", r->sentence);
    (void)snprintf(c->url, sizeof c->url, "%s", r->url);
}

static inline enum err client_write(void *ctx, struct view bytes)
{
    struct client *c = ctx;
    assert_false(c->is_closed);
    assert_false(c->is_finished);
    if (bytes.len > c->room)
        return ERR_LIMIT;
    c->room -= bytes.len;
    CHECK_OK(buf_append(&c->got, bytes));
    return OK;
}

static inline size_t client_room(void *ctx)
{
    return ((struct client *)ctx)->room;
}

static inline void client_pause(void *ctx)
{
    ((struct client *)ctx)->is_paused = true;
}

static inline void client_resume(void *ctx)
{
    ((struct client *)ctx)->is_paused = false;
}

static inline void client_finish(void *ctx)
{
    ((struct client *)ctx)->is_finished = true;
}

static inline void client_close(void *ctx, const char *reason)
{
    struct client *c = ctx;
    assert_true(c->is_accepted);
    assert_false(c->is_closed);
    c->is_closed = true;
    (void)snprintf(c->sentence, sizeof c->sentence, "%s", reason);
}

static const struct tunnel_client client_functions = {
    .accept = client_accept,
    .refuse = client_refuse,
    .write = client_write,
    .room = client_room,
    .pause = client_pause,
    .resume = client_resume,
    .finish = client_finish,
    .close = client_close,
};

static inline void client_open_with(struct bench *b, struct client *c, enum tunnel_kind kind,
                                    const struct tunnel_client *functions)
{
    static const struct address peer = {.family = ADDRESS_V4, .ip = {203, 0, 113, 7}, .port = 4711};
    const struct tunnel_ask ask = {
        .authority = VIEW("db.example.com:5432"),
        .method = VIEW("CONNECT"),
        .token = VIEW("a.b.c"),
        .token_place = TUNNEL_TOKEN_HEADER,
        .user_agent = VIEW("test"),
        .request_id = "req-1",
        .peer = &peer,
        .http = "HTTP/1.1",
    };
    *c = (struct client){.room = SIZE_MAX / 2};
    buf_init(&c->got, BENCH_GOT_MAX);
    c->tunnel = tunnel_open(b->tunnels, kind, &ask, functions, c);
}

static inline void client_open(struct bench *b, struct client *c, enum tunnel_kind kind)
{
    client_open_with(b, c, kind, &client_functions);
}

static inline void client_fini(struct client *c)
{
    buf_fini(&c->got);
}

/* --- setup --- */

/* The cluster's endpoints are the ports at 127.0.0.1. */
static inline void bench_endpoints(struct bench *b, const uint16_t *ports, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(b->addresses[i], sizeof b->addresses[i], "127.0.0.1:%u", ports[i]);
        postern__endpoint__init(&b->endpoints[i]);
        b->endpoints[i].address = b->addresses[i];
        b->endpoints[i].weight = 1;
        b->list[i] = &b->endpoints[i];
    }
    b->cluster.endpoints = b->list;
    b->cluster.n_endpoints = count;
}

static inline void bench_init(struct bench *b)
{
    fixture_init(&b->f);
    b->verdict = POSTERN__DECISION__VERDICT__ALLOW;
    postern__cluster__init(&b->cluster);
    postern__upstream_tls__init(&b->tls);
    postern__outlier_detection__init(&b->outlier);
    b->cluster.route_id = (char *)(uintptr_t) "r1";
    b->cluster.route = (char *)(uintptr_t) "tcp+https://db.example.com:5432";
    b->cluster.connect_timeout_ms = 5000;
}

/* What was sent to the worker has come: it answers a cut that it does not know. */
static inline void bench_settle(struct bench *b)
{
    unsigned before = b->f.cut_dones;
    (void)snprintf(b->f.connection, sizeof b->f.connection, "%032d", 0);
    fixture_cut(&b->f, "nobody");
    UNTIL(&b->f, b->f.cut_dones > before);
}

/* Everything runs; the cluster is in force. */
static inline void bench_open(struct bench *b)
{
    struct ssh_service_host host = {
        .loop = &b->f.loop,
        .rpc = b->f.rpc,
        .instance_id = "0123456789abcdef0123456789abcdef",
        .build = "0.1.0",
        .on_authorize = fixture_on_authorize,
        .ctx = &b->f,
    };
    char *why = NULL;
    bench_start_authorize(b);
    b->f.service = ssh_service_new(&host);
    CHECK_OK(ssh_service_start(b->f.service, b->f.config, -1, &why));
    const struct tunnels_host t = {&b->f.loop, ssh_service_decide(b->f.service), &b->f.rng};
    b->tunnels = tunnels_new(&t);
    tunnels_configure(b->tunnels, b->f.config);
    fixture_until(&b->f, &b->f.connected, "the Decide stream");
    bench_settle(b);
}

static inline void bench_stop(struct bench *b)
{
    bool stopped = false;
    if (!b->tunnels)
        return;
    tunnels_stop(b->tunnels, fixture_flag, &stopped);
    fixture_until(&b->f, &stopped, "the tunnels' end");
    tunnels_free(b->tunnels);
    b->tunnels = NULL;
}

static inline void bench_fini(struct bench *b)
{
    bench_stop(b);
    fixture_fini(&b->f);
}

static inline int bench_setup(void **state)
{
    struct bench *b = mem_zalloc(sizeof *b);
    bench_init(b);
    *state = b;
    return 0;
}

static inline int bench_teardown(void **state)
{
    bench_fini(*state);
    mem_free(*state);
    return 0;
}

#endif
