/* http_method: the request's method, CONNECT for a TCP tunnel. */
#include "authorize/policy/criterion.h"

static bool match(const struct criterion *c, const struct facts *f)
{
    return matcher_string(&c->matcher, f->method);
}

const struct criterion_type criterion_http_method = {
    .name = "http_method",
    .about = CRITERION_ABOUT_REQUEST,
    .only = CRITERION_HTTP,
    .ok = REASON_HTTP_METHOD_OK,
    .not_ok = REASON_HTTP_METHOD_UNAUTHORIZED,
    .parse = criterion_parse_string,
    .match = match,
};
