#include "cli/tunnel/ssh_words.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

enum { WORDS_MAX = 12 };

static struct ssh_words parse(const char *line)
{
    char *words[WORDS_MAX];
    AUTO_FREE char *text = mem_strdup(line);
    char *rest = text;
    int count = 0;
    for (char *word; (word = strsep(&rest, " "));)
        words[count++] = word;
    return ssh_words_parse(count, words);
}

static void test_finds_the_destination(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        int destination;
        bool jump;
    } rows[] = {
        {"host", 0, false},
        {"me@host ls -J", 0, false},
        {"-p 22 host", 2, false},
        {"-p22 host", 1, false},
        {"-vvv -N host", 2, false},
        {"-NvL 1:a:2 host", 2, false},
        {"-o ProxyJump=x -l me host cmd", 4, false},
        {"-J jump host", 2, true},
        {"-Jjump host", 1, true},
        {"-4 -- host", 2, false},
        {"-v", -1, false},
        {"-p", -1, false},
        {"-4 --", -1, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct ssh_words w = parse(rows[i].line);
        assert_int_equal(w.destination, rows[i].destination);
        assert_int_equal(w.jump, rows[i].jump);
    }
}

static void test_quotes(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 100);
    assert_int_equal(ssh_words_quote("a b'$c%d", &b), OK);
    AUTO_FREE char *s = buf_to_str(&b);
    assert_string_equal(s, "'a b'\\''$c%%d'");
    AUTO(buf_fini) struct buf tight;
    buf_init(&tight, 3);
    assert_int_equal(ssh_words_quote("ab", &tight), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_destination),
        cmocka_unit_test(test_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
