/*
 * The text of whoami. Pure.
 *
 *   User ID:    local/dev@example.com
 *   Session ID: 4d5f…
 *   Expires at: 2026-11-22 05:52:38 UTC (in 13h59m12s)
 *   SSH key:    SHA256:…
 *   Client IP:  192.0.2.7
 *   Claims:
 *     email: "dev@example.com"
 *     groups: ["ops", "web"]
 *     iat: 1763740000 (2h5m1s ago)
 */
#ifndef AUTHORIZE_WHOAMI_H
#define AUTHORIZE_WHOAMI_H

#include "authorize/policy/facts.h"
#include "common/base/buf.h"

struct whoami {
    const char *user_id;
    const char *session_id;
    uint64_t expires_ms; /* Unix; UINT64_MAX: never */
    const char *fingerprint;
    const char *source;
    struct claims session; /* wins where both have a claim */
    struct claims user;
    uint64_t now_ms;
};

/* Cut to what fits into `out`; claims in the order of their names. */
void whoami_write(const struct whoami *w, struct buf *out);

#endif
