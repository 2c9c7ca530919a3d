/*
 * Certificates for `postern doctor`: they show whether a target takes our CA and the login, and are
 * good for nothing else. Each is for a key that lives as long as the probe, forces the command
 * /bin/false and permits no extension, so that whoever had one could open no shell, no forwarding
 * and no terminal with it. That is what makes it safe to sign two for a day on one side: when the
 * certificate of now is refused and one of these is taken, only the target's clock is off.
 */
#ifndef AUTHORIZE_CA_CA_PROBE_H
#define AUTHORIZE_CA_CA_PROBE_H

#include "authorize/ca/ca.h"

enum { CA_PROBE_SKEW_S = 24 * 60 * 60 };

enum ca_probe_window {
    CA_PROBE_NOW,    /* as a login's: 2 minutes back, 5 ahead */
    CA_PROBE_BEHIND, /* valid for a target whose clock is up to a day behind */
    CA_PROBE_AHEAD,  /* … ahead */
    CA_PROBE_WINDOWS,
};

/* r->session_id is not used; r->user and r->connection_id name the administrator and the probe. */
enum err ca_sign_probe(const struct ca_request *r, enum ca_probe_window window,
                       const struct private_key *ca, const struct rng *rng,
                       struct ca_certificate *out);

#endif
