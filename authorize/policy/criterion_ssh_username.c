/* ssh_username: the login name at the target. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    return matcher_string(&c->matcher, f->login);
}

const struct criterion_type criterion_ssh_username = {
    .name = "ssh_username",
    .about = CRITERION_ABOUT_LOGIN,
    .only = CRITERION_SSH,
    .ok = REASON_SSH_USERNAME_OK,
    .not_ok = REASON_SSH_USERNAME_UNAUTHORIZED,
    .parse = criterion_parse_string,
    .match = match,
};
