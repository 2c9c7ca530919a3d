/*
 * The HTTPS listener of the worker. TLS and ALPN choose HTTP/2 or HTTP/1.1; without TLS
 * (insecure_server) HTTP/2 is what begins with its preface. Each request becomes one of
 *
 *   a tunnel       CONNECT, connect-udp: proxy/tunnel.h
 *   authenticate's its host, /.pomerium of any host: forwarded to it by HTTP/1.1 over mutual TLS,
 *                  both bodies streaming with back-pressure (contracts.md §7 says which fields are
 *                  dropped and set)
 *   a question     /healthz with a token, the routes of a user, why a tunnel has ended
 *   a reply        everything else, from here
 *
 * (proxy/front/request.h). A request to authenticate has its own connection there: the client's is
 * kept alive, the inner one is not, so none is ever found stale.
 *
 * With `redirect_port` it is the listener of http_redirect_addr, and every request is sent away.
 */
#ifndef PROXY_FRONT_H
#define PROXY_FRONT_H

#include "common/base/err.h"
#include "common/crypto/rng.h"
#include "common/io/loop.h"
#include "common/io/tls.h"
#include "proxy/arrivals.h"
#include "proxy/tunnel.h"

enum {
    FRONT_CONNECTIONS_MAX = 1024, /* without a tunnel that was allowed */
    FRONT_CONNECTIONS_REST = 64,  /* of them while memory is short */
    FRONT_WAITING_MAX = 4096,     /* requests that wait for authenticate or a decision */
    FRONT_FORWARDS_MAX = 32,      /* to authenticate, of one connection */
    FRONT_BODY_MAX = 1 << 20,     /* of a request */
    FRONT_HEAD_MS = 30000,        /* a request head, from the connection or its first byte */
    FRONT_IDLE_MS = 300000,       /* between requests */
    FRONT_BODY_MS = 60000,        /* a request body */
    FRONT_DIAL_MS = 5000,         /* connection and handshake with authenticate, each */
    FRONT_UPSTREAM_MS = 60000,    /* until authenticate answers */
    FRONT_WRITE_MS = 30000,       /* without progress of a response */
    FRONT_LINGER_MS = 10000,      /* for the last bytes of a tunnel that has ended */
};

struct front;

/* References and copies are taken. */
struct front_settings {
    struct tls_context *server;      /* NULL: plain HTTP */
    struct tls_context *client;      /* expects postern://service/authenticate */
    const char *authenticate_host;   /* without port */
    const char *authenticate_target; /* "host:port" */
    struct arrivals_settings arrivals;
    struct tunnels *tunnels; /* outlives the front; NULL: there are none */
    size_t tunnels_max;      /* at the same time; 0: as many as come */
    const char *cookie_name; /* where a browser's token is; NULL: nowhere */
    uint16_t redirect_port;  /* not 0: all are sent to https there */
    uint64_t head_ms;        /* 0: FRONT_HEAD_MS */
    uint64_t idle_ms;        /* 0: FRONT_IDLE_MS */
    bool is_hsts;            /* the certificates are real: browsers may insist on TLS */
};

/* Takes over the listening socket. */
struct front *front_open(struct loop *l, int fd, const struct rng *rng,
                         const struct front_settings *settings);

/*
 * Accepts nothing until it is told otherwise; newcomers wait in the kernel, new tunnels are
 * refused, and of the connections without one few are kept. NULL is fine.
 */
void front_rest(struct front *f, bool rest);

/* For new connections and requests. */
void front_set(struct front *f, const struct front_settings *settings);

/*
 * Accepts nothing new, lets running requests and tunnels end; `on_drained` once no connection is
 * left. NULL is fine for both.
 */
void front_drain(struct front *f, loop_fn on_drained, void *ctx);

/* Closes everything; `on_closed` when the last handle is gone, then `f` is freed. NULL is fine:
 * `on_closed` is called at once. */
void front_close(struct front *f, loop_fn on_closed, void *ctx);

#endif
