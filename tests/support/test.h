/*
 * What every unit test includes: cmocka, with checks that read well for views and errors.
 *
 *   static void test_x(void **state) { … }
 *   int main(void) { const struct CMUnitTest tests[] = {cmocka_unit_test(test_x)}; return
 * RUN(tests); }
 */
#ifndef TESTS_SUPPORT_TEST_H
#define TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/err.h"
#include "common/base/mem.h"
#include "common/base/view.h"

#define RUN(tests) cmocka_run_group_tests_name(__FILE__, tests, NULL, NULL)

#define CHECK_ERR(expr, expected)                                                                  \
    do {                                                                                           \
        enum err check_err_ = (expr);                                                              \
        if (check_err_ != (expected))                                                              \
            fail_msg("%s:%d: %s gave %s, wanted %s", __FILE__, __LINE__, #expr,                    \
                     err_name(check_err_), err_name(expected));                                    \
    } while (0)
#define CHECK_OK(expr) CHECK_ERR(expr, OK)

#define CHECK_VIEW(actual, expected) check_view_((actual), (expected), __FILE__, __LINE__)
#define CHECK_VIEW_STR(actual, expected)                                                           \
    check_view_((actual), view_str(expected), __FILE__, __LINE__)

void check_view_(struct view actual, struct view expected, const char *file, int line);

/* Bytes of a hex string with spaces; lives until the program ends. */
struct view test_hex(const char *hex);

/* A whole file below the source tree ("tests/vectors/x"); lives until the program ends. */
struct view test_file(const char *path);

#endif
