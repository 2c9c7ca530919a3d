#include "cli/tunnel/name_filter.h"
#include "common/base/mem.h"
#include "tests/support/test.h"

static void test_attributes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *attribute;
        const char *value;
    } rows[] = {
        {"CN=My Trusted CA", "commonName", "My Trusted CA"},
        {"commonName=a", "commonName", "a"},
        {"C=DE", "countryName", "DE"},
        {"countryName=DE", "countryName", "DE"},
        {"L=New York", "localityName", "New York"},
        {"localityName=New York", "localityName", "New York"},
        {"O=Acme", "organizationName", "Acme"},
        {"organizationName=Acme", "organizationName", "Acme"},
        {"OU=My Department", "organizationalUnitName", "My Department"},
        {"organizationalUnitName=x", "organizationalUnitName", "x"},
        {"postalCode=1", "postalCode", "1"},
        {"serialNumber=2", "serialNumber", "2"},
        {"ST=x", "stateOrProvinceName", "x"},
        {"stateOrProvinceName=x", "stateOrProvinceName", "x"},
        {"STREET=x", "streetAddress", "x"},
        {"streetAddress=x", "streetAddress", "x"},
        {"CN=a=b", "commonName", "a=b"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct name_filter f;
        AUTO_FREE char *why = NULL;
        assert_int_equal(name_filter_parse(rows[i].text, &f, &why), OK);
        assert_string_equal(f.attribute, rows[i].attribute);
        assert_true(view_eq_str(f.value, rows[i].value));
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"My Trusted CA", "is not ATTRIBUTE=VALUE"},
        {"CN=", "the value is missing"},
        {"=x", "is no attribute"},
        {"cn=x", "is no attribute"}, /* names are written as they are listed */
        {"DC=example", "is no attribute"},
        {"", "is not ATTRIBUTE=VALUE"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct name_filter f;
        AUTO_FREE char *why = NULL;
        assert_int_equal(name_filter_parse(rows[i][0], &f, &why), ERR_SYNTAX);
        assert_non_null(strstr(why, rows[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
