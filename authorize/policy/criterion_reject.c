/* reject: always false, so that `deny: {or: [reject: 1]}` denies nothing, as in Pomerium. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    (void)c;
    (void)f;
    return false;
}

const struct criterion_type criterion_reject = {
    .name = "reject",
    .about = CRITERION_ABOUT_NOTHING,
    .ok = REASON_REJECT,
    .not_ok = REASON_REJECT,
    .match = match,
};
