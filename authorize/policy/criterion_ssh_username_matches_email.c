/* ssh_username_matches_email: the login is what stands before the @ of the address. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    (void)c;
    ptrdiff_t at = view_find(f->email, '@');
    return at > 0 && view_eq(view_take(f->email, (size_t)at), f->login);
}

const struct criterion_type criterion_ssh_username_matches_email = {
    .name = "ssh_username_matches_email",
    .about = CRITERION_ABOUT_PERSON | CRITERION_ABOUT_LOGIN,
    .only = CRITERION_SSH,
    .ok = REASON_SSH_USERNAME_OK,
    .not_ok = REASON_SSH_USERNAME_UNAUTHORIZED,
    .match = match,
};
