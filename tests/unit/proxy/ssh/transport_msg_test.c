#include "proxy/ssh/msg.h"
#include "tests/support/test.h"

static void test_disconnect(void **state)
{
    (void)state;
    struct buf out;
    struct msg_disconnect d;
    buf_init(&out, 4096);
    CHECK_OK(msg_disconnect_write(&out, REASON_BY_APPLICATION, VIEW("good bye\n")));
    CHECK_VIEW(buf_view(&out), VIEW("\x01\0\0\0\x0b\0\0\0\x09good bye?\0\0\0\0"));
    CHECK_OK(msg_disconnect_parse(buf_view(&out), &d));
    assert_int_equal(d.reason, REASON_BY_APPLICATION);
    CHECK_VIEW_STR(d.text, "good bye?");
    /* Old implementations leave the language tag or the text away. */
    CHECK_OK(msg_disconnect_parse(view_take(buf_view(&out), 18), &d));
    CHECK_VIEW_STR(d.text, "good bye?");
    CHECK_OK(msg_disconnect_parse(view_take(buf_view(&out), 5), &d));
    CHECK_VIEW_STR(d.text, "");
    for (size_t n = 0; n < 5; n++)
        CHECK_ERR(msg_disconnect_parse(view_take(buf_view(&out), n), &d), ERR_SYNTAX);
    buf_fini(&out);
}

static void test_text(void **state)
{
    (void)state;
    char text[600];
    struct buf out;
    buf_init(&out, 4096);
    memset(text, 'a', sizeof text);
    /* A character of two bytes across the limit is left out whole. */
    memcpy(text + MSG_TEXT_MAX - 1, "\xc3\xa4", 2);
    CHECK_OK(msg_text_clean(view_of(text, sizeof text), &out));
    assert_int_equal(out.len, MSG_TEXT_MAX - 1);
    buf_clear(&out);
    CHECK_OK(msg_text_clean(VIEW("\x1b]0;owned\x07 ok\r\n"), &out));
    assert_int_equal(view_find(buf_view(&out), 0x1b), -1);
    assert_int_equal(view_find(buf_view(&out), '\n'), -1);
    buf_fini(&out);
}

static void test_ext_info(void **state)
{
    (void)state;
    struct view all = VIEW("\x07\0\0\0\3"
                           "\0\0\0\x0fserver-sig-algs\0\0\0\x0bssh-ed25519"
                           "\0\0\0\x10ping@openssh.com\0\0\0\1"
                           "0"
                           "\0\0\0\7unknown\0\0\0\0");
    struct msg_ext_info info;
    CHECK_OK(msg_ext_info_parse(all, &info));
    CHECK_VIEW_STR(info.server_sig_algs, "ssh-ed25519");
    assert_true(info.has_ping);
    assert_false(info.has_hostbound);
    for (size_t n = 0; n < all.len; n++)
        CHECK_ERR(msg_ext_info_parse(view_take(all, n), &info), ERR_SYNTAX);
    CHECK_ERR(msg_ext_info_parse(VIEW("\x07\0\1\0\0"), &info), ERR_LIMIT);
    CHECK_ERR(msg_ext_info_parse(VIEW("\x07\0\0\0\0more"), &info), ERR_SYNTAX);
}

static void test_lists(void **state)
{
    (void)state;
    struct view name;
    assert_true(msg_list_pick(VIEW("a,b,c"), VIEW("c,b"), &name));
    CHECK_VIEW_STR(name, "b");
    assert_false(msg_list_pick(VIEW("a,b"), VIEW("ab"), &name));
    assert_false(msg_list_pick(VIEW(""), VIEW(""), &name));
    assert_true(msg_list_valid(VIEW("")));
    assert_true(msg_list_valid(VIEW("a,b@c")));
    static const char *const bad[] = {",", "a,", ",a", "a,,b", "a b", "a\x7f", "\xff", "a\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(msg_list_valid(view_str(bad[i])));
}

static void test_reasons(void **state)
{
    (void)state;
    assert_int_equal(msg_reason_of(ERR_PROTOCOL), 2);
    assert_int_equal(msg_reason_of(ERR_NEGOTIATION), 3);
    assert_int_equal(msg_reason_of(ERR_MAC), 5);
    assert_int_equal(msg_reason_of(ERR_UNAVAILABLE), 7);
    assert_int_equal(msg_reason_of(ERR_UNSUPPORTED), 8);
    assert_int_equal(msg_reason_of(ERR_VERIFY), 9);
    assert_int_equal(msg_reason_of(ERR_INTERNAL), 11);
    assert_string_equal(msg_name(MSG_KEXINIT), "KEXINIT");
    assert_string_equal(msg_name(200), "unknown message");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_disconnect), cmocka_unit_test(test_text),
        cmocka_unit_test(test_ext_info),   cmocka_unit_test(test_lists),
        cmocka_unit_test(test_reasons),
    };
    return RUN(tests);
}
