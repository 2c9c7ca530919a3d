/*
 * The SSH service on a loop, with an authorize that does what a test tells it, a real sshd as the
 * target and real ssh as the client. Signatures come from keys in this process.
 */
#ifndef TESTS_UNIT_PROXY_FIXTURE_H
#define TESTS_UNIT_PROXY_FIXTURE_H

#include <arpa/inet.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/wire.h"
#include "common/crypto/cert.h"
#include "common/crypto/x509.h"
#include "common/io/listen.h"
#include "common/rpc/server.h"
#include "proto/postern/decide.pb-c.h"
#include "proxy/ssh/transport.h"
#include "proxy/ssh_service.h"
#include "tests/support/test.h"

enum { FIXTURE_TEXT = 1 << 20, FIXTURE_WAIT_MS = 30000, FIXTURE_ARGS = 40 };

#define FIXTURE_URL "https://auth.test/.pomerium/sign_in?user_code=abcdef"

/* --- processes --- */

struct process {
    uv_process_t uv;
    uv_pipe_t out;
    uv_pipe_t err;
    struct buf out_text;
    struct buf err_text;
    int64_t status;
    unsigned open; /* handles */
    bool exited;
};

struct fixture {
    struct loop loop;
    struct rpc *rpc;
    struct ssh_service *service;
    struct worker_config *config;
    struct x509_pair ca;
    struct x509_pair ids[2];
    char folder[64];
    const char *login;
    /* keys */
    struct rng rng;
    struct private_key host_key;
    struct private_key target_key;
    struct private_key user_ca;
    struct private_key user_key;
    /* addresses */
    uint16_t ssh_port;
    uint16_t target_port;
    struct process sshd;
    /* the authorize */
    struct rpc_server *server;
    uint16_t authorize_port;
    struct rpc_call *call; /* the present stream */
    unsigned streams;
    unsigned checks;
    unsigned cancels;
    unsigned certifies;
    unsigned cut_dones;
    unsigned closeds;
    unsigned registers;
    unsigned live_registered;
    unsigned waiting_registered;
    unsigned next_keys; /* how many checks are answered with TRY_NEXT_KEY */
    bool is_mute;       /* takes, says nothing */
    bool wants_login;   /* the next check is answered with LOGIN */
    bool refuses;       /* Certify gets Refusal */
    bool wrong_ca;      /* certificates by a CA that nobody trusts */
    const char *denies; /* sentence */
    bool is_shell;      /* ssh names no route */
    bool holds_shell;   /* ShellCommand gets no answer */
    unsigned shell_commands;
    uint32_t shell_request;
    Postern__ShellCommand__Verb shell_verb;
    char connection[64];
    uint32_t attempt;
    char last_route[64];
    char last_version[128];
    char code[64];
    char reason[256];
    uint64_t bytes_in;
    uint64_t bytes_out;
    bool connected;
    bool stopped;
    bool drained;
    bool alarmed;
};

/* --- waiting --- */

static inline void fixture_alarm(uv_timer_t *t)
{
    *(bool *)t->data = true;
}

/* Turns the loop until *flag. */
static inline void fixture_until(struct fixture *f, const bool *flag, const char *what)
{
    bool late = false;
    uv_timer_t t;
    CHECK(uv_timer_init(&f->loop.uv, &t) == 0);
    t.data = &late;
    CHECK(uv_timer_start(&t, fixture_alarm, FIXTURE_WAIT_MS, 0) == 0);
    while (!*flag && !late)
        (void)uv_run(&f->loop.uv, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&t, NULL);
    (void)uv_run(&f->loop.uv, UV_RUN_NOWAIT);
    if (!*flag)
        fail_msg("waited in vain for %s", what);
}

/* The timer repeats: one that is due when the loop is entered would fire before it waits. */
#define UNTIL(f, condition)                                                                        \
    do {                                                                                           \
        uint64_t end_ = loop_clock_ms() + FIXTURE_WAIT_MS;                                         \
        while (!(condition)) {                                                                     \
            bool flag_ = false;                                                                    \
            uv_timer_t t_;                                                                         \
            uv_update_time(&(f)->loop.uv); /* else it fires before the wait, which has no end */   \
            CHECK(uv_timer_init(&(f)->loop.uv, &t_) == 0);                                         \
            t_.data = &flag_;                                                                      \
            CHECK(uv_timer_start(&t_, fixture_alarm, 50, 50) == 0);                                \
            (void)uv_run(&(f)->loop.uv, UV_RUN_ONCE);                                              \
            uv_close((uv_handle_t *)&t_, NULL);                                                    \
            (void)uv_run(&(f)->loop.uv, UV_RUN_NOWAIT);                                            \
            if (loop_clock_ms() > end_)                                                            \
                fail_msg("waited in vain for %s", #condition);                                     \
        }                                                                                          \
    } while (0)

/* --- processes --- */

static inline void process_closed(uv_handle_t *h)
{
    ((struct process *)h->data)->open--;
}

static inline void process_exit(uv_process_t *uv, int64_t status, int signal)
{
    struct process *p = uv->data;
    p->status = signal ? 128 + signal : status;
    p->exited = true;
    uv_close((uv_handle_t *)uv, process_closed);
}

static inline void process_alloc(uv_handle_t *h, size_t size, uv_buf_t *out)
{
    struct process *p = h->data;
    struct buf *b = h == (uv_handle_t *)&p->out ? &p->out_text : &p->err_text;
    uint8_t *ptr;
    (void)size;
    CHECK(buf_reserve(b, 65536, &ptr) == OK);
    *out = uv_buf_init((char *)ptr, 65536);
}

static inline void process_read(uv_stream_t *s, ssize_t n, const uv_buf_t *unused)
{
    struct process *p = s->data;
    struct buf *b = s == (uv_stream_t *)&p->out ? &p->out_text : &p->err_text;
    (void)unused;
    if (n > 0)
        buf_commit(b, (size_t)n);
    else if (n < 0)
        uv_close((uv_handle_t *)s, process_closed);
}

static inline void process_start(struct fixture *f, struct process *p, char **argv)
{
    *p = (struct process){.open = 3};
    buf_init(&p->out_text, 256 << 20);
    buf_init(&p->err_text, 16 << 20);
    CHECK(uv_pipe_init(&f->loop.uv, &p->out, 0) == 0);
    CHECK(uv_pipe_init(&f->loop.uv, &p->err, 0) == 0);
    p->uv.data = p->out.data = p->err.data = p;
    uv_stdio_container_t io[3] = {
        {.flags = UV_IGNORE},
        {.flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE),
         .data.stream = (uv_stream_t *)&p->out},
        {.flags = (uv_stdio_flags)(UV_CREATE_PIPE | UV_WRITABLE_PIPE),
         .data.stream = (uv_stream_t *)&p->err},
    };
    uv_process_options_t o = {
        .exit_cb = process_exit, .file = argv[0], .args = argv, .stdio_count = 3, .stdio = io};
    int e = uv_spawn(&f->loop.uv, &p->uv, &o);
    if (e)
        fail_msg("%s: %s", argv[0], uv_strerror(e));
    CHECK(uv_read_start((uv_stream_t *)&p->out, process_alloc, process_read) == 0);
    CHECK(uv_read_start((uv_stream_t *)&p->err, process_alloc, process_read) == 0);
}

static inline void process_wait(struct fixture *f, struct process *p)
{
    UNTIL(f, p->exited && p->open == 0);
}

static inline bool process_said(const struct process *p, const char *text)
{
    return view_search(buf_view(&p->err_text), view_str(text)) >= 0;
}

static inline void process_expect(const struct process *p, const char *text)
{
    if (!process_said(p, text))
        fail_msg("no \"%s\" in: %.*s", text, VIEW_FMT(buf_view(&p->err_text)));
}

static inline void process_fini(struct process *p)
{
    buf_fini(&p->out_text);
    buf_fini(&p->err_text);
}

/* --- files --- */

static inline char *fixture_path(struct fixture *f, const char *name)
{
    static char path[8][160];
    static unsigned next;
    char *p = path[next++ % 8];
    (void)snprintf(p, sizeof path[0], "%s/%s", f->folder, name);
    return p;
}

static inline void fixture_write(struct fixture *f, const char *name, struct view text)
{
    FILE *out = fopen(fixture_path(f, name), "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text.ptr, 1, text.len, out), text.len);
    assert_int_equal(fchmod(fileno(out), 0600), 0);
    assert_int_equal(fclose(out), 0);
}

static inline void fixture_write_key(struct fixture *f, const char *name,
                                     const struct private_key *k)
{
    struct buf b;
    buf_init(&b, FIXTURE_TEXT);
    CHECK_OK(private_key_write_openssh(k, name, &f->rng, &b));
    fixture_write(f, name, buf_view(&b));
    buf_clear(&b);
    CHECK_OK(public_key_write_line(&k->public, name, &b));
    CHECK_OK(buf_append_u8(&b, '\n'));
    char pub[64];
    (void)snprintf(pub, sizeof pub, "%s.pub", name);
    fixture_write(f, pub, buf_view(&b));
    buf_fini(&b);
}

/* --- the authorize --- */

static inline void fixture_send(struct fixture *f, Postern__AuthorizeMessage *m)
{
    if (f->call)
        CHECK_OK(rpc_send(f->call, &m->base));
}

static inline void fixture_hello(struct fixture *f)
{
    Postern__Hello hello = POSTERN__HELLO__INIT;
    hello.protocol = 1;
    hello.build = hello.instance_id = hello.config_hash = (char *)(uintptr_t) "test";
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HELLO;
    m.hello = &hello;
    fixture_send(f, &m);
    Postern__RouteTable routes = POSTERN__ROUTE_TABLE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_ROUTES;
    m.routes = &routes;
    fixture_send(f, &m);
}

static inline void fixture_decide(struct fixture *f, Postern__Decision__Verdict verdict,
                                  const char *sentence)
{
    char address[64];
    char *addresses[] = {address};
    char *types[] = {(char *)(uintptr_t) "ssh-ed25519"};
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", f->target_port);
    Postern__Upstream upstream = POSTERN__UPSTREAM__INIT;
    upstream.n_addresses = 1;
    upstream.addresses = addresses;
    upstream.n_host_key_types = 1;
    upstream.host_key_types = types;
    upstream.login = (char *)(uintptr_t)f->login;
    upstream.route = (char *)(uintptr_t) "demo";
    Postern__Login login = POSTERN__LOGIN__INIT;
    login.prompt = (char *)(uintptr_t) "Please sign in to continue";
    login.url = (char *)(uintptr_t)FIXTURE_URL;
    login.match_code = (char *)(uintptr_t) "F3K7-QQ2M";
    login.code = (char *)(uintptr_t) "abcdef";
    Postern__Decision d = POSTERN__DECISION__INIT;
    d.connection_id = f->connection;
    d.attempt = f->attempt;
    d.verdict = verdict;
    d.sentence = (char *)(uintptr_t)sentence;
    d.session_id = d.user_id = (char *)(uintptr_t) "someone";
    d.shell = f->is_shell && verdict == POSTERN__DECISION__VERDICT__ALLOW;
    if (!f->is_shell && verdict == POSTERN__DECISION__VERDICT__ALLOW)
        d.upstream = &upstream;
    if (verdict == POSTERN__DECISION__VERDICT__LOGIN)
        d.login = &login;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_DECISION;
    m.decision = &d;
    fixture_send(f, &m);
}

static inline void fixture_login_result(struct fixture *f, Postern__LoginResult__Outcome outcome,
                                        const char *sentence)
{
    Postern__LoginResult r = POSTERN__LOGIN_RESULT__INIT;
    r.connection_id = f->connection;
    r.attempt = f->attempt;
    r.outcome = outcome;
    r.sentence = (char *)(uintptr_t)sentence;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_LOGIN_RESULT;
    m.login_result = &r;
    fixture_send(f, &m);
}

static inline void fixture_cut(struct fixture *f, const char *reason)
{
    Postern__Cut cut = POSTERN__CUT__INIT;
    cut.connection_id = f->connection;
    cut.reason = (char *)(uintptr_t)reason;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_CUT;
    m.cut = &cut;
    fixture_send(f, &m);
}

static inline void fixture_on_check(struct fixture *f, const Postern__Check *c)
{
    f->checks++;
    f->attempt = c->attempt;
    (void)snprintf(f->connection, sizeof f->connection, "%s", c->connection_id);
    (void)snprintf(f->last_route, sizeof f->last_route, "%s", c->ssh->route);
    (void)snprintf(f->last_version, sizeof f->last_version, "%s", c->ssh->client_version);
    if (f->is_mute)
        return;
    if (f->next_keys) {
        f->next_keys--;
        fixture_decide(f, POSTERN__DECISION__VERDICT__TRY_NEXT_KEY, "This key will not do.");
    } else if (f->wants_login) {
        f->wants_login = false;
        fixture_decide(f, POSTERN__DECISION__VERDICT__LOGIN, "");
    } else if (f->denies) {
        fixture_decide(f, POSTERN__DECISION__VERDICT__DENY, f->denies);
    } else {
        fixture_decide(f, POSTERN__DECISION__VERDICT__ALLOW, "");
    }
}

static inline void fixture_certificate(struct fixture *f, const Postern__Certify *c)
{
    struct public_key key = {0};
    struct private_key other = {0};
    CHECK_OK(public_key_parse(&key, view_of(c->public_key.data, c->public_key.len)));
    CHECK_OK(private_key_generate(&other, KEY_ED25519, &f->rng));
    struct view principal = view_str(f->login);
    uint64_t now = loop_wall_ms() / 1000;
    struct cert_spec spec = {.kind = CERT_USER,
                             .key = &key,
                             .serial = 77,
                             .key_id = VIEW("id"),
                             .principals = &principal,
                             .principals_len = 1,
                             .valid_after = now - 120,
                             .valid_before = now + 300,
                             .extensions = cert_permits,
                             .extensions_len = CERT_PERMITS};
    struct buf cert;
    buf_init(&cert, CERT_BLOB_MAX);
    CHECK_OK(cert_sign(&spec, f->wrong_ca ? &other : &f->user_ca, &f->rng, &cert));
    Postern__Certificate answer = POSTERN__CERTIFICATE__INIT;
    answer.connection_id = c->connection_id;
    answer.request = c->request;
    answer.serial = 77;
    answer.certificate.data = buf_ptr(&cert);
    answer.certificate.len = cert.len;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_CERTIFICATE;
    m.certificate = &answer;
    fixture_send(f, &m);
    buf_fini(&cert);
    public_key_fini(&key);
    private_key_fini(&other);
}

static inline void fixture_on_certify(struct fixture *f, const Postern__Certify *c)
{
    f->certifies++;
    CHECK_VIEW(view_of(c->host_key.data, c->host_key.len), public_key_blob(&f->target_key.public));
    if (f->is_mute)
        return;
    if (!f->refuses) {
        fixture_certificate(f, c);
        return;
    }
    Postern__Refusal refusal = POSTERN__REFUSAL__INIT;
    refusal.connection_id = c->connection_id;
    refusal.request = c->request;
    refusal.sentence = (char *)(uintptr_t) "The host key has changed.";
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_REFUSAL;
    m.refusal = &refusal;
    fixture_send(f, &m);
}

static inline void fixture_on_register(struct fixture *f, const Postern__Register *r)
{
    f->registers++;
    for (size_t i = 0; i < r->n_connections; i++) {
        f->live_registered += r->connections[i]->live;
        f->waiting_registered += !r->connections[i]->live;
        (void)snprintf(f->code, sizeof f->code, "%s", r->connections[i]->code);
        assert_string_equal(r->connections[i]->check->ssh->route, f->is_shell ? "" : "demo");
        assert_true(r->connections[i]->check->ssh->public_key.len > 0);
    }
}

static inline void fixture_shell_result(struct fixture *f, uint32_t status, const char *text)
{
    Postern__ShellResult r = POSTERN__SHELL_RESULT__INIT;
    r.connection_id = f->connection;
    r.request = f->shell_request;
    r.status = status;
    r.text = (char *)(uintptr_t)text;
    Postern__AuthorizeMessage m = POSTERN__AUTHORIZE_MESSAGE__INIT;
    m.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_SHELL_RESULT;
    m.shell_result = &r;
    fixture_send(f, &m);
}

static inline void fixture_on_shell(struct fixture *f, const Postern__ShellCommand *c)
{
    f->shell_commands++;
    f->shell_request = c->request;
    f->shell_verb = c->verb;
    assert_string_equal(c->connection_id, f->connection);
    if (!f->holds_shell)
        fixture_shell_result(f, 0, "User ID:    someone\n");
}

static inline void fixture_on_message(struct rpc_call *call, const ProtobufCMessage *message,
                                      void *ctx)
{
    struct fixture *f = ctx;
    const Postern__WorkerMessage *m = (const Postern__WorkerMessage *)message;
    f->call = call;
    if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_HELLO && !f->is_mute)
        fixture_hello(f);
    else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_CHECK)
        fixture_on_check(f, m->check);
    else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_CERTIFY)
        fixture_on_certify(f, m->certify);
    else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_REGISTER)
        fixture_on_register(f, m->register_);
    else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_SHELL_COMMAND)
        fixture_on_shell(f, m->shell_command);
    else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_CANCEL)
        f->cancels++;
    else if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_CUT_DONE)
        f->cut_dones++;
    if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_HEARTBEAT && !f->is_mute) {
        Postern__Heartbeat beat = POSTERN__HEARTBEAT__INIT;
        Postern__AuthorizeMessage answer = POSTERN__AUTHORIZE_MESSAGE__INIT;
        answer.message_case = POSTERN__AUTHORIZE_MESSAGE__MESSAGE_HEARTBEAT;
        answer.heartbeat = &beat;
        fixture_send(f, &answer);
    }
    if (m->message_case == POSTERN__WORKER_MESSAGE__MESSAGE_CLOSED) {
        f->closeds++;
        f->bytes_in = m->closed->bytes_in;
        f->bytes_out = m->closed->bytes_out;
        (void)snprintf(f->reason, sizeof f->reason, "%s", m->closed->reason);
    }
}

static inline void fixture_on_open(struct rpc_call *call, void *ctx)
{
    struct fixture *f = ctx;
    f->call = call;
    f->streams++;
}

static inline void fixture_on_end(struct rpc_call *call, bool cancelled, void *ctx)
{
    struct fixture *f = ctx;
    (void)cancelled;
    if (f->call == call)
        f->call = NULL;
}

/* --- the supervisor --- */

struct fixture_signature {
    ssh_signed_fn done;
    void *ctx;
    uint64_t tag;
    struct buf signature;
    enum err err;
};

static inline void fixture_deliver(void *ctx)
{
    struct fixture_signature *s = ctx;
    s->done(s->ctx, s->tag, s->err, buf_view(&s->signature));
    buf_fini(&s->signature);
    mem_free(s);
}

static inline void fixture_sign_kex(void *ctx, const struct worker_host_key *key,
                                    const char *algorithm, struct view hash, ssh_signed_fn done,
                                    void *done_ctx, uint64_t tag)
{
    struct fixture *f = ctx;
    CHECK_VIEW(view_of(key->blob, key->len), public_key_blob(&f->host_key.public));
    struct fixture_signature *s = mem_zalloc(sizeof *s);
    *s = (struct fixture_signature){.done = done, .ctx = done_ctx, .tag = tag};
    buf_init(&s->signature, KEY_BLOB_MAX);
    s->err = private_key_sign(&f->host_key, view_str(algorithm), hash, &s->signature);
    loop_post(&f->loop, fixture_deliver, s);
}

/* OpenSSH PROTOCOL §2.5. */
static inline void fixture_sign_prove(void *ctx, const struct worker_host_key *key,
                                      const char *algorithm, struct view session_id,
                                      ssh_signed_fn done, void *done_ctx, uint64_t tag)
{
    struct buf data;
    buf_init(&data, FIXTURE_TEXT);
    struct writer w = writer_to(&data);
    write_cstring(&w, "hostkeys-prove-00@openssh.com");
    write_string(&w, session_id);
    write_string(&w, view_of(key->blob, key->len));
    fixture_sign_kex(ctx, key, *algorithm ? algorithm : "ssh-ed25519", buf_view(&data), done,
                     done_ctx, tag);
    buf_fini(&data);
}

static inline void fixture_on_authorize(void *ctx, bool connected, const char *why)
{
    struct fixture *f = ctx;
    (void)why;
    f->connected = connected;
}

/* --- setup --- */

/* Below what the kernel gives to other tests' connections; each process begins elsewhere. */
static inline uint16_t fixture_free_port(void)
{
    enum { LOWEST = 10000, COUNT = 20000, APART = 61 };
    static unsigned taken;
    for (unsigned tries = 0; tries < COUNT; tries++) {
        uint16_t port = (uint16_t)(LOWEST + ((unsigned)getpid() * APART + taken++) % COUNT);
        AUTO_FREE char *address = mem_printf("127.0.0.1:%u", port);
        AUTO_FREE char *why = NULL;
        int fd;
        if (listen_bind(address, &fd, &why) != OK)
            continue;
        (void)close(fd);
        return port;
    }
    fail_msg("no free port");
    return 0;
}

static inline bool fixture_can_connect(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = connect(fd, (struct sockaddr *)&a, sizeof a) == 0;
    (void)close(fd);
    return ok;
}

static inline void fixture_start_sshd(struct fixture *f)
{
    char config[1024];
    if (getuid() == 0)
        (void)mkdir("/run/sshd", 0755); /* where sshd drops its rights */
    f->target_port = fixture_free_port();
    (void)snprintf(config, sizeof config,
                   "ListenAddress 127.0.0.1\nPort %u\nHostKey %s\nPidFile none\n"
                   "TrustedUserCAKeys %s\nAuthorizedKeysFile none\nStrictModes no\nUsePAM no\n"
                   "PasswordAuthentication no\nKbdInteractiveAuthentication no\n"
                   "PermitRootLogin prohibit-password\nBanner %s\nMaxStartups 100\n",
                   f->target_port, fixture_path(f, "target_key"), fixture_path(f, "user_ca.pub"),
                   fixture_path(f, "banner"));
    fixture_write(f, "sshd_config", view_str(config));
    fixture_write(f, "banner", VIEW("Authorised use only.\n"));
    static char sshd[] = "/usr/sbin/sshd";
    static char option_d[] = "-De";
    static char option_f[] = "-f";
    char *argv[] = {sshd, option_d, option_f, fixture_path(f, "sshd_config"), NULL};
    process_start(f, &f->sshd, argv);
    UNTIL(f, fixture_can_connect(f->target_port));
}

static inline void fixture_start_authorize(struct fixture *f)
{
    static struct rpc_method methods[1];
    methods[0] = (struct rpc_method){.service = &postern__decide__descriptor,
                                     .name = "Stream",
                                     .kind = RPC_BIDI,
                                     .callers = RPC_CALLER_PROXY,
                                     .on_open = fixture_on_open,
                                     .on_message = fixture_on_message,
                                     .on_end = fixture_on_end};
    char address[64];
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", f->authorize_port);
    struct rpc_server_config c = {
        .address = address,
        .identity = {f->ca.cert_pem, f->ids[0].cert_pem, f->ids[0].key_pem},
        .methods = methods,
        .count = 1,
        .ctx = f};
    CHECK_OK(rpc_server_open(f->rpc, &c, &f->server));
}

static inline void fixture_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static inline void fixture_stop_authorize(struct fixture *f)
{
    bool closed = false;
    if (!f->server)
        return;
    rpc_server_close(f->server, fixture_flag, &closed);
    rpc_server_cancel(f->server);
    fixture_until(f, &closed, "the server's end");
    f->server = NULL;
}

static inline void fixture_config(struct fixture *f)
{
    struct worker_config *c = f->config = worker_config_new();
    char target[64];
    (void)snprintf(target, sizeof target, "127.0.0.1:%u", f->authorize_port);
    c->config_hash = mem_strdup("hash");
    c->grpc_client_timeout = 2000;
    c->service_ca = mem_strdup(f->ca.cert_pem);
    c->service_certificate = mem_strdup(f->ids[1].cert_pem);
    c->service_key = mem_strdup(f->ids[1].key_pem);
    worker_texts_add(&c->authorize_targets, target);
    worker_config_add_host_key(c, public_key_blob(&f->host_key.public));
    c->ssh_login_grace_time = 120000;
    c->ssh_max_startups_start = 100;
    c->ssh_max_startups_rate = 30;
    c->ssh_max_startups_full = 500;
    c->ssh_sign_in_timeout = 900000;
    c->revocation_grace = 900000;
    c->access_log_interval = 300000;
}

static inline void fixture_start_service(struct fixture *f)
{
    struct ssh_service_host host = {
        .loop = &f->loop,
        .rpc = f->rpc,
        .instance_id = "0123456789abcdef0123456789abcdef",
        .build = "0.1.0",
        .signer = {fixture_sign_kex, fixture_sign_prove, f},
        .on_authorize = fixture_on_authorize,
        .ctx = f,
    };
    int fd;
    char *why = NULL;
    f->service = ssh_service_new(&host);
    CHECK_OK(listen_bind("127.0.0.1:0", &fd, &why));
    f->ssh_port = listen_address(fd).port;
    CHECK_OK(ssh_service_start(f->service, f->config, fd, &why));
}

static inline void fixture_init(struct fixture *f)
{
    const uint64_t year_2100 = UINT64_C(4102444800000);
    *f = (struct fixture){.rng = rng_system()};
    f->login = getpwuid(getuid())->pw_name;
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/postern-test-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    loop_init(&f->loop);
    f->rpc = rpc_open(&f->loop);
    CHECK_OK(x509_make_ca("test", 0, year_2100, &f->ca));
    struct x509_leaf extra = {.not_after_at = year_2100};
    CHECK_OK(x509_make_service(&f->ca, "authorize", &extra, &f->ids[0]));
    CHECK_OK(x509_make_service(&f->ca, "proxy", &extra, &f->ids[1]));
    struct private_key *keys[] = {&f->host_key, &f->target_key, &f->user_ca, &f->user_key};
    const char *names[] = {"host_key", "target_key", "user_ca", "user_key"};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        CHECK_OK(private_key_generate(keys[i], KEY_ED25519, &f->rng));
        fixture_write_key(f, names[i], keys[i]);
    }
    f->authorize_port = fixture_free_port();
    fixture_config(f);
}

/* Everything runs, and the stream is up. */
static inline void fixture_open(struct fixture *f)
{
    fixture_start_sshd(f);
    fixture_start_authorize(f);
    fixture_start_service(f);
    fixture_until(f, &f->connected, "the Decide stream");
}

static inline void fixture_fini(struct fixture *f)
{
    bool closed = false;
    if (f->service) {
        ssh_service_stop(f->service, fixture_flag, &f->stopped);
        fixture_until(f, &f->stopped, "the service's end");
        ssh_service_free(f->service);
    }
    fixture_stop_authorize(f);
    rpc_close(f->rpc, fixture_flag, &closed);
    fixture_until(f, &closed, "the end of gRPC");
    if (f->sshd.open) {
        (void)uv_process_kill(&f->sshd.uv, SIGTERM);
        process_wait(f, &f->sshd);
        process_fini(&f->sshd);
    }
    loop_fini(&f->loop);
    worker_config_unref(f->config);
    x509_pair_fini(&f->ca);
    x509_pair_fini(&f->ids[0]);
    x509_pair_fini(&f->ids[1]);
    private_key_fini(&f->host_key);
    private_key_fini(&f->target_key);
    private_key_fini(&f->user_ca);
    private_key_fini(&f->user_key);
    const char *names[] = {"host_key",   "host_key.pub", "target_key",  "target_key.pub",
                           "user_ca",    "user_ca.pub",  "user_key",    "user_key.pub",
                           "other",      "other.pub",    "sshd_config", "banner",
                           "known_hosts"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        (void)unlink(fixture_path(f, names[i]));
    (void)rmdir(f->folder);
}

/* --- the client --- */

/* ssh OPTIONS… LOGIN@demo@127.0.0.1 COMMAND, without @demo in is_shell; `options` is a NULL
 * terminated list. */
static inline void fixture_ssh(struct fixture *f, struct process *p, const char *const *options,
                               const char *command)
{
    char port[16];
    char user[160];
    char known[192];
    char login[128];
    (void)snprintf(port, sizeof port, "%u", f->ssh_port);
    (void)snprintf(login, sizeof login, "%s%s", f->login, f->is_shell ? "" : "@demo");
    (void)snprintf(known, sizeof known, "UserKnownHostsFile=%s", fixture_path(f, "known_hosts"));
    (void)snprintf(user, sizeof user, "User=%s", login);
    const char *fixed[] = {"/usr/bin/ssh",
                           "-F",
                           "/dev/null",
                           "-p",
                           port,
                           "-o",
                           known,
                           "-o",
                           user,
                           "-o",
                           "StrictHostKeyChecking=accept-new",
                           "-o",
                           "IdentitiesOnly=yes",
                           "-o",
                           "IdentityAgent=none",
                           "-o",
                           "GlobalKnownHostsFile=/dev/null"};
    char *argv[FIXTURE_ARGS];
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        argv[n++] = (char *)(uintptr_t)fixed[i];
    for (; options && *options; options++)
        argv[n++] = (char *)(uintptr_t)*options;
    argv[n++] = (char *)(uintptr_t) "127.0.0.1";
    if (command)
        argv[n++] = (char *)(uintptr_t)command;
    argv[n] = NULL;
    CHECK(n < FIXTURE_ARGS);
    process_start(f, p, argv);
}

/* With the bound key. */
static inline void fixture_run(struct fixture *f, struct process *p, const char *command)
{
    const char *options[] = {"-i", fixture_path(f, "user_key"), NULL};
    fixture_ssh(f, p, options, command);
}

#endif
