#include "proxy/front/forward_head.h"

#include "tests/support/test.h"

static void test_forward_head(void **state)
{
    (void)state;
    static const char *const gone[] = {
        "X-Forwarded-For",
        "x-forwarded-host",
        "X-FORWARDED-PROTO",
        "X-Forwarded-Client-Cert",
        "Forwarded",
        "X-Real-IP",
        "x-request-id",
        "Connection",
        "Upgrade",
        "Keep-Alive",
        "TE",
        "Proxy-Authorization",
        "Expect",
        "X-Listed",
    };
    AUTO(fields_fini) struct fields f = {0};
    CHECK_OK(fields_add_str(&f, "Host", "other"));
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        CHECK_OK(fields_add_str(&f, gone[i],
                                strcmp(gone[i], "Connection") == 0 ? "x-listed" : "6.6.6.6"));
    CHECK_OK(fields_add_str(&f, "cookie", "a=b"));
    CHECK_OK(fields_add_str(&f, "cookie", "c=d"));
    const struct forward_head h = {
        .authority = VIEW("auth.test"), .ip = "2001:db8::7", .proto = "https", .request_id = "id"};
    CHECK_OK(forward_head(&h, &f));
    CHECK_VIEW_STR(fields_get(&f, "Host"), "auth.test");
    CHECK_VIEW_STR(fields_get(&f, "X-Forwarded-For"), "2001:db8::7");
    CHECK_VIEW_STR(fields_get(&f, "X-Forwarded-Proto"), "https");
    CHECK_VIEW_STR(fields_get(&f, "X-Request-Id"), "id");
    CHECK_VIEW_STR(fields_get(&f, "Cookie"), "a=b; c=d");
    assert_int_equal(f.count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forward_head)};
    return RUN(tests);
}
