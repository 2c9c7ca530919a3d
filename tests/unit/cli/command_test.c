#include "cli/command.h"

#include <stdio.h>
#include <string.h>

#include "tests/support/test.h"

static const struct command row = {.name = "try", .usage = "WORD [--out FILE] [--all]"};

struct parsed {
    struct cli cli;
    const char *out;
    bool all;
    const char *words[1];
    int count;
    char line[100]; /* what the words point into */
};

enum { ARGS_MAX = 8 };

/* The words of `line`, which is changed. */
static int split(char *line, char **args)
{
    int count = 0;
    char *rest = line;
    for (char *word; (word = strsep(&rest, " "));)
        args[count++] = word;
    return count;
}

static int parse(struct parsed *p, const char *text)
{
    char *args[ARGS_MAX];
    *p = (struct parsed){.cli = {.config_file = "default", .command = &row, .args = args}};
    (void)snprintf(p->line, sizeof p->line, "%s", text);
    p->cli.arg_count = split(p->line, args);
    struct cli_option options[] = {
        {"--out", &p->out, NULL, false}, {"--all", NULL, &p->all, false}, {0}};
    struct cli_positional positional = {.words = p->words, .min = 1, .max = 1};
    int status = cli_parse(&p->cli, options, &positional);
    p->count = positional.count;
    return status;
}

static int run(const char *text)
{
    char line[100], *args[ARGS_MAX];
    (void)snprintf(line, sizeof line, "%s", text);
    return cli_main(split(line, args), args);
}

static void test_options_of_every_command(void **state)
{
    (void)state;
    struct parsed p;
    assert_int_equal(parse(&p, "one --json --out --json"), CLI_OK);
    assert_true(p.cli.json);
    assert_string_equal(p.out, "--json");
    assert_int_equal(parse(&p, "--config c.yaml --all one --admin a.pem"), CLI_OK);
    assert_string_equal(p.cli.config_file, "c.yaml");
    assert_string_equal(p.cli.admin_file, "a.pem");
    assert_string_equal(p.words[0], "one");
    assert_int_equal(p.count, 1);
    assert_true(p.all);
    assert_false(p.cli.json);
}

static void test_words_that_are_off(void **state)
{
    (void)state;
    struct parsed p;
    assert_int_equal(parse(&p, "one --config"), CLI_USAGE);
    assert_int_equal(parse(&p, "one --out"), CLI_USAGE);
    assert_int_equal(parse(&p, "one --jso"), CLI_USAGE);
    assert_int_equal(parse(&p, "one two"), CLI_USAGE);
    assert_int_equal(parse(&p, "--all"), CLI_USAGE);
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(run("postern keygen admin --help"), CLI_OK);
    assert_int_equal(run("postern sessions list --json -h"), CLI_OK);
    assert_int_equal(run("postern --config"), CLI_USAGE);
    assert_int_equal(run("postern nothing"), CLI_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_of_every_command),
        cmocka_unit_test(test_words_that_are_off),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
