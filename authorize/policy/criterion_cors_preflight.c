/* cors_preflight: browsers send these before requests to HTTP routes; a tunnel is never one. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    (void)c;
    (void)f;
    return false;
}

const struct criterion_type criterion_cors_preflight = {
    .name = "cors_preflight",
    .about = CRITERION_ABOUT_NOTHING,
    .ok = REASON_CORS_REQUEST,
    .not_ok = REASON_NON_CORS_REQUEST,
    .match = match,
};
