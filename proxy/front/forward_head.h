/*
 * A received head made one for authenticate: hop-by-hop fields and what a client says about its own
 * forwarding go, ours come (contracts of the X-Forwarded fields: authenticate believes them from
 * the proxy alone).
 */
#ifndef PROXY_FRONT_FORWARD_HEAD_H
#define PROXY_FRONT_FORWARD_HEAD_H

#include "common/base/err.h"
#include "common/http/fields.h"

struct forward_head {
    struct view authority;
    const char *ip;
    const char *proto; /* "https", "http" */
    const char *request_id;
};

enum err forward_head(const struct forward_head *h, struct fields *f);

#endif
