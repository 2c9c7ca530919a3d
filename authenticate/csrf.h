/* Is a POST from our own page? Pure. */
#ifndef AUTHENTICATE_CSRF_H
#define AUTHENTICATE_CSRF_H

#include "common/base/secret.h"
#include "common/http/fields.h"
#include "common/http/url.h"

/*
 * The token of a form that posts to `path`, bound to the browser's session id or, before there is
 * a session, to the state of the sign-in. Fresh memory.
 */
char *csrf_token(const struct secret *key, const char *bound_to, const char *path);
bool csrf_is_token(const struct secret *key, const char *bound_to, const char *path,
                   struct view given);

/* A browser that says where a request comes from (Origin, Sec-Fetch-Site) has to say: from `own`.
 */
bool csrf_is_own_origin(const struct url *own, const struct fields *fields);

#endif
