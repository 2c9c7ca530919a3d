/*
 * One connection of a worker, from its check to its end.
 *
 *   CHECKING decided when the copy is known to be current, and a tunnel when its worker has the
 *            routes that it is decided by
 *   ASKING   its code is being recorded: the answer comes after that
 *   WAITING  sent to the browser
 *   HELD     came live by Register on a newer copy than ours: decided when ours is as new
 *   LIVE     allowed; watched
 *   CUT      told to end, not yet gone
 */
#ifndef AUTHORIZE_CONNECTION_H
#define AUTHORIZE_CONNECTION_H

#include "authorize/authorize.h"
#include "authorize/convert_stream.h"
#include "authorize/worker.h"
#include "common/base/check.h"
#include "common/base/messages.h"

enum connection_phase {
    CONNECTION_CHECKING,
    CONNECTION_ASKING,
    CONNECTION_WAITING,
    CONNECTION_HELD,
    CONNECTION_LIVE,
    CONNECTION_CUT,
};

struct connection {
    struct live_node node;
    struct worker *worker;
    enum connection_phase phase;
    enum protocol protocol;
    uint32_t attempt;
    uint64_t since_ms; /* Unix */

    /* What was asked. */
    char *route; /* ssh: as typed; else the authority */
    char *source;
    char *login;               /* ssh, else "" */
    char *client_version;      /* ssh; else the user agent */
    struct offered_key key;    /* ssh, else zeroed */
    struct tunnel_ask *tunnel; /* not ssh, else NULL */

    /* What was decided. */
    char *session_id; /* "" for a service account, and where nobody is known */
    char *account_id;
    char *user_id;
    char *email;
    char *route_name;
    char *route_id;
    uint64_t expires_ms;

    /* Logs out in the management shell: until then (Unix) its own end is not a cut's, so that the
     * shell can say what came of it. 0 = does not. */
    uint64_t leaving_ms;

    /* CHECKING */
    uint64_t check_needs; /* number of the proof, live/currency.h */
    struct connection *check_next;
    struct connection *check_prev;
    bool awaits_table; /* its time has come, but that of the worker's route table has not */

    struct code *code; /* WAITING, ASKING */

    char *cut_reason; /* CUT */
    uint64_t cut_at;  /* loop time of the last Cut that was sent; 0 = not sent yet */
    unsigned cut_tries;
    uint64_t cut_us; /* when that was decided, for the metrics */
};

static inline struct connection *connection_of(struct live_node *n)
{
    return n ? CONTAINER_OF(n, struct connection, node) : NULL;
}

static inline const char *connection_id(const struct connection *c)
{
    return c->node.id;
}

struct ask connection_ask(const struct connection *c);

/* The route that was asked for, as it is now; NULL when there is none. */
const struct snapshot_route *connection_route(const struct authorize *a,
                                              const struct connection *c);

/* NULL when there is none, or another worker has it. */
struct connection *connection_find(struct authorize *a, const struct worker *w, const char *id);

/* A question of a worker. */
void connection_check(struct authorize *a, struct worker *w, const struct stream_check *check);

/*
 * Its time has come: decides and answers, or starts a sign-in. Without a proof the copy must not
 * be older than authorize_max_staleness.
 */
void connection_decide(struct authorize *a, struct connection *c);

/* One that awaits_table: it is asked anew whether the copy is current. */
void connection_resume(struct authorize *a, struct connection *c);

/* A connection that a worker brings along. */
void connection_register(struct authorize *a, struct worker *w, const struct stream_registered *r);

/*
 * Decides again: a live one stays or is cut, a waiting one is released when its key is bound. A
 * held one is left alone until its time.
 */
void connection_reconsider(struct authorize *a, struct connection *c);

/* Releases a held one whose copy has come. */
void connection_unhold(struct authorize *a, struct connection *c);

/* The code is recorded: shows the link to those that wait for it. */
void connection_show_login(struct authorize *a, struct connection *c);

/* Ends the wait of one; it is gone then. */
void connection_end_wait(struct authorize *a, struct connection *c, enum stream_outcome outcome,
                         enum message sentence);

/* Refuses one with a sentence; it is gone then. */
void connection_refuse(struct authorize *a, struct connection *c, enum message sentence);

/* Tells the worker to end a live one. `reason` is copied. */
void connection_cut(struct authorize *a, struct connection *c, const char *reason);

/* Sends the Cut (again). */
void connection_send_cut(struct authorize *a, struct connection *c);

/* Forgets it; `ended`: it is closed, else its worker's stream is lost. */
void connection_remove(struct authorize *a, struct connection *c, bool ended);

#endif
