/* Active health checks, against sshd and sockets that are something else. */
#include "common/daemon/metrics.h"
#include "tests/unit/proxy/tunnel_fixture.h"

static void serve_text(struct target *t, int fd)
{
    const char *text = t->amount ? "hello\n" : "";
    target_send(fd, text, strlen(text));
    target_read(t, fd);
}

/* Cluster of one check, every 100 ms, with panic mode off. */
static void check_by(struct bench *b, Postern__HealthCheck__Kind kind)
{
    static Postern__HealthCheck check;
    static Postern__HealthCheck *checks[] = {&check};
    postern__health_check__init(&check);
    check.kind = kind;
    check.interval_ms = 100;
    check.timeout_ms = 1000;
    check.unhealthy_threshold = 2;
    check.healthy_threshold = 2;
    b->cluster.health_checks = checks;
    b->cluster.n_health_checks = 1;
    b->cluster.panic_threshold = 0;
}

static int64_t endpoints(struct bench *b, const char *state)
{
    tunnels_measure(b->tunnels);
    return metrics_get(METRIC_ENDPOINTS, state);
}

static void test_tcp(void **state)
{
    struct bench *b = *state;
    struct target t;
    target_start(&t, serve_text, 1 << 20);
    t.amount = 1; /* it speaks first */
    uint16_t closed = fixture_free_port();
    uint16_t ports[] = {t.port, closed};
    bench_endpoints(b, ports, 2);
    check_by(b, POSTERN__HEALTH_CHECK__KIND__TCP);
    bench_open(b);
    assert_int_equal(endpoints(b, "usable"), 2);
    UNTIL(&b->f, endpoints(b, "unhealthy") == 1);
    assert_int_equal(endpoints(b, "usable"), 1);
    assert_int_equal(t.end, 0); /* FIN, no RST */
    /* It comes to life. */
    struct target late;
    char address[64];
    char *why = NULL;
    late = (struct target){.serve = serve_text, .connections = 1 << 20};
    buf_init(&late.got, BENCH_GOT_MAX);
    (void)snprintf(address, sizeof address, "127.0.0.1:%u", closed);
    CHECK_OK(listen_bind(address, &late.fd, &why));
    assert_int_equal(fcntl(late.fd, F_SETFL, fcntl(late.fd, F_GETFL) & ~O_NONBLOCK), 0);
    assert_int_equal(pthread_create(&late.thread, NULL, target_run, &late), 0);
    UNTIL(&b->f, endpoints(b, "usable") == 2);
    bench_stop(b);
    target_stop(b, &t);
    target_stop(b, &late);
}

static void test_ssh(void **state)
{
    struct bench *b = *state;
    struct target mute;
    struct target other;
    fixture_start_sshd(&b->f);
    target_start(&mute, serve_text, 1 << 20);
    target_start(&other, serve_text, 1 << 20);
    other.amount = 1; /* "hello", and then nothing that is SSH */
    uint16_t ports[] = {b->f.target_port, mute.port, other.port, fixture_free_port()};
    bench_endpoints(b, ports, 4);
    check_by(b, POSTERN__HEALTH_CHECK__KIND__SSH);
    int64_t passed = metrics_get(METRIC_HEALTH_CHECKS, "passed");
    bench_open(b);
    UNTIL(&b->f, endpoints(b, "unhealthy") == 3);
    UNTIL(&b->f, metrics_get(METRIC_HEALTH_CHECKS, "passed") >= passed + 3);
    assert_int_equal(endpoints(b, "usable"), 1);
    bench_stop(b);
    target_stop(b, &mute);
    target_stop(b, &other);
}

/* What was found out about an endpoint is kept over a reload, and the checks go on. */
static void test_reload(void **state)
{
    struct bench *b = *state;
    uint16_t ports[] = {fixture_free_port(), fixture_free_port()};
    bench_endpoints(b, ports, 2);
    check_by(b, POSTERN__HEALTH_CHECK__KIND__TCP);
    bench_open(b);
    UNTIL(&b->f, endpoints(b, "unhealthy") == 2);
    b->cluster.n_endpoints = 1;
    bench_routes(b);
    bench_settle(b);
    assert_int_equal(endpoints(b, "unhealthy"), 1);
    int64_t failed = metrics_get(METRIC_HEALTH_CHECKS, "failed");
    UNTIL(&b->f, metrics_get(METRIC_HEALTH_CHECKS, "failed") > failed + 1);
    b->cluster.n_health_checks = 0;
    bench_routes(b);
    bench_settle(b);
    assert_int_equal(endpoints(b, "usable"), 1);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bench_setup, bench_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_tcp),
        TEST(test_ssh),
        TEST(test_reload),
    };
    return RUN(tests);
}
