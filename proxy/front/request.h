/*
 * What a request to the HTTPS listener asks for, whichever version of HTTP it came in. The head was
 * parsed and checked by http1.h or h2.h; here it is only read.
 */
#ifndef PROXY_FRONT_REQUEST_H
#define PROXY_FRONT_REQUEST_H

#include "common/base/view.h"
#include "common/http/fields.h"

enum {
    REQUEST_HOST_MAX = 255,
    REQUEST_DESTINATION_MAX = REQUEST_HOST_MAX + 9, /* brackets, ":65535" and NUL */
};

struct request_head {
    bool is_h2;
    struct view method;
    struct view authority;
    struct view path;     /* with query; empty for CONNECT */
    struct view protocol; /* h2: :protocol */
    bool upgrade;         /* h1: Upgrade is asked for and 101 may be answered */
    bool has_body;        /* h1: framing fields say so; h2: the head does not end the stream */
    const struct fields *fields;
};

enum request_kind {
    REQUEST_NOT_FOUND,
    REQUEST_REFUSED, /* malformed: `status` */
    REQUEST_TCP,     /* a tunnel to `destination` */
    REQUEST_UDP,
    REQUEST_ALIVE,  /* /ping, /healthz */
    REQUEST_ROUTES, /* /.pomerium/api/v1/routes */
    REQUEST_REASON, /* /.pomerium/api/v1/tunnels/ID: `id` */
    REQUEST_FORWARD /* authenticate's */
};

struct request {
    enum request_kind kind;
    uint16_t status;
    char destination[REQUEST_DESTINATION_MAX]; /* "host:port", lower case */
    /*
     * UDP by HTTP/1.1: Host names the destination and not the proxy, as no client of RFC 9298 does.
     * Such a client wants 200 and bare capsules, not 101.
     */
    bool host_is_destination;
    struct view id; /* into the path */
};

/* `authenticate_host` without port. */
struct request request_read(const struct request_head *h, const char *authenticate_host);

/* The path without its query, which may hold codes and tokens: for logs. */
struct view request_file(struct view path);

#endif
