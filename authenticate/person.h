/* What a session keeps of what the provider says about a person. Pure. */
#ifndef AUTHENTICATE_PERSON_H
#define AUTHENTICATE_PERSON_H

#include "authenticate/tokens.h"
#include "common/oidc/oidc.h"

/*
 * The claims of a sign-in or, with the tokens that there were before, of a refresh: one that
 * brought no id_token leaves in force what the old one said. "email" is there when the provider
 * calls it "mail". Replaces what was in `out`.
 */
enum err person_claims(const struct oidc_result *r, const struct tokens *old, struct claims *out);

/* Has anything changed that is about the person and not about the token it came in? */
bool person_differs(const struct claims *a, const struct claims *b);

#endif
