/*
 * The decision itself: a question, the configuration, the synced state and the time give an
 * answer. No side effects.
 */
#ifndef AUTHORIZE_DECIDE_H
#define AUTHORIZE_DECIDE_H

#include "authorize/offered_key.h"
#include "authorize/protocol.h"
#include "authorize/snapshot/snapshot.h"
#include "authorize/state.h"
#include "authorize/tunnel_ask.h"

/* Everything that a worker said about a connection; borrowed. */
struct ask {
    enum protocol protocol;
    const char *source;
    const char *route; /* ssh: as typed; else the authority */
    const char *login; /* ssh, as the next */
    const struct offered_key *key;
    const struct tunnel_ask *tunnel; /* not ssh */
};

/* What is asked for by http, and answered by authorize. */
#define DECIDE_PATH_HEALTH "/healthz"
#define DECIDE_PATH_ROUTES "/.pomerium/api/v1/routes"

enum decision_kind {
    DECISION_DENY,
    DECISION_ALLOW,
    DECISION_LOGIN,
    DECISION_TRY_NEXT_KEY,
};

/* What it came from: for the sentence of a cut and for logs. */
enum decision_why {
    WHY_ALLOWED,
    WHY_ROUTE_UNKNOWN,
    WHY_KEY_RULED_OUT,
    WHY_NOT_BOUND,
    WHY_BINDING_EXPIRED,
    WHY_SESSION_GONE,
    WHY_SESSION_EXPIRED,
    WHY_USER_GONE,
    WHY_SOURCE_UNREADABLE,
    WHY_POLICY,
    WHY_NO_TOKEN,
    WHY_TOKEN_INVALID, /* no token of ours, or not of whom its record is */
    WHY_TOKEN_EXPIRED,
    WHY_ACCOUNT_EXPIRED,
    WHY_CLIENT_CERTIFICATE,
};

struct decision {
    enum decision_kind kind;
    enum decision_why why;
    enum decision_why who; /* WHY_ALLOWED, or why nobody is known */
    bool evaluated;        /* `verdict` has the policy's */
    struct verdict verdict;
    bool shell; /* no route was named: the management shell, for whoever is signed in */
    const struct snapshot_route *route; /* NULL when unknown or shell; lives with the snapshot */
    /* Who, when the key is bound or the token good; live until the next change of the state. */
    const struct binding *binding;         /* ssh */
    const struct session *session;         /* NULL for a service account */
    const struct service_account *account; /* instead of a session */
    const struct user *user;               /* a service account may have none */
    const char *user_id;                   /* NULL: nobody is known */
    const char *email;                     /* "" when unknown */
    uint64_t expires_ms; /* of session, binding, account, token, whichever is first; STATE_NEVER */
};

void decide(const struct snapshot *snapshot, const struct state *state, const struct ask *ask,
            uint64_t now_ms, struct decision *out);

/*
 * The sentence for a user who is refused: fresh memory, "" for an allow or, on SSH, a login.
 */
char *decision_sentence(const struct decision *d, const struct ask *ask);

/* The sentence for a user whose live connection on `route` ends since the decision is this now. */
char *decision_cut_sentence(const struct decision *d, const char *route);

/* "allow", "deny", "login", "try-next-key". */
const char *decision_kind_name(enum decision_kind kind);

/* "session-expired", …, for logs. */
const char *decision_why_name(enum decision_why why);

#endif
