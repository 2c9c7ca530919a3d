/*
 * What arrives at a listener, until it is known for whom. Without the PROXY protocol that is at
 * once. With it (proxy/edge/proxy_protocol.h) only load balancers may connect, and each connection
 * begins with a header that names the client: from then on that address is the connection's.
 *
 * Fail closed: a connection from anybody else is closed before a byte of it is read, whatever it
 * would say, and one whose header is missing, malformed or late is closed as well. Nothing is sent
 * and no other limit is touched before the header is there; those that wait have their own cap.
 * Health checks (LOCAL, or connect and close) leave no line above debug in the log.
 */
#ifndef PROXY_ARRIVALS_H
#define PROXY_ARRIVALS_H

#include "common/io/listen.h"

enum {
    ARRIVALS_MAX = 1024,       /* that wait for their header; then the oldest is closed */
    ARRIVALS_HEADER_MS = 5000, /* from the accept to the end of the header */
    ARRIVALS_WARN_MS = 60000,  /* between two warnings about closed connections */
};

struct arrivals;

struct arrivals_settings {
    bool has_header;      /* the PROXY protocol is on */
    char *const *trusted; /* what ip_net_parse takes, checked before */
    size_t trusted_count;
};

/*
 * Takes over the listening socket `fd`. `name` is constant, for the log. `on_arrival` gets the
 * connected socket, whose next byte is the first of the client's, and the client's address: that of
 * the header, or the peer's where there is none or it has none. It may be called within the accept.
 */
struct arrivals *arrivals_open(struct loop *l, int fd, const char *name,
                               const struct arrivals_settings *settings, listen_fn on_arrival,
                               void *ctx);

/* For connections that are accepted from now on. */
void arrivals_set(struct arrivals *a, const struct arrivals_settings *settings);

/* Stops and restarts accepting; what waits for its header may still arrive. */
void arrivals_pause(struct arrivals *a);
void arrivals_resume(struct arrivals *a);

/* Closes the listener and whatever has not arrived. No callback afterwards. NULL is fine. */
void arrivals_close(struct arrivals *a);

/* How many wait for their header. */
size_t arrivals_count(const struct arrivals *a);

#endif
