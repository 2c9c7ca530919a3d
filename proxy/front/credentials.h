/*
 * The client's token: which of all that a request may carry counts. The first place that has one,
 * in this order: the cookie, X-Pomerium-Authorization, "Authorization: Pomerium TOKEN",
 * "Authorization: Bearer Pomerium-TOKEN", the query's pomerium_session. The token is not looked at,
 * but for this: the authenticate host has a cookie of the same name that holds no token, so only
 * what has a token's three parts counts there.
 */
#ifndef PROXY_FRONT_CREDENTIALS_H
#define PROXY_FRONT_CREDENTIALS_H

#include "common/base/view.h"
#include "common/http/fields.h"
#include "proxy/front/tunnel_cause.h"

struct credentials {
    struct view token; /* into the fields or the path */
    enum tunnel_token_place place;
};

/* `path` with its query. */
struct credentials credentials_find(const struct fields *f, struct view path,
                                    const char *cookie_name);

#endif
