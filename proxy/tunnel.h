/*
 * TCP and UDP tunnels of the HTTPS listener: from a request (CONNECT or connect-udp) over the
 * decision and the target's connection to the end. What the client speaks (HTTP/1.1, HTTP/2) is
 * the front's business, behind struct tunnel_client.
 *
 *   tunnel_open ──▶ Check ──▶ refuse
 *                        └──▶ connect to an endpoint of the route's cluster ──▶ refuse
 *                                                   └──▶ accept, then bytes both ways ──▶ close
 *
 * Bytes of a UDP tunnel's client are capsules (common/http/capsule.h); of a TCP tunnel they are the
 * target's own. A cut, an expiry, a timeout and the target's end all finish as `close`: what was
 * written before still goes out, then the direction towards the client ends cleanly.
 */
#ifndef PROXY_TUNNEL_H
#define PROXY_TUNNEL_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/address.h"
#include "common/io/loop.h"
#include "common/io/tls.h"
#include "proxy/decide.h"
#include "proxy/front/tunnel_cause.h"
#include "proxy/supervisor/worker_message.h"

enum tunnel_kind { TUNNEL_TCP, TUNNEL_UDP };

/* What the decision is about; copied where it has to live. */
struct tunnel_ask {
    struct view authority; /* tcp, udp: destination, "host:port", lower case; else of the request */
    struct view method;
    struct view path; /* without query */
    struct view token;
    enum tunnel_token_place token_place;
    struct tls_client_certificate certificate;
    struct view user_agent;
    const char *request_id;
    const struct address *peer; /* the client, after PROXY */
    const char *http;           /* "HTTP/1.1", "HTTP/2": for the log; static */
};

struct tunnel_refusal {
    enum tunnel_cause cause;
    const char *sentence; /* for the user */
    const char *url;      /* UNAUTHENTICATED, TOKEN_INVALID; else "" */
};

/*
 * The client's side. Everything lives until the call returns. After refuse or close, or after
 * tunnel_gone, there is no call any more and the tunnel is no longer the client's to touch.
 */
struct tunnel_client {
    /* Answer with success; `id` is the connection's id. Bytes may follow at once. */
    void (*accept)(void *ctx, const char *id);
    void (*refuse)(void *ctx, const struct tunnel_refusal *r);
    /* All or nothing; ERR_LIMIT above room. What is taken will be sent. */
    enum err (*write)(void *ctx, struct view bytes);
    /* Bytes that write takes now; when it has been 0 or a write was refused, tunnel_drain follows.
     */
    size_t (*room)(void *ctx);
    /* No tunnel_read until resume. */
    void (*pause)(void *ctx);
    void (*resume)(void *ctx);
    /* The target has finished sending: half-close, the client may go on. */
    void (*finish)(void *ctx);
    /* The tunnel has ended. `reason` is a sentence. */
    void (*close)(void *ctx, const char *reason);
};

struct tunnels;
struct tunnel;

/*
 * Order of calls: new, configure…, drain, stop (waits for on_stopped), free. The Decide client is
 * there from new to free; tunnels_stop comes before ssh_service_stop, tunnels_free before
 * ssh_service_free.
 */
struct tunnels_host {
    struct loop *loop;
    struct decide *decide;
    const struct rng *rng; /* copied */
};

struct tunnels *tunnels_new(const struct tunnels_host *host);

/* For what comes from now on. The config is referenced. */
void tunnels_configure(struct tunnels *t, const struct worker_config *config);

/* Refuses newcomers; live ones go on. `on_drained` (may be NULL) when none is left. */
void tunnels_drain(struct tunnels *t, loop_fn on_drained, void *ctx);

/* Closes all of them with a sentence; `on_stopped` when the last handle is gone, then free. */
void tunnels_stop(struct tunnels *t, loop_fn on_stopped, void *ctx);
void tunnels_free(struct tunnels *t);
size_t tunnels_live(const struct tunnels *t);
size_t tunnels_count(const struct tunnels *t);

/* Brings the metrics of bytes up to date. */
void tunnels_measure(struct tunnels *t);

/* No callback happens inside. */
struct tunnel *tunnel_open(struct tunnels *t, enum tunnel_kind kind, const struct tunnel_ask *ask,
                           const struct tunnel_client *client, void *ctx);

/* Bytes of the client, after accept and not while paused. All of them are taken. */
void tunnel_read(struct tunnel *u, struct view bytes);

/* The client has room again. */
void tunnel_drain(struct tunnel *u);

/* The client has finished sending (FIN, END_STREAM); it may still be written to. */
void tunnel_finish(struct tunnel *u);

/* The client is gone; `why` for the log. No call to the client any more. */
void tunnel_gone(struct tunnel *u, const char *why);

/*
 * Whether a tunnel of this id is open here, or has ended some minutes ago at most. Why it has, or
 * NULL while it is open, in *out_reason.
 */
bool tunnels_know(const struct tunnels *t, struct view id, const char **out_reason);

/*
 * A question about a request that is no tunnel (who may see what): /healthz with a token,
 * /.pomerium/api/v1/routes. `done` is called once, never inside; not after access_cancel.
 */
struct access;
struct access_answer {
    bool allowed;
    struct tunnel_refusal refusal; /* not allowed */
    struct view body;              /* allowed: JSON, or empty */
};
typedef void (*access_fn)(void *ctx, const struct access_answer *a);
struct access *access_open(struct tunnels *t, const struct tunnel_ask *ask, access_fn done,
                           void *ctx);
void access_cancel(struct access *a);

#endif
