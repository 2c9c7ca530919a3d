/* http_path: the path of the request without its query, empty for CONNECT. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    return matcher_string(&c->matcher, f->path);
}

const struct criterion_type criterion_http_path = {
    .name = "http_path",
    .about = CRITERION_ABOUT_REQUEST,
    .only = CRITERION_HTTP,
    .ok = REASON_HTTP_PATH_OK,
    .not_ok = REASON_HTTP_PATH_UNAUTHORIZED,
    .parse = criterion_parse_string,
    .match = match,
};
