/* Log lines about connections (configuration.md §4). */
#ifndef AUTHORIZE_AUDIT_H
#define AUTHORIZE_AUDIT_H

#include "authorize/connection.h"

/* "authorize check": one per decision. `event` says what asked: "check", "sign-in", "change". */
void audit_check(struct authorize *a, const struct connection *c, const struct decision *d,
                 const char *event);

/* A connection was told to end. */
void audit_cut(const struct connection *c);

/* A target's host key was not taken, or nothing could be signed; `c` may be gone (NULL). */
void audit_no_certificate(const struct connection *c, const char *id, const char *upstream,
                          const char *reason, const char *sentence);

void audit_certificate(const struct connection *c, uint64_t serial, uint64_t valid_before_s,
                       const char *upstream);

#endif
