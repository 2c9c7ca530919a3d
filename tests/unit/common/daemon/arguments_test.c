#include "common/daemon/arguments.h"

#include "tests/support/test.h"

static enum err parse(struct arguments *out, const char **wrong, const char *a, const char *b)
{
    char *argv[] = {(char *)"postern-x", (char *)a, (char *)b, NULL};
    return arguments_parse(b ? 3 : a ? 2 : 1, argv, out, wrong);
}

static void test_accepted(void **state)
{
    (void)state;
    struct arguments a;
    const char *wrong;
    CHECK_OK(parse(&a, &wrong, NULL, NULL));
    assert_int_equal(a.action, ARGUMENTS_RUN);
    assert_null(a.config);
    CHECK_OK(parse(&a, &wrong, "--config", "x.yaml"));
    assert_string_equal(a.config, "x.yaml");
    CHECK_OK(parse(&a, &wrong, "-config", "x.yaml"));
    assert_string_equal(a.config, "x.yaml");
    CHECK_OK(parse(&a, &wrong, "--check", "--config=y"));
    assert_string_equal(a.config, "y");
    assert_int_equal(a.action, ARGUMENTS_CHECK);
    CHECK_OK(parse(&a, &wrong, "--version", NULL));
    assert_int_equal(a.action, ARGUMENTS_VERSION);
    CHECK_OK(parse(&a, &wrong, "-h", NULL));
    assert_int_equal(a.action, ARGUMENTS_HELP);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"--config", "--config=", "--chek",   "x",
                                      "-",        "--",        "--check=1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arguments a = {.config = "untouched"};
        const char *wrong = NULL;
        CHECK_ERR(parse(&a, &wrong, bad[i], NULL), ERR_SYNTAX);
        assert_string_equal(wrong, bad[i]);
        assert_string_equal(a.config, "untouched");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
    };
    return RUN(tests);
}
