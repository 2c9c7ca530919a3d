/* Where a token may be sent. Pure. */
#ifndef AUTHENTICATE_REDIRECT_URI_H
#define AUTHENTICATE_REDIRECT_URI_H

#include "common/config/keys.h"
#include "common/http/url.h"

enum { REDIRECT_URI_MAX = 512 };

/*
 * A program's own listener: http or https on localhost, 127.0.0.0/8 or ::1, whatever port; or https
 * on one of `domains` (programmatic_redirect_domain_whitelist), written as there. No user
 * information and no fragment. ERR_SYNTAX, ERR_LIMIT, ERR_DENIED.
 */
enum err redirect_uri_check(struct view uri, const struct config_list *domains);

/*
 * Appends "https://host:port", lower case and without a default port, of an absolute http or https
 * URL without user information. ERR_SYNTAX.
 */
enum err redirect_uri_origin(struct view uri, struct buf *out);

#endif
