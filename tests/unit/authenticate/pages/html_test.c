#include "authenticate/pages/html.h"

#include "tests/support/test.h"

static char *text_of(struct view text)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1000);
    struct html h = html_to(&out);
    html_text(&h, text);
    CHECK_OK(h.err);
    return buf_to_str(&out);
}

static void test_escapes(void **state)
{
    (void)state;
    AUTO_FREE char *all = text_of(VIEW("<a href=\"x\" id='y'>&amp;</a>"));
    assert_string_equal(all, "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;");
    AUTO_FREE char *utf8 = text_of(VIEW("Grüße €"));
    assert_string_equal(utf8, "Grüße €");
    AUTO_FREE char *empty = text_of((struct view){0});
    assert_string_equal(empty, "");
}

/* No byte, alone or before a quote, gets out of an attribute. */
static void test_every_byte(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const uint8_t bytes[] = {(uint8_t)c, '"', '<'};
        AUTO_FREE char *out = text_of(view_of(bytes, sizeof bytes));
        assert_null(strpbrk(out, "\"<>'"));
        for (const char *p = out; *p; p++)
            assert_true((uint8_t)*p >= ' ' && *p != 0x7f);
        assert_non_null(strstr(out, "&quot;&lt;"));
    }
}

static void test_parts(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1000);
    struct html h = html_to(&out);
    html_row(&h, "<n>", "\"v\"");
    html_hidden(&h, "a\"b", "c<d");
    html_row(&h, "x", NULL);
    html_u64(&h, 18446744073709551615U);
    CHECK_OK(h.err);
    CHECK_VIEW_STR(buf_view(&out), "<tr><th>&lt;n&gt;</th><td>&quot;v&quot;</td></tr>\n"
                                   "<input type=\"hidden\" name=\"a&quot;b\" value=\"c&lt;d\">\n"
                                   "<tr><th>x</th><td></td></tr>\n18446744073709551615");
}

/* After the first failure nothing is added. */
static void test_sticky(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 6);
    struct html h = html_to(&out);
    html_raw(&h, "12345");
    html_str(&h, "<");
    html_raw(&h, "6");
    assert_int_equal(h.err, ERR_LIMIT);
    CHECK_VIEW_STR(buf_view(&out), "12345");
}

static void test_time(void **state)
{
    (void)state;
    AUTO_FREE char *text = html_time(1700000000123);
    assert_string_equal(text, "2023-11-14T22:13:20.123Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes), cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_parts),   cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_time),
    };
    return RUN(tests);
}
