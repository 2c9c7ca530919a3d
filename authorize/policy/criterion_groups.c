/* groups: those of the directory record if there is one, else the provider's `groups` claim. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    if (f->has_directory)
        return matcher_list(&c->matcher, f->directory_groups, f->directory_group_count);
    const struct claim *claim = facts_claim(f, VIEW("groups"));
    return matcher_list(&c->matcher, claim ? claim->values : NULL, claim ? claim->count : 0);
}

const struct criterion_type criterion_groups = {
    .name = "groups",
    .about = CRITERION_ABOUT_PERSON,
    .ok = REASON_GROUPS_OK,
    .not_ok = REASON_GROUPS_UNAUTHORIZED,
    .parse = criterion_parse_list,
    .match = match,
};
