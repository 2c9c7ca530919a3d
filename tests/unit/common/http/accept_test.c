#include "common/http/accept.h"

#include "tests/support/test.h"

static const struct {
    const char *fields[3];
    enum accept_kind kind;
} rows[] = {
    {{NULL}, ACCEPT_NONE},
    {{""}, ACCEPT_HTML},
    {{"*/*"}, ACCEPT_HTML},
    {{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, ACCEPT_HTML},
    {{"application/json"}, ACCEPT_JSON},
    {{"Application/JSON; charset=utf-8"}, ACCEPT_JSON},
    {{"application/problem+json"}, ACCEPT_JSON},
    {{"application/json, text/plain, */*"}, ACCEPT_JSON},
    {{"*/*, application/json"}, ACCEPT_JSON},
    {{"text/plain"}, ACCEPT_PLAIN},
    {{"application/grpc"}, ACCEPT_GRPC},
    {{"application/grpc+proto"}, ACCEPT_GRPC},
    {{"application/grpc-web"}, ACCEPT_GRPC},
    {{"application/grpcx"}, ACCEPT_HTML},
    {{"image/png"}, ACCEPT_HTML},
    {{"text/html;q=0.5, application/json"}, ACCEPT_JSON},
    {{"text/html;q=0.5, application/json;q=0.51"}, ACCEPT_JSON},
    {{"text/html;q=0.5, application/json;q=0.5"}, ACCEPT_HTML},
    {{"text/html;q=0.5;x=y , text/plain; a=b; Q=0.501"}, ACCEPT_PLAIN},
    {{"text/html;q=0.1", "application/json;q=0.2", "text/plain;q=0.15"}, ACCEPT_JSON},
    {{"text/html;q=1.000, text/plain"}, ACCEPT_HTML},
    /* never, and nonsense */
    {{"application/json;q=0"}, ACCEPT_HTML},
    {{"application/json;q=0.000, text/plain;q=0.001"}, ACCEPT_PLAIN},
    {{"application/json;q=2, text/plain;q=0.1"}, ACCEPT_PLAIN},
    {{"application/json;q=1.001, text/plain;q=0.1"}, ACCEPT_PLAIN},
    {{"application/json;q=0.1234, text/plain;q=0.1"}, ACCEPT_PLAIN},
    {{"application/json;q=, text/plain;q=0.1"}, ACCEPT_PLAIN},
    {{"application/json;q=-1, text/plain;q=0.1"}, ACCEPT_PLAIN},
    {{"application/json;q=0x1, text/plain;q=0.1"}, ACCEPT_PLAIN},
    {{",, ;q=1, /, application/json"}, ACCEPT_JSON},
};

static void test_kinds(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fields f = {0};
        for (size_t j = 0; j < 3 && rows[i].fields[j]; j++)
            CHECK_OK(fields_add_str(&f, "accept", rows[i].fields[j]));
        enum accept_kind got = accept_kind(&f);
        if (got != rows[i].kind)
            fail_msg("row %zu: %d", i, got);
        fields_fini(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds)};
    return RUN(tests);
}
