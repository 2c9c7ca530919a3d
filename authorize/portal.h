/* What people and programs at the HTTPS listener are told beside a decision. Pure. */
#ifndef AUTHORIZE_PORTAL_H
#define AUTHORIZE_PORTAL_H

#include "authorize/decide.h"

enum { PORTAL_MAX = 2 << 20 }; /* bytes of an answer */

/*
 * Where a browser may sign in and come back to the host that was asked: a URL of authenticate,
 * signed, good for some minutes; fresh memory. NULL when there is none to come back to: a host that
 * no route and no service of ours has, or no shared_secret.
 */
char *portal_sign_in_url(const struct snapshot *s, const struct ask *ask, const struct decision *d,
                         uint64_t now_ms);

/*
 * Appends {"routes":[{id,name,type,from,description,connect_command,logo_url}]}: every route that
 * the policy lets whoever `d` names into from where he asks, in the order of the configuration. An
 * SSH route counts when some login or key of his could be let in. ERR_LIMIT.
 */
enum err portal_routes(const struct snapshot *s, const struct state *state, const struct ask *ask,
                       const struct decision *d, uint64_t now_ms, struct buf *out);

#endif
