/* What a request for a tunnel presents and why it fails, for proxy/tunnel.h and this folder. */
#ifndef PROXY_FRONT_TUNNEL_CAUSE_H
#define PROXY_FRONT_TUNNEL_CAUSE_H

enum tunnel_token_place {
    TUNNEL_TOKEN_NONE,
    TUNNEL_TOKEN_COOKIE,
    TUNNEL_TOKEN_HEADER,
    TUNNEL_TOKEN_QUERY,
};

/* Why there is no tunnel, or no answer. status.h makes an HTTP status of it. */
enum tunnel_cause {
    TUNNEL_UNAUTHENTICATED, /* nothing presented: `url` is where a browser may sign in */
    TUNNEL_TOKEN_INVALID,   /* what was presented is malformed, expired or ended */
    TUNNEL_DENIED,          /* by policy */
    TUNNEL_ROUTE_NOT_FOUND,
    TUNNEL_CLIENT_CERTIFICATE, /* missing or not valid */
    TUNNEL_UPSTREAM,           /* no endpoint could be reached */
    TUNNEL_UNDECIDED,          /* authorize cannot be reached or cannot decide */
    TUNNEL_BUSY,               /* draining, short of memory, or too many */
};

#endif
