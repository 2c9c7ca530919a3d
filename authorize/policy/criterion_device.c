/* device: WebAuthn is not there, and to ignore it could let in more than its writer meant. */
#include "authorize/policy/criterion.h"

static void parse(struct criterion *c, const struct policy_source *s, const struct node *data)
{
    (void)c;
    policy_error(s, data, "criterion \"device\" is not supported: there is no device identity");
}

static bool match(const struct criterion *c, const struct facts *f)
{
    (void)c;
    (void)f;
    return false;
}

const struct criterion_type criterion_device = {
    .name = "device",
    .about = CRITERION_ABOUT_NOTHING,
    .ok = REASON_REJECT,
    .not_ok = REASON_REJECT,
    .parse = parse,
    .match = match,
};
