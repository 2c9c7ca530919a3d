#include "common/http/masque.h"

#include "tests/support/test.h"

static const struct {
    const char *path; /* behind the prefix, where `host` is one */
    const char *host; /* NULL: refused */
    uint16_t port;
    bool is_ipv6;
} rows[] = {
    {MASQUE_PREFIX "dns.example.com/53/", "dns.example.com", 53, false},
    {MASQUE_PREFIX "DNS.Example.com/65535/", "dns.example.com", 65535, false},
    {MASQUE_PREFIX "%64ns/1/", "dns", 1, false},
    {MASQUE_PREFIX "192.0.2.6/443/", "192.0.2.6", 443, false},
    {MASQUE_PREFIX "2001%3Adb8%3a%3A42/443/", "2001:db8::42", 443, true},
    {MASQUE_PREFIX "2001:DB8::42/443/", "2001:db8::42", 443, true},
    {MASQUE_PREFIX "::1/443/", "::1", 443, true},
    {"", NULL, 0, false},
    {"/", NULL, 0, false},
    {MASQUE_PREFIX, NULL, 0, false},
    {MASQUE_PREFIX "a", NULL, 0, false},
    {MASQUE_PREFIX "a/", NULL, 0, false},
    {MASQUE_PREFIX "a/53", NULL, 0, false},
    {MASQUE_PREFIX "a//", NULL, 0, false},
    {MASQUE_PREFIX "/53/", NULL, 0, false},
    {MASQUE_PREFIX "a/53//", NULL, 0, false},
    {MASQUE_PREFIX "a/53/b", NULL, 0, false},
    {MASQUE_PREFIX "a/53/b/", NULL, 0, false},
    {MASQUE_PREFIX "a/b/53/", NULL, 0, false},
    {MASQUE_PREFIX "a/0/", NULL, 0, false},
    {MASQUE_PREFIX "a/65536/", NULL, 0, false},
    {MASQUE_PREFIX "a/+53/", NULL, 0, false},
    {MASQUE_PREFIX "a/-1/", NULL, 0, false},
    {MASQUE_PREFIX "a/5%33/", NULL, 0, false},
    {MASQUE_PREFIX "a/dns/", NULL, 0, false},
    {MASQUE_PREFIX "a:1/53/", NULL, 0, false},
    {MASQUE_PREFIX "[::1]/53/", NULL, 0, false},
    {MASQUE_PREFIX "%5B::1%5D/53/", NULL, 0, false},
    {MASQUE_PREFIX "fe80::1%25eth0/53/", NULL, 0, false},
    {MASQUE_PREFIX "a%/53/", NULL, 0, false},
    {MASQUE_PREFIX "a%2/53/", NULL, 0, false},
    {MASQUE_PREFIX "a%2fb/53/", NULL, 0, false},
    {MASQUE_PREFIX "a%00/53/", NULL, 0, false},
    {MASQUE_PREFIX "a%20b/53/", NULL, 0, false},
    {MASQUE_PREFIX "u@a/53/", NULL, 0, false},
    {"/.well-known/masque/ip/a/53/", NULL, 0, false},
    {"/.well-known/masque/udp", NULL, 0, false},
    {"/.Well-Known/masque/udp/a/53/", NULL, 0, false},
};

static void test_parse(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct authority a = {.port = 7};
        struct buf host;
        buf_init(&host, 255);
        CHECK_OK(buf_append_str(&host, "before"));
        enum err e = masque_parse(view_str(rows[i].path), &host, &a);
        if (rows[i].host) {
            CHECK_OK(e);
            CHECK_VIEW_STR(a.host, rows[i].host);
            assert_ptr_equal(a.host.ptr, buf_view(&host).ptr);
            assert_int_equal(a.is_ipv6, rows[i].is_ipv6);
            assert_int_equal(a.port, rows[i].port);
        } else {
            if (e != ERR_SYNTAX)
                fail_msg("%s gave %s", rows[i].path, err_name(e));
            assert_int_equal(a.port, 7);
            CHECK_VIEW_STR(buf_view(&host), "before");
        }
        buf_fini(&host);
    }
}

static void test_long_host(void **state)
{
    (void)state;
    struct buf path;
    struct buf host;
    struct authority a;
    for (size_t len = 254; len < 258; len++) {
        buf_init(&path, 4096);
        buf_init(&host, 255);
        CHECK_OK(buf_append_str(&path, MASQUE_PREFIX));
        for (size_t i = 0; i < len; i++)
            CHECK_OK(buf_append_str(&path, "%61"));
        CHECK_OK(buf_append_str(&path, "/1/"));
        CHECK_ERR(masque_parse(buf_view(&path), &host, &a), len <= 255 ? OK : ERR_SYNTAX);
        buf_fini(&path);
        buf_fini(&host);
    }
    /* A buffer that cannot hold it is left alone. */
    buf_init(&host, 3);
    CHECK_ERR(masque_parse(VIEW(MASQUE_PREFIX "abcd/1/"), &host, &a), ERR_LIMIT);
    buf_fini(&host);
}

static void test_write(void **state)
{
    (void)state;
    struct buf out;
    struct buf host;
    struct authority back;
    struct authority a = {.host = VIEW("2001:db8::42"), .port = 443, .is_ipv6 = true};
    buf_init(&out, 4096);
    buf_init(&host, 255);
    CHECK_OK(masque_write(&a, &out));
    CHECK_VIEW_STR(buf_view(&out), "/.well-known/masque/udp/2001%3Adb8%3A%3A42/443/");
    CHECK_OK(masque_parse(buf_view(&out), &host, &back));
    CHECK_VIEW(back.host, a.host);
    assert_true(back.is_ipv6);
    buf_fini(&out);
    buf_fini(&host);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_long_host),
        cmocka_unit_test(test_write),
    };
    return RUN(tests);
}
