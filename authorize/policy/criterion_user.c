/* user: the id of the session's user. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    return matcher_string(&c->matcher, f->user_id);
}

const struct criterion_type criterion_user = {
    .name = "user",
    .about = CRITERION_ABOUT_PERSON,
    .ok = REASON_USER_OK,
    .not_ok = REASON_USER_UNAUTHORIZED,
    .parse = criterion_parse_string,
    .match = match,
};
