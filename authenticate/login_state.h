/*
 * What a browser keeps of a sign-in under way: sealed, bound to the state that the provider hands
 * back, good for ten minutes. Pure.
 */
#ifndef AUTHENTICATE_LOGIN_STATE_H
#define AUTHENTICATE_LOGIN_STATE_H

#include "common/base/secret.h"
#include "common/http/fields.h"
#include "common/oidc/oidc.h"

enum {
    LOGIN_MS = 10 * 60 * 1000,
    LOGIN_SKEW_MS = 60 * 1000, /* clocks of replicas may differ by this much */
    LOGIN_TEXT_MAX = 3500,     /* of the sealed text */
    LOGIN_RETURN_MAX = 1500,   /* bytes of return_to */
    LOGIN_TABS_MAX = 8,        /* sign-ins at the same time in one browser */
};

struct login {
    struct oidc_login oidc;
    char *return_to; /* a path of ours */
};
void login_fini(struct login *l);

/*
 * The cookie of a state, fresh memory: "_pomerium_state_" and the state's first eight letters, so
 * that each tab has its own.
 */
char *login_cookie_name(struct view state);

/* Appends text that a cookie can carry. */
enum err login_seal(const struct secret *key, const struct rng *rng, const struct login *l,
                    uint64_t now_ms, struct buf *out);

/*
 * ERR_VERIFY: not sealed by us for this state; ERR_EXPIRED; ERR_SYNTAX. Replaces what was in `out`.
 */
enum err login_unseal(const struct secret *key, struct view state, struct view text,
                      uint64_t now_ms, struct login *out);

/*
 * The oldest sign-in of this browser when it has too many at a time, so that its requests do not
 * grow beyond what is read; call until it gives false. `skip` are those that go already.
 */
bool login_surplus(const struct fields *fields, size_t skip, struct view *out_name);

#endif
