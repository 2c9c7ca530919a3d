#include "common/http/url.h"
#include "tests/support/test.h"

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *scheme, *host, *path, *query, *fragment;
        uint16_t port, effective;
    } rows[] = {
        {"https://a.test", "https", "a.test", "", "", "", 0, 443},
        {"HTTP://A:8080/x/y?q=1&r#f?g", "HTTP", "A", "/x/y", "q=1&r", "f?g", 8080, 8080},
        {"http://[2001:db8::1]/?", "http", "2001:db8::1", "/", "", "", 0, 80},
        {"tcp+https://[::1]:22", "tcp+https", "::1", "", "", "", 22, 22},
        {"udp+https://a", "udp+https", "a", "", "", "", 0, 443},
        {"ssh://u:p@h:22/", "ssh", "h", "/", "", "", 22, 22},
        {"tcp://redis_1.x:65535", "tcp", "redis_1.x", "", "", "", 65535, 65535},
        {"https://a?x://y", "https", "a", "", "x://y", "", 0, 443},
        {"https://a/%41%2f", "https", "a", "/%41%2f", "", "", 0, 443},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        CHECK_OK(url_parse(view_str(rows[i].text), &u));
        CHECK_VIEW_STR(u.scheme, rows[i].scheme);
        CHECK_VIEW_STR(u.authority.host, rows[i].host);
        CHECK_VIEW_STR(u.path, rows[i].path);
        CHECK_VIEW_STR(u.query, rows[i].query);
        CHECK_VIEW_STR(u.fragment, rows[i].fragment);
        assert_int_equal(u.authority.port, rows[i].port);
        assert_int_equal(url_port(&u), rows[i].effective);
    }
    struct url u;
    CHECK_OK(url_parse(VIEW("http://u:p@h/?#"), &u));
    assert_true(u.has_userinfo && u.has_query && u.has_fragment);
    CHECK_VIEW_STR(u.userinfo, "u:p");
    CHECK_OK(url_parse(VIEW("http://h/"), &u));
    assert_false(u.has_userinfo || u.has_query || u.has_fragment);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "https",
        "https:",
        "https:/a",
        "//a",
        "://a",
        "/path",
        "1ttp://a",
        "ht_tp://a",
        "https://",
        "https:///x",
        "https://:80",
        "https://a:",
        "https://a:0",
        "https://a:65536",
        "https://a:+1",
        "https://a:1a",
        "https://a:1:2",
        "https://a b",
        "https://a\\@b/",
        "https://a/\t",
        "https://a/\n",
        "https://a/\x7f",
        "https://a/\xc3\xa4",
        "https://\xc3\xa4.test",
        "https://a%2eb/",
        "https://a/%",
        "https://a/%4",
        "https://a/%zz",
        "https://a/<x>",
        "https://[::1",
        "https://[::1]x",
        "https://[::1]:",
        "https://[1.2.3.4]",
        "https://[fe80::1%25eth0]",
        "https://::1/",
        "https://u@v@h/",
        "https://a,b/",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        if (url_parse(view_str(rows[i]), &u) != ERR_SYNTAX)
            fail_msg("taken: %s", rows[i]);
    }
    struct url u;
    CHECK_ERR(url_parse(view_of("https://a/\0", 11), &u), ERR_SYNTAX);
    AUTO_FREE char *large = mem_zalloc(URL_MAX + 1);
    memset(large, 'a', URL_MAX + 1);
    memcpy(large, "http://", 7);
    CHECK_ERR(url_parse(view_of(large, URL_MAX + 1), &u), ERR_LIMIT);
}

static void test_authority(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *written; /* NULL: refused */
        bool loopback;
    } rows[] = {
        {"A.test:22", "a.test:22", false},
        {"a", "a", false},
        {"[2001:DB8::1]:22", "[2001:db8::1]:22", false},
        {"[::1]", "[::1]", true},
        {"[0:0:0:0:0:0:0:1]:1", "[0:0:0:0:0:0:0:1]:1", true},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.255.1.2:80", "127.255.1.2:80", true},
        {"127.0.0.1.evil.test", "127.0.0.1.evil.test", false},
        {"127.1", "127.1", false},
        {"LocalHost", "localhost", true},
        {"a.localhost", "a.localhost", true},
        {".localhost", ".localhost", false},
        {"notlocalhost", "notlocalhost", false},
        {"localhost.test", "localhost.test", false},
        {"", NULL, false},
        {":22", NULL, false},
        {"a:22:", NULL, false},
        {"a/", NULL, false},
        {"u@a", NULL, false},
        {"[]:1", NULL, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct authority a;
        struct buf out;
        buf_init(&out, 1000);
        enum err e = authority_parse(view_str(rows[i].text), &a);
        assert_int_equal(e, rows[i].written ? OK : ERR_SYNTAX);
        if (e == OK) {
            CHECK_OK(authority_write(&a, &out));
            CHECK_VIEW_STR(buf_view(&out), rows[i].written);
            assert_int_equal(authority_is_loopback(&a), rows[i].loopback);
        }
        buf_fini(&out);
    }
}

static void test_origin(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        const char *origin;
        bool same;
    } rows[] = {
        {"https://A.test/x?y", "https://a.test", true},
        {"https://a.test", "https://a.test:443", true},
        {"http://a.test:80/", "http://a.test", true},
        {"https://a.test", "http://a.test", false},
        {"https://a.test", "https://a.test:8443", false},
        {"https://a.test", "https://b.a.test", false},
        {"https://a.test", "https://a.test.evil", false},
        {"https://a.test", "https://a.test/", false},
        {"https://a.test", "https://u@a.test", false},
        {"https://a.test", "null", false},
        {"https://a.test", "", false},
        {"https://[::1]:8443/", "https://[::1]:8443", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        CHECK_OK(url_parse(view_str(rows[i].url), &u));
        if (url_has_origin(&u, view_str(rows[i].origin)) != rows[i].same)
            fail_msg("%s and %s", rows[i].url, rows[i].origin);
    }
    struct url u;
    struct buf out;
    buf_init(&out, 1000);
    CHECK_OK(url_parse(VIEW("HTTPS://u@A.Test:443/x"), &u));
    CHECK_OK(url_write_origin(&u, &out));
    CHECK_OK(buf_append_u8(&out, ' '));
    CHECK_OK(url_parse(VIEW("http://a:443"), &u));
    CHECK_OK(url_write_origin(&u, &out));
    CHECK_VIEW_STR(buf_view(&out), "https://a.test http://a:443");
    buf_fini(&out);
}

static void test_local_path(void **state)
{
    (void)state;
    static const char *const good[] = {"/", "/a", "/a//b?x=https://y#z", "/.pomerium/?a=%5C"};
    static const char *const bad[] = {"",         "a",        "//evil", "/\\evil",
                                      "\\\\evil", "/a\\b",    "https:", "/a\r\n",
                                      "/a b",     "/\t/evil", " /a",    "/\x7f"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(url_is_local_path(view_str(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(url_is_local_path(view_str(bad[i])));
    assert_false(url_is_local_path(view_of("/\0", 2)));
}

static void test_encoding(void **state)
{
    (void)state;
    struct buf out;
    struct buf back;
    uint8_t all[256];
    for (size_t i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    buf_init(&out, 1000);
    buf_init(&back, 1000);
    CHECK_OK(url_encode(view_of(all, 256), &out));
    CHECK_OK(url_decode(buf_view(&out), &back));
    CHECK_VIEW(buf_view(&back), view_of(all, 256));
    assert_int_equal(view_find(buf_view(&out), '+'), -1);
    buf_clear(&out);
    CHECK_OK(url_encode(VIEW("aZ09-._~/ &\xff"), &out));
    CHECK_OK(url_encode_path(VIEW(" /a/"), &out));
    CHECK_VIEW_STR(buf_view(&out), "aZ09-._~%2F%20%26%FF%20/a/");
    CHECK_ERR(url_decode(VIEW("%"), &back), ERR_SYNTAX);
    CHECK_ERR(url_decode(VIEW("a%4"), &back), ERR_SYNTAX);
    CHECK_ERR(url_decode(VIEW("%4x"), &back), ERR_SYNTAX);
    buf_clear(&out);
    CHECK_OK(buf_append_str(&out, "https://a/x"));
    CHECK_OK(url_add_query(&out, "a b", VIEW("c&d")));
    CHECK_OK(url_add_query(&out, "e", VIEW("")));
    CHECK_VIEW_STR(buf_view(&out), "https://a/x?a%20b=c%26d&e=");
    buf_fini(&out);
    buf_fini(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),      cmocka_unit_test(test_refused),
        cmocka_unit_test(test_authority),  cmocka_unit_test(test_origin),
        cmocka_unit_test(test_local_path), cmocka_unit_test(test_encoding),
    };
    return RUN(tests);
}
