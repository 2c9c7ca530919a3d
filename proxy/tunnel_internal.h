/* The inside of proxy/tunnel.h, for proxy/tunnel*.c and proxy/access.c alone. */
#ifndef PROXY_TUNNEL_INTERNAL_H
#define PROXY_TUNNEL_INTERNAL_H

#include "common/base/buf.h"
#include "common/base/map.h"
#include "common/base/messages.h"
#include "common/base/slots.h"
#include "common/crypto/rng.h"
#include "common/http/capsule.h"
#include "common/http/http1.h"
#include "common/io/datagram.h"
#include "common/io/dial.h"
#include "common/io/stream.h"
#include "common/io/timer.h"
#include "proxy/tunnel.h"
#include "proxy/tunnel/reasons.h"
#include "proxy/tunnel_clusters.h"

enum {
    TUNNEL_CONNECT_MS = 30000, /* over all endpoints, or the longest connect_timeout */
    TUNNEL_CLOSE_MS = 10000,   /* for the client to take what the target sent before its end */
    TUNNEL_LINGER_MS = 5000,   /* for the target to end as well */
    TUNNEL_HALF_MS = 600000,   /* for a silent client after the target has finished */
    TUNNEL_QUEUE_MAX = LOOP_READ_MAX + 64 * 1024, /* one read behind the low mark */
    TUNNEL_QUEUE_LOW = 64 * 1024,
    TUNNEL_BATCH_MAX = 256 * 1024, /* datagrams that go to a client at once, as capsules */
    TUNNEL_REST_MAX = 1024 * 1024, /* one piece of either side, beyond what the other takes */
};

enum tunnel_phase {
    TUNNEL_CHECKING,
    TUNNEL_CONNECTING,
    TUNNEL_OPEN,
    TUNNEL_CLOSING, /* the target has failed: what it sent still goes to the client */
    TUNNEL_OVER,    /* freed on the next turn */
};

struct tunnels {
    struct loop *loop;
    struct decide *decide;
    struct rng rng;
    const struct worker_config *config;
    struct clusters *clusters;
    struct slots tunnels;
    struct slots accesses;
    struct map open; /* by id */
    struct reasons reasons;
    struct buf batch; /* of capsules, for the length of a callback */
    size_t live[2];   /* open, by kind */
    size_t closing;   /* streams that linger */
    bool is_draining;
    bool is_stopping;
    loop_fn on_drained;
    void *drained_ctx;
    loop_fn on_stopped;
    void *stopped_ctx;
};

struct tunnel_packet_counts {
    uint64_t in;
    uint64_t out;
    uint64_t dropped_in;
    uint64_t dropped_out;
    uint64_t unreachable; /* times that the target's host said so */
};

struct tunnel_packets {
    struct capsule_decoder decoder; /* of the client's bytes */
    struct tunnel_packet_counts counts;
    struct tunnel_packet_counts counted; /* in the metrics already */
};

struct tunnel {
    struct tunnels *tunnels;
    uint64_t slot;
    enum tunnel_kind kind;
    enum tunnel_phase phase;
    const struct tunnel_client *client; /* NULL: gone, or told of the end */
    void *ctx;
    const struct worker_config *config; /* of its beginning; NULL before the first */
    struct decide_link link;
    struct timer timer;
    char id[DECIDE_ID_LEN + 1];

    /* the way to the target */
    struct cluster *cluster;
    struct endpoint *endpoint; /* in use or being tried */
    struct endpoints_tried tried;
    struct dial *dial;
    struct stream *stream;
    struct datagram *udp;
    struct http1 *proxy; /* the exchange with an HTTP proxy, while it lasts */
    struct address target;
    uint64_t attempt_at; /* when the present endpoint is given up */
    uint64_t connect_at; /* when the last of them is */
    uint64_t dialled_us;
    char *upstream; /* name of the endpoint that was tried last */
    char *failure;  /* why it would not do */

    /* bytes */
    struct buf to_client; /* what it had no room for */
    struct buf to_target;
    bool client_paused;
    bool client_ended;
    bool target_paused;
    bool target_ended;
    bool told_end; /* finish was called */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t counted[2];            /* in the metrics already: in, out */
    struct tunnel_packets *packets; /* NULL: TCP */

    /* time */
    uint64_t opened_at;
    uint64_t active_at; /* the last byte either way */
    uint64_t timeout_at;
    uint64_t access_at;
    uint64_t closing_at;
    uint64_t asked_us;

    /* for the log, the proxies and the PROXY header */
    char *authority;
    char *method;
    char *user_agent;
    char *request_id;
    const char *http;
    struct address peer;
    char source[ADDRESS_TEXT_MAX];
    char *user_id;
    char *email;
    char *session_id;
    bool service_account;
    char *route_id;
    char *reason;
    struct tunnel_refusal refusal; /* of one that could not even be asked about */
};

/* --- tunnel.c --- */

/* There is no tunnel: tells the client and lets go. `decision` for the log: "login", "deny" … */
void tunnel_refuse(struct tunnel *u, const struct tunnel_refusal *r, const char *decision);

/* Ends an open one; nothing but the first call counts. */
void tunnel_end(struct tunnel *u, const char *reason);

/* Sets the timer to what comes first. */
void tunnel_arm(struct tunnel *u);

/* The way to the target is ready. */
void tunnel_ready(struct tunnel *u);

void tunnels_check_empty(struct tunnels *t);
void tunnels_new_id(struct tunnels *t, char out[static DECIDE_ID_LEN + 1]);
/* Views of the ask. */
struct decide_tunnel tunnel_facts(const struct tunnel_ask *ask);
/* A decision that is no permission, as the front is told it. */
struct tunnel_refusal tunnel_refusal_of(const struct decide_decision *d);

/* --- tunnel_upstream.c --- */
void tunnel_connect(struct tunnel *u, struct cluster *c);
/* Time has come to give an endpoint up. */
void tunnel_connect_timeout(struct tunnel *u);
/* Lets the target go: in order, with what is queued. */
void tunnel_disconnect(struct tunnel *u);

/* --- tunnel_pump.c --- */
extern const struct stream_handler tunnel_pump_handler;
void tunnel_pump_target(struct tunnel *u, struct view bytes);
void tunnel_pump_start(struct tunnel *u);

/* --- tunnel_udp.c --- */
enum err tunnel_udp_open(struct tunnel *u, const char **out_why);
void tunnel_udp_read(struct tunnel *u, struct view bytes);
void tunnel_udp_finish(struct tunnel *u);
void tunnel_udp_count(struct tunnel *u);
/* To an HTTP proxy as capsules; whole ones are dropped when its connection does not take more. */
void tunnel_udp_forward(struct tunnel *u, struct view bytes);

/* --- tunnel_log.c --- */
enum tunnel_event {
    TUNNEL_EVENT_OPEN,
    TUNNEL_EVENT_REFUSED,
    TUNNEL_EVENT_FAILED,
    TUNNEL_EVENT_UPDATE,
    TUNNEL_EVENT_CLOSE,
};
void tunnel_log(const struct tunnel *u, enum tunnel_event event, const char *decision);
void tunnel_count_bytes(struct tunnel *u);
/* A tunnel more or less is open. */
void tunnel_count_live(struct tunnels *t, enum tunnel_kind kind, bool more);
void tunnel_count_refused(const struct tunnel *u, enum tunnel_cause cause);

/* --- access.c --- */
void access_answer_all(struct tunnels *t);

#endif
