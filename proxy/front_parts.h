/*
 * Private to front*.c. A connection (front.c) speaks one version of HTTP (front_h1.c, front_h2.c),
 * which makes exchanges of requests (front_exchange.c): what an exchange does is the same for both,
 * since it answers through a table of functions, its carrier. front_forward.c and front_tunnel.c
 * are the two kinds that last.
 *
 * Nothing of another part is called from within one of its callbacks: the connection takes a turn a
 * moment later (front_kick).
 */
#ifndef PROXY_FRONT_PARTS_H
#define PROXY_FRONT_PARTS_H

#include "common/http/accept.h"
#include "common/http/http1.h"
#include "common/io/dial.h"
#include "common/io/http_link.h"
#include "common/io/timer.h"
#include "proxy/front.h"
#include "proxy/front/local_reply.h"
#include "proxy/front/request.h"
#include "proxy/ssh_startups.h"

enum {
    FRONT_ID_TEXT = 33,
    FRONT_GATHERED_MAX = 65536, /* of a tunnel over HTTP/2, shown at once */
};

enum front_phase {
    FRONT_PHASE_NONE,
    FRONT_PHASE_HEAD,
    FRONT_PHASE_IDLE,
    FRONT_PHASE_BODY,
    FRONT_PHASE_DIAL,
    FRONT_PHASE_UPSTREAM,
    FRONT_PHASE_WRITE,
};

struct front_deadline {
    struct timer timer;
    enum front_phase phase;
    uint64_t progress; /* what counts as such, when it was set */
};

/* Set anew when the phase is another, or in WRITE the progress. */
void front_deadline_set(const struct front *f, struct front_deadline *d, enum front_phase phase,
                        uint64_t progress);

/* --- exchanges --- */

struct front_exchange;
struct front_forward;
struct front_conn;

/* A request, as its carrier shows it: all views live during front_exchange_begin. */
struct front_request {
    struct request_head head;
    struct fields *fields;
    enum http1_body body;
    uint64_t body_len;
};

/* What an exchange needs of its version of HTTP. */
struct front_carrier {
    const char *name; /* "HTTP/1.1" */
    /* The final response's head; body, body_len and close as http1.h has them. */
    enum err (*head)(struct front_exchange *x, const struct http1_head *head);
    size_t (*writable)(const struct front_exchange *x);
    enum err (*body)(struct front_exchange *x, struct view bytes); /* all or nothing */
    /* The response is complete: the exchange is over. */
    void (*end)(struct front_exchange *x);
    /* It cannot be completed: the client sees that it is cut. The exchange is over. */
    void (*abort)(struct front_exchange *x);
    /* The body of the request is wanted. */
    void (*proceed)(struct front_exchange *x);
    /* Bytes that were taken and have not gone; what has gone so far. */
    size_t (*pending)(const struct front_exchange *x);
    uint64_t (*progress)(const struct front_exchange *x);
    /* Tunnels: the answer of success; the client's bytes stop and go on; half-close; the end. */
    void (*accept)(struct front_exchange *x, const struct fields *fields);
    void (*pause)(struct front_exchange *x, bool pause);
    void (*finish)(struct front_exchange *x);
    void (*close)(struct front_exchange *x);
};

enum front_work {
    FRONT_WORK_NONE,
    FRONT_WORK_FORWARD,
    FRONT_WORK_TUNNEL,
    FRONT_WORK_ACCESS,
    FRONT_WORK_REPLY, /* of which a part has gone */
};

struct front_exchange {
    struct front_conn *conn;
    const struct front_carrier *carrier;
    enum front_work work; /* NONE: nothing to wait for, it was answered */
    struct front_forward *forward;
    struct tunnel *tunnel;
    struct access *access;
    struct buf reply; /* REPLY: what has not */
    enum request_kind kind;
    enum tunnel_token_place token_place;
    enum accept_kind accept;
    bool host_is_destination; /* of a UDP tunnel */
    bool request_done;        /* the client has sent all of it */
    bool waits;               /* counts as waiting */
    bool live;                /* a tunnel that was accepted */
    bool paused;              /* its client's bytes */
    struct front_deadline deadline;
    char request_id[FRONT_ID_TEXT];
};

void front_exchange_init(struct front_exchange *x, struct front_conn *c,
                         const struct front_carrier *carrier);

/* The carrier has a request. */
void front_exchange_begin(struct front_exchange *x, const struct front_request *r);

/* May the client's bytes be shown? Bytes of a request that was answered are dropped. */
bool front_exchange_takes(const struct front_exchange *x);
void front_exchange_body(struct front_exchange *x, struct view bytes);
void front_exchange_finish(struct front_exchange *x);

/* The carrier has room again. */
void front_exchange_drain(struct front_exchange *x);

/* Takes one step on its own side; false when there is none to take. */
bool front_exchange_step(struct front_exchange *x);
void front_exchange_set_deadline(struct front_exchange *x);

/* The client is gone, or its connection ends: no call to the carrier any more. */
void front_exchange_fini(struct front_exchange *x, const char *why);

/* A page of one sentence; the exchange is over. `close`: an HTTP/1 connection ends after it. */
void front_reply(struct front_exchange *x, uint16_t status, const char *sentence, bool close);
void front_redirect(struct front_exchange *x, uint16_t status, const char *sentence,
                    const char *location);

void front_reply_json(struct front_exchange *x, struct view body);

/* An answer with this status has begun. */
void front_count_status(unsigned status);

/* --- front_forward.c --- */

void front_forward_begin(struct front_exchange *x, const struct front_request *r);
bool front_forward_takes(const struct front_forward *fw);
void front_forward_body(struct front_exchange *x, struct view bytes);
void front_forward_finish(struct front_exchange *x);
bool front_forward_step(struct front_exchange *x);
enum front_phase front_forward_phase(const struct front_forward *fw);
/* authenticate has not answered in time; the client has not sent its body in time. */
void front_forward_timeout(struct front_exchange *x);
void front_forward_late(struct front_exchange *x);
void front_forward_end(struct front_exchange *x);

/* --- front_tunnel.c --- */

void front_tunnel_begin(struct front_exchange *x, const struct front_request *r,
                        const struct request *asked);
void front_access_begin(struct front_exchange *x, const struct front_request *r);
void front_tunnel_gone(struct front_exchange *x, const char *why);

/* --- connections --- */

/* One version of HTTP. */
struct front_protocol {
    void (*open)(struct front_conn *c);
    void (*read)(struct front_conn *c, struct view bytes);
    void (*end)(struct front_conn *c); /* the client has finished sending */
    /* Takes what came on either side, sends what can be sent, sets deadlines. */
    void (*turn)(struct front_conn *c);
    /* The stream's queue is empty again; a turn follows. */
    void (*drain)(struct front_conn *c);
    void (*deadline)(struct front_conn *c);
    bool (*is_idle)(const struct front_conn *c);
    /* Ends exchanges and frees; the stream is closed already. */
    void (*close)(struct front_conn *c, const char *why);
};
extern const struct front_protocol front_h1;
extern const struct front_protocol front_h2;

enum { FRONT_PREFACE = 4 };

struct front_conn {
    struct front *front;
    struct front_conn *next;
    struct front_conn *previous;
    struct stream *stream;                 /* NULL: it is being closed */
    const struct front_protocol *protocol; /* NULL before it is known */
    void *state;                           /* of the protocol */
    struct address peer;
    struct front_deadline deadline;
    struct timer kick;
    struct ssh_startup place; /* while there is no tunnel */
    size_t tunnels;           /* accepted ones */
    size_t forwards;
    uint8_t preface[FRONT_PREFACE];
    uint8_t preface_len;
    bool is_tls;
    bool in_turn;
    bool again;
    bool opened;
};

struct front {
    struct loop *loop;
    struct rng rng;
    struct arrivals *arrivals;
    struct tls_context *server;
    struct tls_context *client;
    struct tunnels *tunnels;
    size_t tunnels_max;
    size_t tunnels_live;
    size_t waiting;
    char *host;
    char *target;
    char *cookie_name;
    uint16_t redirect_port;
    uint64_t head_ms;
    uint64_t idle_ms;
    bool is_hsts;
    struct buf gathered; /* of front_h2.c, within a turn */
    struct ssh_startups startups;
    struct front_conn *first; /* newest first */
    struct front_conn *last;
    size_t count;     /* sockets */
    size_t tunnelled; /* of them with a tunnel that was accepted */
    bool resting;     /* front_rest */
    bool draining;
    bool closing;
    loop_fn on_drained;
    void *drained_ctx;
    loop_fn on_closed;
    void *closed_ctx;
};

/* One turn, now or (from the callback of another part) a moment later. */
void front_turn(struct front_conn *c);
void front_kick(struct front_conn *c);

void front_close_conn(struct front_conn *c, const char *why);

/* The same behind a tunnel's last bytes, which a slow client gets too unless the proxy stops. */
void front_end_tunnel(struct front_conn *c);

/*
 * A place among those that wait; where there is none, the oldest connection of the source that has
 * most connections loses its own. False when nobody else can.
 */
bool front_wait(struct front_exchange *x);
void front_wait_over(struct front_exchange *x);

/* The first tunnel of a connection is accepted, or its last one has ended. */
void front_count_tunnel(struct front_conn *c, bool is_live);

#endif
