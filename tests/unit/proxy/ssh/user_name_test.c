#include "proxy/ssh/user_name.h"

#include "tests/support/test.h"

static void split(const char *text, const char *login, const char *route)
{
    struct user_name n;
    CHECK_OK(user_name_split(view_str(text), &n));
    CHECK_VIEW_STR(n.login, login);
    CHECK_VIEW_STR(n.route, route);
}

static void test_split(void **state)
{
    (void)state;
    split("dev@web1", "dev", "web1");
    split("foo@bar@baz", "foo@bar", "baz");
    split("dev", "dev", "");
    split("dev@", "dev", "");
    split("@web1", "", "web1");
    split("", "", "");
    split("dev@web1:22", "dev", "web1");
    split("dev@web1:", "dev", "web1:");
    split("dev@web1:ssh", "dev", "web1:ssh");
    split("dev@Web1.Example", "dev", "Web1.Example");
    split("d\xc3\xa9v@web1", "d\xc3\xa9v", "web1");
}

/* The name ends up in JSON, protobuf and certificates: nothing that is no UTF-8 gets there. */
static void test_not_utf8(void **state)
{
    (void)state;
    struct user_name n;
    CHECK_ERR(user_name_split(VIEW("d\xff@web1"), &n), ERR_SYNTAX);
    CHECK_ERR(user_name_split(VIEW("dev@web1\xc3"), &n), ERR_SYNTAX);
    CHECK_ERR(user_name_split(VIEW("\xc0\xaf@web1"), &n), ERR_SYNTAX);
    CHECK_ERR(user_name_split(VIEW("\xed\xa0\x80@web1"), &n), ERR_SYNTAX);
    CHECK_ERR(user_name_split(VIEW("dev@web\xc2\x9b"), &n), ERR_SYNTAX); /* C1: CSI */
    CHECK_OK(user_name_split(VIEW("\xe5\x90\x8d@web1"), &n));
}

static void test_control_bytes(void **state)
{
    (void)state;
    struct user_name n;
    CHECK_ERR(user_name_split(VIEW("dev\n@web1"), &n), ERR_SYNTAX);
    CHECK_ERR(user_name_split(VIEW("dev@web\0"), &n), ERR_SYNTAX);
    CHECK_ERR(user_name_split(VIEW("dev@\x7f"), &n), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_control_bytes),
        cmocka_unit_test(test_not_utf8),
    };
    return RUN(tests);
}
