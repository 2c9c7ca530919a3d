#include "authorize/whoami.h"

#include "tests/support/test.h"

#define HEAD                                                                                       \
    "User ID:    local/dev@example.com\nSession ID: s1\n"                                          \
    "Expires at: 2026-11-22 05:52:38 UTC (in 13h59m12s)\n"                                         \
    "SSH key:    SHA256:abc\nClient IP:  192.0.2.7\n"

static const uint64_t EXPIRES = UINT64_C(1795326758000);

static const char *const email[] = {"dev@example.com"};
static const char *const other_email[] = {"old@example.com"};
static const char *const groups[] = {"ops", "web \"2\""};
static const char *const verified[] = {"true"};
static const char *const at[] = {"1795276345"};
static const char *const not_at[] = {"soon"};
static const char *const evil[] = {"a\x1b[2J\nUser ID:    root"};

static struct whoami who(void)
{
    return (struct whoami){.user_id = "local/dev@example.com",
                           .session_id = "s1",
                           .expires_ms = EXPIRES,
                           .fingerprint = "SHA256:abc",
                           .source = "192.0.2.7",
                           .now_ms = EXPIRES - UINT64_C(50352000)};
}

static void expect(const struct whoami *w, const char *text)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1 << 16);
    whoami_write(w, &out);
    CHECK_VIEW_STR(buf_view(&out), text);
}

static void test_text(void **state)
{
    (void)state;
    const struct claim session[] = {
        {"groups", groups, 2}, {"email", email, 1}, {"iat", at, 1}, {"exp", not_at, 1}};
    const struct claim user[] = {
        {"email", other_email, 1}, {"email_verified", verified, 1}, {"name", NULL, 0}};
    struct whoami w = who();
    expect(&w, HEAD);
    w.session = (struct claims){session, ARRAY_LEN(session)};
    w.user = (struct claims){user, ARRAY_LEN(user)};
    expect(&w, HEAD "Claims:\n"
                    "  email: \"dev@example.com\"\n"
                    "  email_verified: true\n"
                    "  exp: \"soon\"\n"
                    "  groups: [\"ops\", \"web \\\"2\\\"\"]\n"
                    "  iat: 1795276345 (1m1s ago)\n"
                    "  name: []\n");
}

static void expect_part(const struct whoami *w, struct view part)
{
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 1 << 16);
    whoami_write(w, &out);
    assert_true(view_search(buf_view(&out), part) > 0);
}

static void test_times(void **state)
{
    (void)state;
    struct whoami w = who();
    w.expires_ms = UINT64_MAX;
    expect_part(&w, VIEW("Expires at: never\n"));
    w.expires_ms = w.now_ms + 5000;
    expect_part(&w, VIEW(" UTC (in 5s)\n"));
    w.expires_ms = w.now_ms - 3000;
    expect_part(&w, VIEW(" UTC (3s ago)\n"));
    w.expires_ms = UINT64_MAX - 1; /* a year that the calendar may not have */
    expect_part(&w, VIEW("Expires at: "));
}

/* What a provider says cannot move the cursor or begin a line. */
static void test_hostile_claims(void **state)
{
    (void)state;
    const struct claim claims[] = {{"x\r\ny", evil, 1}};
    struct whoami w = who();
    w.session = (struct claims){claims, 1};
    expect(&w, HEAD "Claims:\n  x??y: \"a?[2J?User ID:    root\"\n");
}

static void test_too_much(void **state)
{
    (void)state;
    static char value[5000];
    static const char *const values[] = {value};
    struct claim claims[200];
    memset(value, 'v', sizeof value - 1);
    for (size_t i = 0; i < ARRAY_LEN(claims); i++)
        claims[i] = (struct claim){"name", values, 1};
    struct whoami w = who();
    w.session = (struct claims){claims, ARRAY_LEN(claims)};
    AUTO(buf_fini) struct buf out;
    buf_init(&out, 10000);
    whoami_write(&w, &out);
    assert_true(out.len > 8000);
    assert_int_equal(buf_ptr(&out)[out.len - 1], '\n');
    assert_true(view_search(buf_view(&out), VIEW("vvv…\"\n")) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_hostile_claims),
        cmocka_unit_test(test_too_much),
    };
    return RUN(tests);
}
