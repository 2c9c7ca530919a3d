/*
 * Matchers of criteria (PPL): tests on one string or on a list of strings, all of which have to
 * hold. Compared byte by byte, case counts.
 *
 *   string  is, not, contains, starts_with, ends_with, in: […], not_in: […]; bare value = is
 *   list    has, is (exactly that one element), exclude;                     bare value = has
 */
#ifndef AUTHORIZE_POLICY_MATCHER_H
#define AUTHORIZE_POLICY_MATCHER_H

#include "common/base/diag.h"
#include "common/config/tree.h"

struct matcher_test;
struct zones;

/* Zeroed = no test, which everything passes. */
struct matcher {
    struct matcher_test *tests;
    size_t count;
};

/* Where a piece of policy comes from, for errors. */
struct policy_source {
    struct diag *diag;
    const char *key;     /* what errors name */
    struct zones *zones; /* NULL: UTC alone */
};

[[gnu::format(printf, 3, 4)]] void policy_error(const struct policy_source *s, const struct node *n,
                                                const char *format, ...);

/* Errors go to the source's diag; then `m` has what was right. */
void matcher_parse_string(struct matcher *m, const struct policy_source *s, const struct node *n);
void matcher_parse_list(struct matcher *m, const struct policy_source *s, const struct node *n);

/* The tests "is `value`" for a string, "has `value`" for a list. */
void matcher_is(struct matcher *m, const char *value);
void matcher_has(struct matcher *m, const char *value);

void matcher_fini(struct matcher *m);

bool matcher_string(const struct matcher *m, struct view value);
bool matcher_list(const struct matcher *m, const char *const *values, size_t count);

#endif
