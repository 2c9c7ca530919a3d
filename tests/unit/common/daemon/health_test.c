#include "common/daemon/health.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/test.h"

static void test_states(void **state)
{
    (void)state;
    struct health *h = health_new();
    health_require(h, "a");
    health_require(h, "b");
    assert_false(health_is_started(h));
    assert_false(health_is_ready(h));
    assert_true(health_is_alive(h));
    health_set(h, "a", HEALTH_RUNNING, NULL);
    assert_false(health_is_started(h));
    health_set(h, "b", HEALTH_RUNNING, NULL);
    assert_true(health_is_started(h));
    assert_true(health_is_ready(h));
    /* Started once is started; an error that may heal is no reason to be killed. */
    health_set(h, "b", HEALTH_RUNNING, "databroker not reachable");
    assert_true(health_is_started(h));
    assert_false(health_is_ready(h));
    assert_true(health_is_alive(h));
    health_set(h, "b", HEALTH_RUNNING, "");
    assert_true(health_is_ready(h));
    /* For information alone. */
    health_set(h, "c", HEALTH_RUNNING, "oh");
    assert_true(health_is_ready(h));
    health_terminate(h);
    assert_false(health_is_ready(h));
    assert_true(health_is_alive(h));
    health_set(h, "a", HEALTH_RUNNING, NULL);
    assert_false(health_is_ready(h));
    health_set(h, "a", HEALTH_FAILED, "gone");
    assert_false(health_is_alive(h));
    health_free(h);
    health_free(NULL);
}

static void test_required_one_by_one(void **state)
{
    (void)state;
    struct health *h = health_new();
    health_require(h, "a");
    health_set(h, "a", HEALTH_RUNNING, NULL);
    health_require(h, "b");
    assert_false(health_is_started(h));
    health_set(h, "b", HEALTH_RUNNING, NULL);
    assert_true(health_is_started(h));
    /* What was required already changes nothing. */
    health_set(h, "a", HEALTH_RUNNING, "oh");
    health_require(h, "a");
    assert_true(health_is_started(h));
    health_free(h);
}

static void test_json(void **state)
{
    (void)state;
    struct health *h = health_new();
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    health_require(h, "x.service");
    health_set(h, "config", HEALTH_RUNNING, "a \"quote\"");
    health_attribute(h, "config", "hash", "00");
    health_attribute(h, "config", "version", "1");
    health_attribute(h, "config", "hash", "11");
    CHECK_OK(health_write(h, &b));
    CHECK_VIEW_STR(buf_view(&b),
                   "{\n\"x.service\":{\"status\":\"starting\",\"required\":true},\n"
                   "\"config\":{\"status\":\"running\",\"required\":false,\"error\":\"a "
                   "\\\"quote\\\"\",\"attributes\":{\"hash\":\"11\",\"version\":\"1\"}}\n}\n");
    health_free(h);
}

/* The whole answer to one request on a connection of its own. */
static char *ask(uint16_t port, const char *request)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    char *text = mem_printf("%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", request);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    mem_free(text);
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

static void expect(uint16_t port, const char *request, const char *status, const char *body)
{
    char *answer = ask(port, request);
    if (strncmp(answer, status, strlen(status)) != 0)
        fail_msg("%s: %s", request, answer);
    char *end = strstr(answer, "\r\n\r\n");
    assert_non_null(end);
    if (body)
        assert_string_equal(end + 4, body);
    mem_free(answer);
}

struct step {
    struct health *h;
    struct loop *loop;
    void (*fn)(struct step *);
    uv_sem_t done;
};

static void run_step(void *ctx)
{
    struct step *s = ctx;
    s->fn(s);
    uv_sem_post(&s->done);
}

/* The health belongs to the loop's thread. */
static void on_loop(struct step *s, void (*fn)(struct step *))
{
    s->fn = fn;
    loop_post(s->loop, run_step, s);
    uv_sem_wait(&s->done);
}

static void set_running(struct step *s)
{
    health_set(s->h, "x", HEALTH_RUNNING, NULL);
}

static void set_failed(struct step *s)
{
    health_set(s->h, "x", HEALTH_FAILED, NULL);
}

static void on_closed(void *ctx)
{
    loop_stop(ctx);
}

static void close_health(struct step *s)
{
    health_close(s->h, on_closed, s->loop);
}

static void test_endpoint(void **state)
{
    (void)state;
    struct loop loop;
    loop_init(&loop);
    struct step s = {.h = health_new(), .loop = &loop};
    assert_int_equal(uv_sem_init(&s.done, 0), 0);
    char *why = NULL;
    health_require(s.h, "x");
    CHECK_OK(health_open(s.h, &loop, "127.0.0.1:0", &why));
    uint16_t port = health_port(s.h);
    assert_int_not_equal(port, 0);
    loop_start(&loop);
    expect(port, "GET /startupz", "HTTP/1.1 503 ", "not OK\n");
    expect(port, "GET /readyz", "HTTP/1.1 503 ", "not OK\n");
    expect(port, "GET /healthz", "HTTP/1.1 200 ", "OK\n");
    on_loop(&s, set_running);
    expect(port, "GET /startupz?verbose", "HTTP/1.1 200 ", "OK\n");
    expect(port, "GET /readyz", "HTTP/1.1 200 ", "OK\n");
    expect(port, "HEAD /readyz", "HTTP/1.1 200 ", "");
    expect(port, "POST /readyz", "HTTP/1.1 405 ", "method not allowed\n");
    expect(port, "GET /", "HTTP/1.1 404 ", "not found\n");
    expect(port, "GET /status", "HTTP/1.1 200 ",
           "{\n\"x\":{\"status\":\"running\",\"required\":true}\n}\n");
    on_loop(&s, set_failed);
    expect(port, "GET /healthz", "HTTP/1.1 503 ", "not OK\n");
    on_loop(&s, close_health);
    loop_join(&loop);
    loop_fini(&loop);
    health_free(s.h);
    uv_sem_destroy(&s.done);
}

static void test_bad_address(void **state)
{
    (void)state;
    struct loop loop;
    loop_init(&loop);
    struct health *h = health_new();
    char *why = NULL;
    assert_int_not_equal(health_open(h, &loop, "nonsense", &why), OK);
    assert_non_null(why);
    mem_free(why);
    health_close(h, NULL, NULL);
    health_free(h);
    loop_fini(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),      cmocka_unit_test(test_required_one_by_one),
        cmocka_unit_test(test_json),        cmocka_unit_test(test_endpoint),
        cmocka_unit_test(test_bad_address),
    };
    return RUN(tests);
}
