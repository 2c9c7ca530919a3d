#include "proxy/ssh/ident.h"
#include "tests/support/test.h"

struct result {
    enum err err;
    size_t used;
    char line[300];
};

/* Fed `cut` bytes at a time; stops at the first result that is not ERR_MORE. */
static struct result run(bool is_client, struct view in, size_t cut)
{
    struct ident s = {0};
    struct result r = {.err = ERR_MORE};
    size_t have = 0;
    while (r.err == ERR_MORE && have < in.len) {
        size_t used = 0;
        struct view line = {0};
        have = have + cut < in.len ? have + cut : in.len;
        r.err = ident_take(&s, is_client, view_take(view_skip(in, r.used), have - r.used), &used,
                           &line);
        r.used += used;
        if (r.err == OK)
            (void)snprintf(r.line, sizeof r.line, "%.*s", VIEW_FMT(line));
    }
    return r;
}

static char long_line[300];
static char long_banner[9000];

static void test_lines(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        enum err server;
        enum err client;
        const char *line;
    } cases[] = {
        {"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", OK, OK, "SSH-2.0-OpenSSH_9.2p1 Debian-2"},
        {"SSH-2.0-x\n", OK, OK, "SSH-2.0-x"},
        {"SSH-2.0-Cisco-1.25\r\n", OK, OK, "SSH-2.0-Cisco-1.25"},
        {"SSH-1.99-x\r\n", ERR_UNSUPPORTED, OK, "SSH-1.99-x"},
        {"SSH-1.5-x\r\n", ERR_UNSUPPORTED, ERR_UNSUPPORTED, NULL},
        {"SSH-2.1-x\r\n", ERR_UNSUPPORTED, ERR_UNSUPPORTED, NULL},
        {"SSH-2.0-\r\n", ERR_PROTOCOL, ERR_PROTOCOL, NULL},
        {"SSH-2.0- comment\r\n", ERR_PROTOCOL, ERR_PROTOCOL, NULL},
        {"SSH-2.0-x\r\r\n", ERR_PROTOCOL, ERR_PROTOCOL, NULL},
        {"SSH-2.0-x\x07\r\n", ERR_PROTOCOL, ERR_PROTOCOL, NULL},
        {"SSH-2.0-\xc3\xbc\r\n", ERR_PROTOCOL, ERR_PROTOCOL, NULL},
        {"welcome\r\nto this\nSSH-2.0-x\r\n", ERR_PROTOCOL, OK, "SSH-2.0-x"},
        {"GET / HTTP/1.1\r\n\r\n", ERR_PROTOCOL, ERR_MORE, NULL},
        {"\r\n", ERR_PROTOCOL, ERR_MORE, NULL},
        {"SSH-2.0-", ERR_MORE, ERR_MORE, NULL},
        {long_line, ERR_PROTOCOL, ERR_PROTOCOL, NULL},
        {long_banner, ERR_PROTOCOL, ERR_PROTOCOL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].in);
        for (size_t cut = 1; cut <= len; cut += len > 500 ? 997 : 1) {
            struct result server = run(false, view_str(cases[i].in), cut);
            struct result client = run(true, view_str(cases[i].in), cut);
            CHECK_ERR(server.err, cases[i].server);
            CHECK_ERR(client.err, cases[i].client);
            if (server.err == OK)
                assert_string_equal(server.line, cases[i].line);
            if (client.err == OK) {
                assert_string_equal(client.line, cases[i].line);
                assert_int_equal(client.used, len);
            }
        }
    }
}

/* What follows the identification is not touched. */
static void test_rest(void **state)
{
    (void)state;
    struct result r = run(false, VIEW("SSH-2.0-x\r\n\0\0\1binary\nmore"), 100);
    CHECK_ERR(r.err, OK);
    assert_int_equal(r.used, 11);
}

static void test_banner_lines(void **state)
{
    (void)state;
    for (int lines = IDENT_BANNER_LINES; lines <= IDENT_BANNER_LINES + 1; lines++) {
        struct buf b;
        buf_init(&b, 1 << 20);
        for (int i = 0; i < lines; i++)
            CHECK_OK(buf_append_str(&b, "a line\r\n"));
        CHECK_OK(buf_append_str(&b, "SSH-2.0-x\r\n"));
        struct result r = run(true, buf_view(&b), 4096);
        CHECK_ERR(r.err, lines == IDENT_BANNER_LINES ? OK : ERR_PROTOCOL);
        buf_fini(&b);
    }
}

/* The longest that is taken: 255 with CR LF. */
static void test_longest(void **state)
{
    (void)state;
    char line[IDENT_MAX + 10];
    for (size_t len = IDENT_MAX - 4; len < IDENT_MAX + 3; len++) {
        memset(line, 'a', sizeof line);
        memcpy(line, "SSH-2.0-", 8);
        memcpy(line + len - 2, "\r\n", 2);
        struct result r = run(false, view_of(line, len), 1);
        CHECK_ERR(r.err, len <= IDENT_MAX ? OK : ERR_PROTOCOL);
    }
}

static void test_software(void **state)
{
    (void)state;
    CHECK_VIEW_STR(ident_software(VIEW("SSH-2.0-OpenSSH_9.2p1 Debian-2")), "OpenSSH_9.2p1");
    CHECK_VIEW_STR(ident_software(VIEW("SSH-1.99-Cisco-1.25")), "Cisco-1.25");
    CHECK_VIEW_STR(ident_software(VIEW("SSH-2.0")), "");
    CHECK_VIEW_STR(ident_software(VIEW("")), "");
}

int main(void)
{
    memset(long_line, 'a', sizeof long_line - 1);
    memcpy(long_line, "SSH-2.0-", 8);
    memset(long_banner, 'a', sizeof long_banner - 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),        cmocka_unit_test(test_rest),
        cmocka_unit_test(test_banner_lines), cmocka_unit_test(test_longest),
        cmocka_unit_test(test_software),
    };
    return RUN(tests);
}
