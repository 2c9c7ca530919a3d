/*
 * What ties the one who fetches a token to the one who asked for it: a program sends the hash of a
 * secret when it asks and the secret when it fetches (as PKCE does, RFC 7636 §4, S256). Pure.
 */
#ifndef AUTHENTICATE_CHALLENGE_H
#define AUTHENTICATE_CHALLENGE_H

#include "common/base/buf.h"
#include "common/base/err.h"

enum {
    CHALLENGE_LEN = 43, /* base64url of SHA-256 */
    CHALLENGE_VERIFIER_MIN = 43,
    CHALLENGE_VERIFIER_MAX = 128,
};

/* base64url of SHA-256; fresh memory. */
char *challenge_of(struct view verifier);

bool challenge_is_valid(struct view challenge);

/* The binding that an approval makes, "cli-SHA256:CHALLENGE"; fresh memory. */
char *challenge_key(struct view challenge);

/* The same by the secret: NULL when it cannot be one. */
char *challenge_key_of_verifier(struct view verifier);

#endif
