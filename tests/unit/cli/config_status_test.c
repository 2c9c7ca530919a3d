#include "cli/config_status.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

static void names_the_state(void **state)
{
    (void)state;
    static const struct {
        const char *hash;
        const char *problem;
        uint64_t age_ms;
        uint64_t silent_ms;
        enum config_status expected;
    } rows[] = {
        {"aa", "", 0, 0, CONFIG_STATUS_SAME},
        {"aa", "config: line 3", 0, 0, CONFIG_STATUS_SAME},
        {"bb", "", CONFIG_STATUS_PENDING_MS - 1, 0, CONFIG_STATUS_PENDING},
        {"bb", "", CONFIG_STATUS_PENDING_MS, 0, CONFIG_STATUS_DIFFERS},
        {"bb", "storage.backend: full", 60000, 0, CONFIG_STATUS_DIFFERS},
        {"bb", "config: line 3", 0, 0, CONFIG_STATUS_REFUSED},
        {"", "", 60000, 0, CONFIG_STATUS_DIFFERS},
        {"aa", "", 0, CONFIG_STATUS_GONE_MS - 1, CONFIG_STATUS_SAME},
        {"bb", "", 0, CONFIG_STATUS_GONE_MS, CONFIG_STATUS_GONE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(config_status_of("aa", view_str(rows[i].hash), view_str(rows[i].problem),
                                          rows[i].age_ms, rows[i].silent_ms),
                         rows[i].expected);
}

static const char four[] =
    "[{\"service\":\"authenticate\",\"config_hash\":\"aa\",\"modified_at\":\"2026-01-02T03:04:"
    "05Z\"},"
    "{\"service\":\"authorize\",\"config_hash\":\"aa\",\"modified_at\":\"2026-01-02T03:04:05Z\"},"
    "{\"service\":\"databroker\",\"config_hash\":\"aa\",\"modified_at\":\"2026-01-02T03:04:10Z\"},"
    "{\"service\":\"proxy\",\"config_hash\":\"%s\",\"modified_at\":\"2026-01-02T03:%s:30Z\"}]";

static bool judge(const char *proxy_hash, const char *minute, const char *expected_last)
{
    AUTO_FREE char *text = mem_printf(four, proxy_hash, minute);
    AUTO(json_free_ptr) struct json *records = NULL;
    AUTO(json_free_ptr) struct json *rows = json_new_array();
    assert_int_equal(json_parse(view_str(text), &records), OK);
    const struct config_status_file file = {"aa", 60000, 1767323055000 /* 03:04:15 */};
    bool good = config_status_rows(records, &file, rows);
    assert_true(view_eq_str(json_get_str(json_at(rows, 0), "seen"), "10s"));
    const struct json *last = json_at(rows, json_len(rows) - 1);
    assert_string_equal((const char *)json_get_str(last, "state").ptr, expected_last);
    return good;
}

static void judges_all(void **state)
{
    (void)state;
    assert_true(judge("aa", "04", "same"));
    assert_false(judge("bb", "04", "differs"));
    assert_true(judge("aa", "03", "same"));
    /* Long not refreshed: its record is of the past, and the service has no other. */
    assert_false(judge("aa", "02", "missing"));
}

static void misses_all(void **state)
{
    (void)state;
    AUTO(json_free_ptr) struct json *none = json_new_array();
    AUTO(json_free_ptr) struct json *rows = json_new_array();
    const struct config_status_file file = {"aa", 0, 0};
    assert_false(config_status_rows(none, &file, rows));
    assert_int_equal(json_len(rows), 4);
}

static void spans(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {{0, "0s"},          {999, "0s"},       {119999, "119s"},
                {120000, "2m"},     {7199999, "119m"}, {7200000, "2h"},
                {172799999, "47h"}, {172800000, "2d"}, {864000000, "10d"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        AUTO_FREE char *text = config_status_span(rows[i].ms);
        assert_string_equal(text, rows[i].text);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_state),
        cmocka_unit_test(judges_all),
        cmocka_unit_test(misses_all),
        cmocka_unit_test(spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
