#include "cli/tunnel/listing.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

static const char answer[] =
    "{\"routes\":["
    "{\"id\":\"1\",\"name\":\"ssh\",\"type\":\"tcp\",\"from\":\"tcp+https://ssh.test:22\","
    "\"description\":\"A shell\",\"connect_command\":\"pomerium-cli tcp ssh.test:22\"},"
    "{\"id\":\"2\",\"name\":\"far\",\"type\":\"tcp\","
    "\"from\":\"tcp+https://proxy.test:8443/far.test:22\","
    "\"connect_command\":\"pomerium-cli tcp tcp+https://proxy.test:8443/far.test:22\"},"
    "{\"id\":\"3\",\"name\":\"db\",\"type\":\"tcp\",\"from\":\"tcp+https://db.test:5432\"},"
    "{\"id\":\"4\",\"name\":\"dns\",\"type\":\"udp\",\"from\":\"udp+https://dns.test:53\"},"
    "{\"id\":\"5\",\"name\":\"web1\",\"type\":\"ssh\",\"from\":\"ssh://web1\","
    "\"connect_command\":\"ssh -p 2222 LOGIN@web1@gw.test\"},"
    "{\"id\":\"6\",\"name\":\"bad\",\"type\":\"ssh\",\"from\":\"ssh://x\","
    "\"connect_command\":\"ssh LOGIN@x\\ny@gw.test\"},"
    "{\"id\":\"7\",\"name\":\"any\",\"type\":\"tcp\",\"from\":\"tcp+https://any.test\"}"
    "]}";

static struct json *parsed(void)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(view_str(answer), &v), OK);
    return v;
}

static void test_lines(void **state)
{
    (void)state;
    AUTO(json_free_ptr) struct json *v = parsed();
    AUTO(buf_fini) struct buf b;
    buf_init(&b, LISTING_MAX);
    assert_int_equal(listing_text(v, &b), OK);
    AUTO_FREE char *s = buf_to_str(&b);
    assert_ptr_equal(strstr(s, "Route ssh\nid: 1\ntype: tcp\nfrom: tcp+https://ssh.test:22\n"
                               "description: A shell\n"
                               "connect_command: postern tcp ssh.test:22\n\nRoute far\n"),
                     s);
    assert_non_null(strstr(s, "description:\n"));
    assert_non_null(strstr(s, "connect_command: ssh -p 2222 LOGIN@web1@gw.test\n"));
}

static void test_ssh_config(void **state)
{
    (void)state;
    AUTO(json_free_ptr) struct json *v = parsed();
    AUTO(buf_fini) struct buf b;
    buf_init(&b, LISTING_MAX);
    const struct listing_ssh how = {"'/usr/bin/postern'", " --headless", "https://gw.test", "dev"};
    assert_int_equal(listing_ssh_config(v, &how, &b), OK);
    AUTO_FREE char *s = buf_to_str(&b);
    assert_string_equal(
        s, "# Routes of https://gw.test, made by \"postern ssh-config\".\n"
           "\nHost ssh.test\n  ProxyCommand '/usr/bin/postern' tcp --headless --listen - %h:%p\n"
           "\nHost far.test\n  ProxyCommand '/usr/bin/postern' tcp --headless --listen - "
           "tcp+https://proxy.test:8443/%h:%p\n"
           "\nHost web1\n  HostName gw.test\n  User dev@web1\n  Port 2222\n"
           "\nHost any.test\n  ProxyCommand '/usr/bin/postern' tcp --headless --listen - %h:%p\n");
}

static void test_too_long(void **state)
{
    (void)state;
    AUTO(json_free_ptr) struct json *v = parsed();
    for (size_t max = 0; max < 200; max++) {
        AUTO(buf_fini) struct buf b;
        buf_init(&b, max);
        const struct listing_ssh how = {"p", "", "g", "l"};
        assert_int_equal(listing_text(v, &b), ERR_LIMIT);
        buf_clear(&b);
        assert_int_equal(listing_ssh_config(v, &how, &b), ERR_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_ssh_config),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
