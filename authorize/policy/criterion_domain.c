/* domain: what stands behind the last @ of the address; empty without one. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    ptrdiff_t at = view_rfind(f->email, '@');
    struct view domain = at < 0 ? view_str("") : view_skip(f->email, (size_t)at + 1);
    return matcher_string(&c->matcher, domain);
}

const struct criterion_type criterion_domain = {
    .name = "domain",
    .about = CRITERION_ABOUT_PERSON,
    .ok = REASON_DOMAIN_OK,
    .not_ok = REASON_DOMAIN_UNAUTHORIZED,
    .parse = criterion_parse_string,
    .match = match,
};
