/*
 * Certificates for `postern doctor`: they show whether a target takes our CA and the login, and are
 * good for nothing else, not even in the hands of a proxy that was taken over. Each forces the
 * command /bin/false and permits no extension: no shell, no forwarding, no terminal. (A
 * ForceCommand of the target's sshd_config is stronger than the certificate's.)
 *
 * Only the first is logged in with. Where it is refused and one of the next two would be taken, the
 * target does not take Ed25519 keys; the last two are for a day, on one side, and find a target
 * whose clock is off. To be asked whether it would take a key a target needs no signature (RFC 4252
 * §7), so whoever has them signed forgets their private key.
 */
#ifndef AUTHORIZE_CA_CA_PROBE_H
#define AUTHORIZE_CA_CA_PROBE_H

#include "authorize/ca/ca.h"

enum { CA_PROBE_SKEW_S = 24 * 60 * 60 };

enum ca_probe_window {
    CA_PROBE_NOW,   /* as a login's: 2 minutes back, 5 ahead */
    CA_PROBE_ECDSA, /* the same, for the types of keys that a login tries next */
    CA_PROBE_RSA,
    CA_PROBE_BEHIND, /* for a target whose clock is up to a day behind */
    CA_PROBE_AHEAD,  /* … ahead */
    CA_PROBE_WINDOWS,
};

/* r->session_id is not used; r->user and r->connection_id name the administrator and the probe. */
enum err ca_sign_probe(const struct ca_request *r, enum ca_probe_window window,
                       const struct private_key *ca, const struct rng *rng,
                       struct ca_certificate *out);

#endif
