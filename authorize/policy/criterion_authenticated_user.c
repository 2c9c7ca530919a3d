/* authenticated_user: there is a session. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    (void)c;
    return f->has_session;
}

const struct criterion_type criterion_authenticated_user = {
    .name = "authenticated_user",
    .about = CRITERION_ABOUT_PERSON,
    .ok = REASON_USER_OK,
    .not_ok = REASON_USER_UNAUTHENTICATED,
    .match = match,
};
