#include "cli/client_flags.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

enum { WORDS_MAX = 40 };

struct parsed {
    struct client_flags flags;
    const char *word;
    int count;
    int status;
    char *text; /* what the words point into */
};

static void parse(struct parsed *p, enum client_command command, const char *line)
{
    static const struct command row = {.name = "tcp", .usage = ""};
    char *args[WORDS_MAX];
    *p = (struct parsed){.text = mem_strdup(line)};
    struct cli cli = {.command = &row, .args = args};
    char *rest = p->text;
    for (char *word; (word = strsep(&rest, " "));)
        args[cli.arg_count++] = word;
    struct cli_positional words = {&p->word, 1, 1, 0};
    p->status = client_flags_parse(&cli, command, &p->flags, &words);
    p->count = words.count;
}

static void parsed_fini(struct parsed *p)
{
    mem_free(p->text);
}

/* The table of flags in Pomerium's documentation, before and behind the destination. */
static void test_every_flag_of_the_table(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--alternate-ca-path ca --browser-cmd b --ca-cert c --client-cert d --client-key e "
        "--disable-tls-verification --listen - --pomerium-url https://p --service-account s h:1",
        "h:1 --alternate-ca-path=ca --browser-cmd=b --ca-cert=c --client-cert=d --client-key=e "
        "--disable-tls-verification --listen=- --pomerium-url=https://p --service-account=s",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        AUTO(parsed_fini) struct parsed p;
        parse(&p, CLIENT_TCP, lines[i]);
        assert_int_equal(p.status, CLI_OK);
        assert_string_equal(p.word, "h:1");
        assert_string_equal(p.flags.alternate_ca_path, "ca");
        assert_string_equal(p.flags.browser_cmd, "b");
        assert_string_equal(p.flags.ca_cert, "c");
        assert_string_equal(p.flags.client_cert, "d");
        assert_string_equal(p.flags.client_key, "e");
        assert_string_equal(p.flags.listen, "-");
        assert_string_equal(p.flags.pomerium_url, "https://p");
        assert_string_equal(p.flags.service_account, "s");
        assert_true(p.flags.disable_tls_verification);
        assert_false(p.flags.headless);
    }
}

static void test_usage(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "h:1 --listen",
        "h:1 --nothing",
        "h:1 --disable-tls-verification=yes",
        "h:1 extra",
        "--listen -",
        "h:1 --client-cert-from-store",
        "h:1 --client-cert-from-store --client-cert-issuer CN=a",
        "h:1 --client-cert-from-store --client-cert-subject OU",
        "h:1 --client-cert-issuer CN=a",
        "h:1 --client-key k",
        "h:1 --service-account a --service-account-file b",
        "h:1 --all",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        AUTO(parsed_fini) struct parsed p;
        parse(&p, CLIENT_TCP, lines[i]);
        assert_int_equal(p.status, CLI_USAGE);
    }
    AUTO(parsed_fini) struct parsed p;
    parse(&p, CLIENT_LOGIN, "https://h --listen x");
    assert_int_equal(p.status, CLI_USAGE);
}

static void test_flags_before_ssh_s_own(void **state)
{
    (void)state;
    char *words[] = {(char *)"--headless", (char *)"--ca-cert",
                     (char *)"x",          (char *)"--pomerium-url=https://g",
                     (char *)"-p",         (char *)"22",
                     (char *)"host"};
    assert_int_equal(client_flags_prefix(CLIENT_SSH, 7, words), 4);
    assert_int_equal(client_flags_prefix(CLIENT_SSH, 2, words), -1);
    assert_int_equal(client_flags_prefix(CLIENT_SSH, 3, words + 4), 0);
    char *unknown[] = {(char *)"--listen", (char *)"-", (char *)"host"};
    assert_int_equal(client_flags_prefix(CLIENT_SSH, 3, unknown), -1);
    char *end[] = {(char *)"--", (char *)"host"};
    assert_int_equal(client_flags_prefix(CLIENT_SSH, 2, end), 0);
}

static void test_flags_for_a_proxy_command(void **state)
{
    (void)state;
    char *words[] = {(char *)"--login",       (char *)"--headless", (char *)"--headless",
                     (char *)"https://gw",    (char *)"--json",     (char *)"--ca-cert=/etc/../etc",
                     (char *)"--browser-cmd", (char *)"a 'b' %c",   (char *)"--client-cert",
                     (char *)"no such file"};
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1000);
    assert_int_equal(client_flags_quote(CLIENT_SSH, 10, words, &b), OK);
    AUTO_FREE char *s = buf_to_str(&b);
    assert_string_equal(s, " --headless --ca-cert '/etc' --browser-cmd 'a '\\''b'\\'' %%c' "
                           "--client-cert 'no such file'");
    for (size_t max = 0; max < strlen(s); max++) {
        AUTO(buf_fini) struct buf tight;
        buf_init(&tight, max);
        assert_int_equal(client_flags_quote(CLIENT_SSH, 10, words, &tight), ERR_LIMIT);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_flag_of_the_table),
        cmocka_unit_test(test_usage),
        cmocka_unit_test(test_flags_before_ssh_s_own),
        cmocka_unit_test(test_flags_for_a_proxy_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
