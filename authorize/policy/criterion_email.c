/* email: the directory's address of the user, else the user record's. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    return matcher_string(&c->matcher, f->email);
}

const struct criterion_type criterion_email = {
    .name = "email",
    .about = CRITERION_ABOUT_PERSON,
    .ok = REASON_EMAIL_OK,
    .not_ok = REASON_EMAIL_UNAUTHORIZED,
    .parse = criterion_parse_string,
    .match = match,
};
