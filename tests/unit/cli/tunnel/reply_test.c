#include "cli/tunnel/reply.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        enum reply reply;
        int exit_status;
    } rows[] = {
        {200, REPLY_OPEN, 0},        {101, REPLY_OPEN, 0},        {301, REPLY_LOGIN, 4},
        {302, REPLY_LOGIN, 4},       {307, REPLY_LOGIN, 4},       {308, REPLY_LOGIN, 4},
        {401, REPLY_LOGIN, 4},       {403, REPLY_DENIED, 3},      {404, REPLY_NO_ROUTE, 1},
        {495, REPLY_CERTIFICATE, 3}, {503, REPLY_UNAVAILABLE, 6}, {303, REPLY_OTHER, 1},
        {400, REPLY_OTHER, 1},       {502, REPLY_OTHER, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(reply_of(rows[i].status), rows[i].reply);
        assert_int_equal(reply_exit_status(rows[i].reply), rows[i].exit_status);
    }
}

static void test_sentences_name_target_and_gateway(void **state)
{
    (void)state;
    static const unsigned statuses[] = {200, 302, 401, 403, 404, 495, 503, 502};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        AUTO_FREE char *s =
            reply_sentence(statuses[i], "db.test:5432", "https://gw.test", VIEW("because"));
        assert_non_null(strstr(s, "db.test:5432"));
        if (statuses[i] == 200)
            continue;
        assert_non_null(strstr(s, "https://gw.test"));
        if (statuses[i] != 404)
            assert_non_null(strstr(s, ": because"));
    }
    AUTO_FREE char *other = reply_sentence(502, "t:1", "g", VIEW(""));
    assert_non_null(strstr(other, "HTTP status 502"));
}

static void said(const char *body, const char *expected)
{
    AUTO_FREE char *s = reply_said(view_str(body));
    assert_string_equal(s, expected);
}

static void test_what_the_gateway_said(void **state)
{
    (void)state;
    said("{\"error\":\"not for you\",\"request_id\":\"1\"}", "not for you");
    said("{\"statusText\":\"Forbidden\",\"message\":\"why\"}", "why");
    said("{\"Status\":400,\"description\":\"bad\"}", "bad");
    said("{\"statusText\":\"Not Found\",\"status\":404}", "Not Found");
    said("{\"error\":\"a\\u001b[31mb\"}", "a?[31mb");
    said("{\"error\":7}", "");
    said("<html>", "");
    said("", "");
}

static void test_waits_longer_each_time(void **state)
{
    (void)state;
    static const uint64_t steps[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(backoff_ms(i + 1, 0), steps[i]);
        for (uint32_t random = 1; random < UINT32_MAX / 2; random = random * 3 + 1) {
            uint64_t ms = backoff_ms(i + 1, random);
            assert_true(ms <= steps[i] && ms >= steps[i] - steps[i] / 4);
        }
    }
    assert_int_equal(backoff_ms(UINT32_MAX, 0), BACKOFF_MAX_MS);
}

static void test_expiry(void **state)
{
    (void)state;
    uint64_t ms = 1;
    /* {"alg":"HS256"}.{"exp":1700000000} */
    assert_int_equal(token_expiry(VIEW("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.AA"), &ms),
                     OK);
    assert_int_equal(ms, UINT64_C(1700000000000));
    /* {"sub":"a"}: as Pomerium's, without an end */
    assert_int_equal(token_expiry(VIEW("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.AA"), &ms), OK);
    assert_int_equal(ms, 0);
    ms = 7;
    assert_int_equal(token_expiry(VIEW("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOiJ4In0.AA"), &ms),
                     ERR_SYNTAX);
    assert_int_not_equal(token_expiry(VIEW("a.b"), &ms), OK);
    assert_int_not_equal(token_expiry(VIEW(""), &ms), OK);
    assert_int_equal(ms, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_sentences_name_target_and_gateway),
        cmocka_unit_test(test_what_the_gateway_said),
        cmocka_unit_test(test_waits_longer_each_time),
        cmocka_unit_test(test_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
