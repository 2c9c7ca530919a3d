#include "authenticate/pages/pages.h"

#include "tests/support/test.h"

static bool has(const struct buf *page, const char *text)
{
    return view_search(buf_view(page), view_str(text)) >= 0;
}

static const struct page_waiting waiting[] = {
    {.address = "192.0.2.1", .target = "dev@<web1>", .client = "SSH-2.0-\"x\"", .elsewhere = true}};

static struct page_verify verify(void)
{
    return (struct page_verify){.action = "/.pomerium/sign_in?user_code=a&b",
                                .csrf_token = "token",
                                .protocol = "ssh",
                                .issued_at = "2026-01-01T00:00:00.000Z",
                                .expires_at = "2026-01-01T00:15:00.000Z",
                                .expires_in = "15:00",
                                .key_type = "ED25519",
                                .fingerprint = "SHA256:abc",
                                .match_code = "BCDF-GHJK",
                                .browser_address = "198.51.100.7",
                                .who = "a@b.test",
                                .seconds_left = 900,
                                .waiting = waiting,
                                .waiting_count = 1};
}

static void test_verify_page(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf page;
    buf_init(&page, PAGE_MAX);
    struct page_verify p = verify();
    CHECK_OK(page_verify(&p, &page));
    assert_true(has(&page, "method=\"post\" action=\"/.pomerium/sign_in?user_code=a&amp;b\""));
    assert_true(has(&page, "dev@&lt;web1&gt;"));
    assert_true(has(&page, "SSH-2.0-&quot;x&quot;"));
    assert_true(has(&page, "BCDF-GHJK"));
    assert_true(has(&page, "another address"));
    assert_true(has(&page, "name=\"create_id_binding\""));
    assert_true(has(&page, "value=\"false\">Deny"));
    assert_false(has(&page, "autofocus"));
}

/* A program has no key, and nothing to be remembered by; the page says what it would get. */
static void test_verify_program(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf page;
    buf_init(&page, PAGE_MAX);
    struct page_verify p = verify();
    assert_false(p.for_program);
    p.for_program = true;
    p.protocol = "cli";
    CHECK_OK(page_verify(&p, &page));
    assert_true(has(&page, "A program asks to act for you"));
    assert_true(has(&page, "BCDF-GHJK"));
    assert_true(has(&page, "dev@&lt;web1&gt;"));
    assert_true(has(&page, "192.0.2.1"));
    assert_false(has(&page, "create_id_binding"));
    assert_false(has(&page, "Fingerprint"));
}

/* A remembered person sees one preselected Authorize and still has to press it. */
static void test_remembered(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf page;
    buf_init(&page, PAGE_MAX);
    struct page_verify p = verify();
    p.remembered = true;
    CHECK_OK(page_verify(&p, &page));
    assert_true(has(&page, "autofocus>Authorize"));
    assert_true(has(&page, "method=\"post\""));
    assert_false(has(&page, "create_id_binding"));
}

/* Nothing that the strict policy forbids: no inline script or style, nothing from elsewhere. */
static void test_csp_fits(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf page;
    buf_init(&page, PAGE_MAX);
    struct page_verify p = verify();
    const struct page_login login = {.action = "/x", .problem = "<script>"};
    const struct page_message message = {.heading = "h", .sentence = "s", .link = "/y"};
    const struct page_bindings bindings = {.count = 0};
    CHECK_OK(page_verify(&p, &page));
    CHECK_OK(page_login(&login, &page));
    CHECK_OK(page_message(&message, &page));
    CHECK_OK(page_bindings(&bindings, &page));
    assert_false(has(&page, "<script>"));
    assert_false(has(&page, " style="));
    assert_false(has(&page, " onclick"));
    assert_false(has(&page, "http://"));
    assert_false(has(&page, "https://"));
    assert_true(has(&page, "&lt;script&gt;"));
}

static void test_full_buffer(void **state)
{
    (void)state;
    AUTO(buf_fini) struct buf page;
    buf_init(&page, 100);
    struct page_verify p = verify();
    CHECK_ERR(page_verify(&p, &page), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verify_page), cmocka_unit_test(test_verify_program),
        cmocka_unit_test(test_remembered),  cmocka_unit_test(test_csp_fits),
        cmocka_unit_test(test_full_buffer),
    };
    return RUN(tests);
}
