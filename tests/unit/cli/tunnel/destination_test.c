#include "cli/tunnel/destination.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

struct good {
    const char *text;
    const char *kind;
    const char *proxy_url;
    const char *target;
    const char *url; /* of the gateway */
    const char *dial;
};

static void test_what_is_meant(void **state)
{
    (void)state;
    static const struct good rows[] = {
        {"redis.example.com:6379", "tcp", NULL, "redis.example.com:6379",
         "https://redis.example.com", "redis.example.com:443"},
        {"Redis.Example.com:6379", "tcp", NULL, "redis.example.com:6379",
         "https://redis.example.com", "redis.example.com:443"},
        {"tcp+https://h:6379", "tcp", NULL, "h:6379", "https://h", "h:443"},
        {"tcp+https://h:6379/", "tcp", NULL, "h:6379", "https://h", "h:443"},
        {"udp+https://h:53", "udp", NULL, "h:53", "https://h", "h:443"},
        {"https://h:6379", "udp", NULL, "h:6379", "https://h", "h:443"},
        {"http://h:5", "tcp", NULL, "h:5", "http://h", "h:80"},
        {"tcp+http://h:5", "tcp", NULL, "h:5", "http://h", "h:80"},
        {"https://proxy:8443/dst:22", "tcp", NULL, "dst:22", "https://proxy:8443", "proxy:8443"},
        {"https://proxy/dst:22/", "tcp", NULL, "dst:22", "https://proxy", "proxy:443"},
        {"http://proxy:81/dst:22", "tcp", NULL, "dst:22", "http://proxy:81", "proxy:81"},
        {"[2001:db8::1]:22", "tcp", NULL, "[2001:db8::1]:22", "https://[2001:db8::1]",
         "[2001:db8::1]:443"},
        {"https://[::1]:8443/dst:22", "tcp", NULL, "dst:22", "https://[::1]:8443", "[::1]:8443"},
        {"dst:22", "tcp", "https://gw:9443", "dst:22", "https://gw:9443", "gw:9443"},
        {"dst:22", "tcp", "gw", "dst:22", "https://gw", "gw:443"},
        {"https://proxy/dst:22", "tcp", "http://gw/", "dst:22", "http://gw", "gw:80"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO(destination_fini) struct destination d = {0};
        AUTO_FREE char *why = NULL;
        assert_int_equal(destination_parse(rows[i].text, rows[i].kind, rows[i].proxy_url, &d, &why),
                         OK);
        AUTO_FREE char *url = endpoint_url(&d.proxy);
        assert_string_equal(d.target, rows[i].target);
        assert_string_equal(url, rows[i].url);
        assert_string_equal(d.proxy.dial, rows[i].dial);
    }
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *kind;
        const char *proxy_url;
        const char *why;
    } rows[] = {
        {"redis", "tcp", NULL, "redis: the port is missing"},
        {"redis:", "tcp", NULL, "redis: is not HOST:PORT"},
        {"redis:0", "tcp", NULL, "port from 1 to 65535"},
        {"redis:65536", "tcp", NULL, "port from 1 to 65535"},
        {"", "tcp", NULL, "is not HOST:PORT"},
        {"proxy/dst:22", "tcp", NULL, "begins with https://"},
        {"https://proxy/a:1/b:2", "tcp", NULL, "name one HOST:PORT"},
        {"https://proxy/dst", "tcp", NULL, "dst: the port is missing"},
        {"https://h", "tcp", NULL, "h: the port is missing"},
        {"tcp+https://*.example.com:22", "tcp", NULL, "not a wildcard"},
        {"udp+https://h:53", "tcp", NULL, "is not for postern tcp"},
        {"tcp+https://h:53", "udp", NULL, "is not for postern udp"},
        {"ftp://h:53", "tcp", NULL, "has to be https or http"},
        {"https://me@h:53", "tcp", NULL, "a user name"},
        {"https://h:53?x=1", "tcp", NULL, "nothing behind the path"},
        {"https://h :53", "tcp", NULL, "is not a URL"},
        {"h:1", "tcp", "ftp://gw", "has to be https or http"},
        {"h:1", "tcp", "https://", "is not the address of a gateway"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct destination d = {0};
        AUTO_FREE char *why = NULL;
        assert_int_equal(destination_parse(rows[i].text, rows[i].kind, rows[i].proxy_url, &d, &why),
                         ERR_SYNTAX);
        assert_non_null(strstr(why, rows[i].why));
        assert_null(d.target);
    }
}

static void test_one_file_for_each_gateway(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"https://gw.example.com", "https_gw.example.com_443.jwt"},
        {"GW.example.com:443", "https_gw.example.com_443.jwt"},
        {"https://gw.example.com:8443/any/path", "https_gw.example.com_8443.jwt"},
        {"http://gw.example.com", "http_gw.example.com_80.jwt"},
        {"https://[::1]", "https_%3A%3A1_443.jwt"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO(endpoint_fini) struct endpoint e = {0};
        AUTO_FREE char *why = NULL;
        assert_int_equal(endpoint_parse(rows[i][0], &e, &why), OK);
        AUTO_FREE char *name = endpoint_file_name(&e);
        assert_string_equal(name, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_meant),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_one_file_for_each_gateway),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
