/* Private to front*.c. */
#ifndef PROXY_FRONT_PARTS_H
#define PROXY_FRONT_PARTS_H

#include "common/io/dial.h"
#include "common/io/http_link.h"
#include "common/io/timer.h"
#include "proxy/front.h"

enum { FRONT_ID_TEXT = 33 };

/* --- front_route.c: pure --- */

enum front_route { FRONT_NOT_FOUND, FRONT_ALIVE, FRONT_FORWARD };

/* By the authority ("host" or "host:port") and the path with its query. */
enum front_route front_route(struct view authority, struct view path,
                             const char *authenticate_host);

/*
 * Makes a received head one for authenticate: hop-by-hop and client-supplied forwarding fields go,
 * ours come. `id` is the request id.
 */
enum err front_forward_head(struct http1_head *head, const struct address *peer, const char *id);

/* The path without its query, which may hold codes: for the log. */
struct view front_log_path(struct view target);

/* --- connections --- */

enum front_phase {
    FRONT_PHASE_HEAD,
    FRONT_PHASE_IDLE,
    FRONT_PHASE_BODY,
    FRONT_PHASE_DIAL,
    FRONT_PHASE_UPSTREAM,
    FRONT_PHASE_WRITE,
    FRONT_PHASE_COUNT,
};

/* A request that is being forwarded. */
struct front_exchange {
    bool active;
    struct http_link link; /* to authenticate */
    struct dial *dial;
    struct http1_head request; /* views live in the browser's engine until its next head */
    uint64_t body_left;        /* of FRONT_BODY_MAX */
    bool connected;            /* the head is on its way */
    bool opened;               /* TLS is up */
    bool request_done;
    bool response_begun;
    bool response_done;
};

struct front_conn {
    struct front *front;
    struct front_conn *next;
    struct front_conn *previous;
    struct http_link link; /* to the browser */
    struct address peer;
    struct timer deadline;
    enum front_phase phase;
    uint64_t progress; /* what counts as such, when the deadline was set */
    struct front_exchange exchange;
    char request_id[FRONT_ID_TEXT];
    uint64_t started_at;
    uint64_t bytes_before; /* sent to the browser before this response */
    unsigned status;
    bool in_turn;
    bool opened;
};

struct front {
    struct loop *loop;
    struct rng rng;
    struct arrivals *arrivals;
    struct tls_context *server;
    struct tls_context *client;
    char *host;
    char *target;
    struct front_conn *first; /* newest first */
    struct front_conn *last;
    size_t count; /* sockets */
    bool resting; /* front_rest */
    bool draining;
    bool closing;
    loop_fn on_drained;
    void *drained_ctx;
    loop_fn on_closed;
    void *closed_ctx;
};

/* One turn: takes what came on either side, sends what can be sent, sets the deadline. */
void front_turn(struct front_conn *c);

/* An answer with this status has begun. */
void front_count_status(unsigned status);

void front_close_conn(struct front_conn *c);

/* A page of one sentence. `close`: the connection ends after it. */
void front_answer(struct front_conn *c, uint16_t status, const char *sentence, bool close);

/* --- front_exchange.c --- */

/* `head` has been routed to authenticate. */
void front_exchange_begin(struct front_conn *c, const struct http1_head *head);

/* Takes events of the browser's engine while an exchange is active. */
void front_exchange_request(struct front_conn *c, const struct http1_event *e);
bool front_exchange_takes(const struct front_conn *c);

/* Takes one event of authenticate's engine; false when there is none or no room for it. */
bool front_exchange_step(struct front_conn *c);

/* No answer came in time. */
void front_exchange_timeout(struct front_conn *c);

/* Lets go of the inner connection. */
void front_exchange_end(struct front_conn *c);

#endif
