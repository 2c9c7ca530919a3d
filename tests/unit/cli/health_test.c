#include "cli/health.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

static void asks_on_loopback(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"0.0.0.0:28080", "http://127.0.0.1:28080/status"},
        {":28080", "http://127.0.0.1:28080/status"},
        {"[::]:28080", "http://127.0.0.1:28080/status"},
        {"127.0.0.1:1", "http://127.0.0.1:1/status"},
        {"[::1]:1", "http://[::1]:1/status"},
        {"host.test:9", "http://host.test:9/status"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_FREE char *url = health_url(rows[i][0]);
        assert_string_equal(url, rows[i][1]);
    }
}

static void judge(const char *text, bool healthy, const char *why, const char *service)
{
    AUTO(json_free_ptr) struct json *checks = NULL;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(json_parse(view_str(text), &checks), OK);
    assert_int_equal(health_judge(checks, &b), healthy);
    AUTO_FREE char *got = buf_to_str(&b);
    assert_string_equal(got, why);
    assert_true(view_eq_str(health_service(checks), service));
}

static void judges_checks(void **state)
{
    (void)state;
    judge("{\"config\":{\"status\":\"running\",\"required\":false},"
          "\"proxy.service\":{\"status\":\"running\",\"required\":true},"
          "\"authorize.service\":{\"status\":\"running\",\"required\":true}}",
          true, "", "proxy");
    judge("{\"proxy.service\":{\"status\":\"running\",\"required\":true},"
          "\"authorize.service\":{\"status\":\"starting\",\"required\":true,\"error\":\"not "
          "reachable\"}}",
          false, "authorize.service: starting, not reachable", "proxy");
    judge("{\"databroker.service\":{\"status\":\"terminating\",\"required\":true}}", false,
          "databroker.service: terminating", "databroker");
    /* Said, but no reason to take it out of service: it runs on what it had. */
    judge("{\"config\":{\"status\":\"running\",\"required\":false,\"error\":\"line 3\"},"
          "\"proxy.service\":{\"status\":\"running\",\"required\":true}}",
          true, "config: running, line 3", "proxy");
    judge("{}", false, "", "");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(asks_on_loopback),
        cmocka_unit_test(judges_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
