/*
 * The HTTPS listener of the worker. What belongs to authenticate (its host, and /.pomerium/ of any
 * host) is forwarded to it by HTTP/1.1 over mutual TLS, both bodies streaming with back-pressure;
 * /ping and /healthz answer OK; anything else is 404. contracts.md §7 says which fields are
 * dropped and set.
 *
 * A request to authenticate has its own connection there: the browser's connection is kept alive,
 * the inner one is not, so none is ever found stale.
 */
#ifndef PROXY_FRONT_H
#define PROXY_FRONT_H

#include "common/base/err.h"
#include "common/crypto/rng.h"
#include "common/io/loop.h"
#include "common/io/tls.h"
#include "proxy/arrivals.h"

enum {
    FRONT_CONNECTIONS_MAX = 1024,
    FRONT_BODY_MAX = 1 << 20,  /* of a request */
    FRONT_HEAD_MS = 10000,     /* a request head, from the connection or its first byte */
    FRONT_IDLE_MS = 60000,     /* between requests */
    FRONT_BODY_MS = 60000,     /* a request body */
    FRONT_DIAL_MS = 5000,      /* connection and handshake with authenticate, each */
    FRONT_UPSTREAM_MS = 60000, /* until authenticate answers */
    FRONT_WRITE_MS = 30000,    /* without progress of a response */
};

struct front;

/* References and copies are taken. */
struct front_settings {
    struct tls_context *server;
    struct tls_context *client;      /* expects postern://service/authenticate */
    const char *authenticate_host;   /* without port */
    const char *authenticate_target; /* "host:port" */
    struct arrivals_settings arrivals;
};

/* Takes over the listening socket. */
struct front *front_open(struct loop *l, int fd, const struct rng *rng,
                         const struct front_settings *settings);

/* Accepts nothing until it is told otherwise; newcomers wait in the kernel. NULL is fine. */
void front_rest(struct front *f, bool rest);

/* For new connections and requests. */
void front_set(struct front *f, const struct front_settings *settings);

/* Accepts nothing new, lets running requests end; `on_drained` once no connection is left. */
void front_drain(struct front *f, loop_fn on_drained, void *ctx);

/* Closes everything; `on_closed` when the last handle is gone, then `f` is freed. NULL is fine:
 * `on_closed` is called at once. */
void front_close(struct front *f, loop_fn on_closed, void *ctx);

#endif
