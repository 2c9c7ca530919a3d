/*
 * What a program gets for a session: a token that names it (Pomerium's session handle), signed with
 * shared_secret, so that every authenticate and authorize believes it. It ends with the session at
 * the latest; whether the session still exists is for the records to say. Pure.
 */
#ifndef AUTHENTICATE_SESSION_HANDLE_H
#define AUTHENTICATE_SESSION_HANDLE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/secret.h"

enum {
    SESSION_HANDLE_MAX = 4096, /* bytes of a token */
    SESSION_HANDLE_LEEWAY_MS = 60 * 1000,
};

struct session_handle {
    const char *issuer;
    const char *user_id;
    const char *session_id;
    const char *idp_id;
    const char *audience[2]; /* hosts; NULL ones are left out */
    uint64_t issued_ms;
    uint64_t expires_ms;     /* of the session */
    uint64_t server_version; /* of the databroker: a copy that is older knows no such session */
    uint64_t record_version;
};

/* Appends the token. ERR_RANGE: the secret is too short; ERR_LIMIT; ERR_SYNTAX: no UTF-8. */
enum err session_handle_write(const struct session_handle *h, const struct secret *secret,
                              struct buf *out);

/*
 * The session's id, fresh memory, of a token that was signed with `secret` or `previous` (may be
 * empty). ERR_SYNTAX, ERR_LIMIT, ERR_UNSUPPORTED, ERR_VERIFY, ERR_EXPIRED, ERR_MISMATCH.
 */
enum err session_handle_read(struct view token, const struct secret *secret,
                             const struct secret *previous, uint64_t now_ms, char **out_session_id);

#endif
