/* Daemons run as child processes: their exit statuses, log lines and health are what is checked. */
#include "common/daemon/daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "common/daemon/log.h"
#include "tests/unit/common/daemon/folder.h"

#define BASE                                                                                       \
    "shared_secret: YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=\n"                                \
    "authenticate_service_url: https://a.test\nhealth_check_addr: 127.0.0.1:%u\n"

enum { PATIENCE_MS = 60000 };

/* --- the daemon under test: it tells what it is asked to do by log lines --- */

struct subject {
    struct daemon *daemon;
    enum err start_result;
    bool fail_in_start;
    bool keep_draining;
    bool never_stops;
    uv_timer_t handle; /* something that has to be closed */
};

static void on_validate(void *ctx, const struct config *c, struct diag *d)
{
    (void)ctx;
    if (strcmp(c->address, ":6666") == 0)
        diag_error(d, (struct diag_place){.file = c->file}, "address", "refused by validate");
}

static enum err on_start(void *ctx, struct daemon *d, struct diag *diag)
{
    struct subject *s = ctx;
    s->daemon = d;
    assert_int_equal(strlen(daemon_instance_id(d)), 32);
    if (s->start_result != OK) {
        diag_error(diag, (struct diag_place){0}, "", "no start today");
        return s->start_result;
    }
    CHECK(uv_timer_init(&daemon_loop(d)->uv, &s->handle) == 0);
    s->handle.data = s;
    if (s->fail_in_start)
        daemon_fail(d, "broke at once");
    log_info("subject", LOG_STR("address", daemon_config(d)->address));
    return OK;
}

static enum err on_reload(void *ctx, const struct config *c, struct diag *d)
{
    (void)ctx;
    if (strcmp(c->address, ":7777") == 0) {
        diag_error(d, (struct diag_place){.file = c->file}, "address", "refused by reload");
        return ERR_CONFIG;
    }
    log_info("subject", LOG_STR("address", c->address));
    return OK;
}

static void on_drain(void *ctx)
{
    struct subject *s = ctx;
    log_info("draining");
    if (!s->keep_draining)
        daemon_drained(s->daemon);
}

static void on_closed(uv_handle_t *h)
{
    struct subject *s = h->data;
    daemon_stopped(s->daemon);
}

static void on_stop(void *ctx)
{
    struct subject *s = ctx;
    log_info("closing");
    if (!s->never_stops)
        uv_close((uv_handle_t *)&s->handle, on_closed);
}

static void on_fini(void *ctx)
{
    (void)ctx;
    log_info("fini");
}

static bool on_collect(void *ctx)
{
    const struct subject *s = ctx;
    metrics_add(METRIC_LOG_DROPPED, 0);
    /* The answer that never comes: the page goes out nevertheless. */
    return !s->keep_draining;
}

/* --- its parent --- */

struct child {
    pid_t pid;
    int out;
    struct buf text;
};

/* A port that was free a moment ago. */
static uint16_t free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

static struct child spawn(struct subject *s, const char *const *arguments)
{
    char *argv[8] = {(char *)"postern-proxy"};
    int argc = 1;
    for (; arguments[argc - 1]; argc++)
        argv[argc] = (char *)arguments[argc - 1];
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    (void)fflush(NULL);
    struct child c = {.pid = fork(), .out = fds[0]};
    if (c.pid == 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        (void)dup2(fds[1], STDERR_FILENO);
        const struct daemon_spec spec = {.service = CONFIG_PROXY,
                                         .ctx = s,
                                         .validate = on_validate,
                                         .start = on_start,
                                         .reload = on_reload,
                                         .drain = on_drain,
                                         .collect = on_collect,
                                         .stop = on_stop,
                                         .fini = on_fini};
        int status = daemon_run(argc, argv, &spec);
        (void)fflush(NULL);
        _exit(status);
    }
    (void)close(fds[1]);
    buf_init(&c.text, 1 << 20);
    return c;
}

/* False at the end of its output. */
static bool read_more(struct child *c)
{
    struct pollfd p = {.fd = c->out, .events = POLLIN};
    if (poll(&p, 1, PATIENCE_MS) != 1)
        fail_msg("nothing more came after: %.*s", VIEW_FMT(buf_view(&c->text)));
    uint8_t *at;
    CHECK_OK(buf_reserve(&c->text, 4096, &at));
    ssize_t n = read(c->out, at, 4096);
    buf_commit(&c->text, n > 0 ? (size_t)n : 0);
    return n > 0;
}

/* Waits for the text, and forgets everything up to it. */
static void expect(struct child *c, const char *text)
{
    ptrdiff_t at;
    while ((at = view_search(buf_view(&c->text), view_str(text))) < 0) {
        if (!read_more(c))
            fail_msg("wanted %s, got %.*s", text, VIEW_FMT(buf_view(&c->text)));
    }
    buf_consume(&c->text, (size_t)at + strlen(text));
}

static void expect_exit(struct child *c, int status)
{
    int got;
    while (read_more(c))
        ;
    assert_int_equal(waitpid(c->pid, &got, 0), c->pid);
    if (!WIFEXITED(got) || WEXITSTATUS(got) != status)
        fail_msg("status %x, wanted %d: %.*s", (unsigned)got, status, VIEW_FMT(buf_view(&c->text)));
    (void)close(c->out);
    buf_fini(&c->text);
}

static char *get(uint16_t port, const char *path)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    char *q = mem_printf("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", path);
    assert_int_equal(write(fd, q, strlen(q)), (ssize_t)strlen(q));
    mem_free(q);
    struct buf b;
    buf_init(&b, 1 << 16);
    uint8_t *p;
    ssize_t n;
    do {
        CHECK_OK(buf_reserve(&b, 4096, &p));
        n = read(fd, p, 4096);
        buf_commit(&b, n > 0 ? (size_t)n : 0);
    } while (n > 0);
    (void)close(fd);
    char *answer = buf_to_str(&b);
    buf_fini(&b);
    return answer;
}

static void expect_get(uint16_t port, const char *path, const char *text)
{
    char *answer = get(port, path);
    if (!strstr(answer, text))
        fail_msg("%s: wanted %s, got %s", path, text, answer);
    mem_free(answer);
}

struct setup {
    struct folder folder;
    char *path;
    uint16_t port;
};

/* p.yaml: the base, an address and more. */
static void configure(struct setup *s, const char *address, const char *more)
{
    AUTO_FREE char *base = mem_printf(BASE, s->port);
    AUTO_FREE char *yaml = mem_printf("%saddress: '%s'\n%s", base, address, more);
    folder_replace(&s->folder, "p.yaml", yaml);
}

static struct setup setup_new(const char *address)
{
    struct setup s = {.folder = folder_new(), .port = free_port()};
    s.path = folder_path(&s.folder, "p.yaml");
    configure(&s, address, "");
    return s;
}

static void setup_fini(struct setup *s)
{
    folder_remove(&s->folder);
    mem_free(s->path);
}

static struct child run(struct subject *subject, const struct setup *s)
{
    const char *const arguments[] = {"--config", s->path, NULL};
    return spawn(subject, arguments);
}

static void test_arguments(void **state)
{
    (void)state;
    struct subject subject = {0};
    static const char *const version[] = {"--version", NULL}, *const help[] = {"--help", NULL},
                             *const wrong[] = {"--nonsense", NULL};
    struct child c = spawn(&subject, version);
    expect(&c, "postern-proxy 0.1.0\n");
    expect_exit(&c, 0);
    c = spawn(&subject, help);
    expect(&c, "usage: postern-proxy");
    expect_exit(&c, 0);
    c = spawn(&subject, wrong);
    expect(&c, "postern-proxy: unexpected argument --nonsense\nusage:");
    expect_exit(&c, 2);
}

static void test_check(void **state)
{
    (void)state;
    struct subject subject = {.start_result = ERR_INTERNAL};
    struct setup s = setup_new(":1");
    const char *const check[] = {"--check", "--config", s.path, NULL};
    struct child c = spawn(&subject, check);
    expect(&c, "warning: ");
    expect(&c, "configuration ok\n");
    expect_exit(&c, 0);
    configure(&s, "nonsense", "ssh_profile: x\n");
    c = spawn(&subject, check);
    expect(&c, "p.yaml:4:10: address: expected an address");
    expect(&c, "p.yaml:5:14: ssh_profile: expected one of");
    expect_exit(&c, 2);
    configure(&s, ":6666", "");
    c = spawn(&subject, check);
    expect(&c, "p.yaml: address: refused by validate\n");
    expect_exit(&c, 2);
    setup_fini(&s);
}

static void test_life(void **state)
{
    (void)state;
    struct subject subject = {0};
    struct setup s = setup_new(":1");
    struct child c = run(&subject, &s);
    expect(&c, "\"service\":\"proxy\",\"message\":\"subject\",\"address\":\":1\"}");
    expect(&c, "\"message\":\"started\",\"version\":\"0.1.0\"");
    expect_get(s.port, "/startupz", " 200 ");
    expect_get(s.port, "/readyz", " 200 ");
    expect_get(s.port, "/status", "\"proxy.service\":{\"status\":\"running\",\"required\":true}");
    expect_get(s.port, "/status", "\"hash\":\"");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect(&c, "\"message\":\"stopping\",\"grace\":10000}");
    expect(&c, "\"message\":\"draining\"}");
    expect(&c, "\"message\":\"closing\"}");
    expect(&c, "\"message\":\"fini\"}");
    expect(&c, "\"message\":\"stopped\",\"status\":0}");
    expect_exit(&c, 0);
    setup_fini(&s);
}

static void test_reload_when_the_file_changes(void **state)
{
    (void)state;
    struct subject subject = {0};
    struct setup s = setup_new(":1");
    struct child c = run(&subject, &s);
    expect(&c, "\"message\":\"started\"");
    /* Renamed over. */
    configure(&s, ":2", "");
    expect(&c, "\"message\":\"subject\",\"address\":\":2\"}");
    expect(&c, "\"message\":\"configuration reloaded\",\"config-hash\":\"");
    /* Written in place. */
    AUTO_FREE char *yaml = mem_printf(BASE "address: ':3'\nlog_level: debug\n", s.port);
    folder_write(&s.folder, "p.yaml", 0600, yaml);
    expect(&c, "\"message\":\"subject\",\"address\":\":3\"}");
    expect(&c, "\"message\":\"configuration reloaded\"");
    assert_int_equal(kill(c.pid, SIGINT), 0);
    expect_exit(&c, 0);
    setup_fini(&s);
}

/* What is invalid changes nothing; health and a log line say why; the next valid file heals. */
static void test_invalid_keeps_the_old(void **state)
{
    (void)state;
    struct subject subject = {0};
    struct setup s = setup_new(":1");
    struct child c = run(&subject, &s);
    expect(&c, "\"config-hash\":\"");
    while (c.text.len < 64)
        assert_true(read_more(&c));
    AUTO_FREE char *hash = mem_strndup(buf_ptr(&c.text), 64);
    AUTO_FREE char *shown = mem_printf("\"hash\":\"%s\"", hash);
    static const struct {
        const char *address;
        const char *why;
    } rows[] = {{"nonsense", "address: expected an address"},
                {":6666", "address: refused by validate"},
                {":7777", "address: refused by reload"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        configure(&s, rows[i].address, "");
        expect(&c, "\"message\":\"configuration not reloaded, the old one stays\"");
        expect(&c, rows[i].why);
        expect_get(s.port, "/status", rows[i].why);
        expect_get(s.port, "/status", shown);
        /* It still does its work. */
        expect_get(s.port, "/readyz", " 200 ");
    }
    configure(&s, ":2", "shutdown_grace: 7s\n");
    expect(&c, "\"message\":\"subject\",\"address\":\":2\"}");
    expect(&c, "\"message\":\"configuration reloaded\"");
    char *status = get(s.port, "/status");
    assert_null(strstr(status, "\"error\""));
    assert_null(strstr(status, hash));
    mem_free(status);
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect_exit(&c, 0);
    setup_fini(&s);
}

static void test_hangup_and_named_files(void **state)
{
    (void)state;
    struct subject subject = {0};
    struct setup s = setup_new(":1");
    AUTO_FREE char *more = mem_printf("certificate_file: %s/crt\ncertificate_key_file: %s/key\n",
                                      s.folder.path, s.folder.path);
    folder_write(&s.folder, "crt", 0600, "C");
    folder_write(&s.folder, "key", 0600, "K");
    configure(&s, ":1", more);
    struct child c = run(&subject, &s);
    expect(&c, "\"message\":\"started\"");
    assert_int_equal(kill(c.pid, SIGHUP), 0);
    expect(&c, "\"message\":\"configuration reloaded\"");
    folder_write(&s.folder, "crt", 0600, "C2");
    expect(&c, "\"message\":\"configuration reloaded\"");
    /* A file that is missing is waited for. */
    AUTO_FREE char *key = folder_path(&s.folder, "key");
    assert_int_equal(unlink(key), 0);
    expect(&c, "configuration not reloaded, the old one stays");
    folder_write(&s.folder, "key", 0600, "K2");
    expect(&c, "\"message\":\"configuration reloaded\"");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect_exit(&c, 0);
    setup_fini(&s);
}

static void test_draining(void **state)
{
    (void)state;
    /* The grace ends it. */
    struct subject subject = {.keep_draining = true};
    struct setup s = setup_new(":1");
    configure(&s, ":1", "shutdown_grace: 10ms\n");
    struct child c = run(&subject, &s);
    expect(&c, "\"message\":\"started\"");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect(&c, "\"message\":\"draining\"}");
    expect(&c, "\"message\":\"shutdown_grace is over\"}");
    expect_exit(&c, 0);
    /* A second signal ends it. */
    configure(&s, ":1", "shutdown_grace: 1h\n");
    c = run(&subject, &s);
    expect(&c, "\"message\":\"started\"");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect(&c, "\"message\":\"draining\"}");
    expect_get(s.port, "/readyz", " 503 ");
    expect_get(s.port, "/healthz", " 200 ");
    expect_get(s.port, "/status", "\"status\":\"terminating\"");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect(&c, "\"message\":\"closing\"}");
    expect_exit(&c, 0);
    setup_fini(&s);
}

static void test_stop_that_hangs(void **state)
{
    (void)state;
    struct subject subject = {.never_stops = true};
    struct setup s = setup_new(":1");
    struct child c = run(&subject, &s);
    expect(&c, "\"message\":\"started\"");
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect(&c, "\"message\":\"did not stop in time\"}");
    expect_exit(&c, 0);
    setup_fini(&s);
}

static void test_metrics(void **state)
{
    (void)state;
    struct setup s = setup_new(":1");
    struct subject fine = {0}, slow = {.keep_draining = true};
    uint16_t port = free_port();
    AUTO_FREE char *line = mem_printf("metrics_address: {proxy: '127.0.0.1:%u'}\n", port);
    configure(&s, ":1", line);
    struct child c = run(&fine, &s);
    expect(&c, "\"message\":\"metrics are served\"");
    expect(&c, "\"message\":\"started\"");
    expect_get(port, "/metrics", "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n");
    expect_get(port, "/metrics?x", "\npostern_build_info{service=\"proxy\",version=\"0.1.0\"} 1\n");
    expect_get(port, "/metrics", "\npomerium_config_last_reload_success 1\n");
    expect_get(port, "/metrics", "\npostern_health_check_ok{check=\"proxy.service\"} 1\n");
    expect_get(port, "/metrics", "\npostern_ready 1\n");
    expect_get(port, "/metrics", "\nprocess_open_fds ");
    expect_get(port, "/status", "HTTP/1.1 404 ");
    configure(&s, "nonsense", line);
    expect(&c, "configuration not reloaded");
    expect_get(port, "/metrics", "\npostern_config_reloads_total{result=\"refused\"} 1\n");
    expect_get(port, "/metrics", "\npomerium_config_last_reload_success 0\n");
    configure(&s, ":2", "");
    expect(&c, "\"key\":\"metrics_address\",\"reason\":\"");
    expect(&c, "takes effect after a restart");
    expect_get(port, "/metrics", "\npostern_config_reloads_total{result=\"taken\"} 1\n");
    /* Two on one host with one address. */
    AUTO_FREE char *yaml = mem_printf(BASE "metrics_address: '127.0.0.1:%u'\n", free_port(), port);
    folder_replace(&s.folder, "p.yaml", yaml);
    struct child second = run(&slow, &s);
    expect(&second, "p.yaml:4:18: metrics_address: 127.0.0.1:");
    expect(&second, "; daemons on one host need an address each: metrics_address: {");
    expect_exit(&second, 1);
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect_exit(&c, 0);
    second = run(&slow, &s);
    expect(&second, "\"message\":\"started\"");
    expect_get(port, "/metrics", "\npostern_ready 1\n");
    assert_int_equal(kill(second.pid, SIGKILL), 0);
    (void)waitpid(second.pid, NULL, 0);
    (void)close(second.out);
    buf_fini(&second.text);
    setup_fini(&s);
}

static void test_failures(void **state)
{
    (void)state;
    struct setup s = setup_new(":1");
    struct subject runtime = {.start_result = ERR_IO}, config = {.start_result = ERR_CONFIG},
                   at_once = {.fail_in_start = true}, fine = {0};
    struct child c = run(&runtime, &s);
    expect(&c, "no start today");
    expect_exit(&c, 1);
    c = run(&config, &s);
    expect(&c, "no start today");
    expect_exit(&c, 2);
    c = run(&at_once, &s);
    expect(&c, "postern-proxy: broke at once\n");
    expect_exit(&c, 1);
    /* The health address is taken: the other daemon goes on. */
    c = run(&fine, &s);
    expect(&c, "\"message\":\"started\"");
    struct child second = run(&fine, &s);
    expect(&second, "health_check_addr: 127.0.0.1:");
    expect_exit(&second, 1);
    assert_int_equal(kill(c.pid, SIGTERM), 0);
    expect_exit(&c, 0);
    configure(&s, "nonsense", "");
    c = run(&fine, &s);
    expect(&c, "p.yaml:4:10: address: expected an address");
    expect(&c, "postern-proxy: not started\n");
    expect_exit(&c, 2);
    configure(&s, ":1", "services: [authorize]\n");
    c = run(&fine, &s);
    expect(&c, "services: leaves out proxy, so this daemon does not start");
    expect_exit(&c, 2);
    setup_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_reload_when_the_file_changes),
        cmocka_unit_test(test_invalid_keeps_the_old),
        cmocka_unit_test(test_hangup_and_named_files),
        cmocka_unit_test(test_draining),
        cmocka_unit_test(test_metrics),
        cmocka_unit_test(test_stop_that_hangs),
        cmocka_unit_test(test_failures),
    };
    return RUN(tests);
}
