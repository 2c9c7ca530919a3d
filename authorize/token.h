/*
 * The token that a client presents with a tunnel: a compact JWS, HS256 with shared_secret. A
 * session's is made by authenticate, a service account's by `postern service-account create`;
 * which it is, and whether it still counts, says the record that `id` names. Pure.
 */
#ifndef AUTHORIZE_TOKEN_H
#define AUTHORIZE_TOKEN_H

#include "common/base/err.h"
#include "common/base/secret.h"
#include "common/base/view.h"

enum {
    TOKEN_MAX = 4096,            /* bytes */
    TOKEN_ID_MAX = 128,          /* bytes of jti */
    TOKEN_USER_MAX = 512,        /* bytes of sub */
    TOKEN_LEEWAY_MS = 60 * 1000, /* of nbf and iat, for clocks that differ; exp has none */
};
#define TOKEN_NEVER UINT64_MAX

/* A zeroed struct token is empty. */
struct token {
    char *id;            /* jti: a session or a service account */
    char *user_id;       /* sub */
    uint64_t expires_ms; /* exp; TOKEN_NEVER */
};

struct token_secrets {
    struct view now;      /* shared_secret */
    struct view previous; /* shared_secret_previous; may be empty */
};

/*
 * Believes a token that one of the secrets signed, with jti and sub, and in time. ERR_EXPIRED is a
 * good one whose exp is over; every other error is no token of ours. `out` is to be ended with
 * token_fini on success.
 */
enum err token_verify(struct view text, const struct token_secrets *secrets, uint64_t now_ms,
                      struct token *out);
void token_fini(struct token *t);

#endif
