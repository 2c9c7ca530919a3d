/* claim/PATH: the values of a claim of the user or, where the user has none, of the session. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    const struct claim *claim = facts_claim(f, view_str(c->path));
    return matcher_list(&c->matcher, claim ? claim->values : NULL, claim ? claim->count : 0);
}

const struct criterion_type criterion_claim = {
    .name = "claim",
    .about = CRITERION_ABOUT_PERSON,
    .takes_path = true,
    .ok = REASON_CLAIM_OK,
    .not_ok = REASON_CLAIM_UNAUTHORIZED,
    .parse = criterion_parse_list,
    .match = match,
};
