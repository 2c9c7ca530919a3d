/* The inside of the Decide stream's end, for proxy/decide*.c alone. */
#ifndef PROXY_DECIDE_INTERNAL_H
#define PROXY_DECIDE_INTERNAL_H

#include "common/base/map.h"
#include "common/io/timer.h"
#include "common/rpc/client.h"
#include "proxy/decide.h"
#include "proxy/probes.h"
#include "proxy/replicas.h"

enum decide_phase {
    DECIDE_DOWN,
    DECIDE_GREETING, /* our Hello is sent */
    DECIDE_GREETED,  /* theirs came, the route table is awaited */
    DECIDE_UP,
};

enum {
    DECIDE_TRIALS = 4, /* replicas that are asked at the same time while none is in use */
};

/* A stream to one replica. */
struct decide_leg {
    struct decide *decide;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    enum decide_phase phase;
    uint64_t heard_at;
    char address[ADDRESS_TEXT_MAX];
    char *config_hash;              /* that its authorize runs; NULL until its Hello */
    struct cluster_specs *clusters; /* of its table; NULL: has been taken, or none came */
    struct cluster_specs *coming;   /* of a table that is not complete; NULL: none is */
};

/* Copies of struct decide_tunnel. */
struct decide_facts {
    char *authority;
    char *method;
    char *path;
    char *user_agent;
    char *request_id;
    struct buf token; /* wiped */
    unsigned token_place;
    bool certificate_presented;
    bool certificate_valid;
    char *certificate_error;
    struct buf leaf;
};

struct decide {
    struct decide_host host;
    char *instance_id;
    char *build;
    char *host_name;
    uint64_t started_ms; /* Unix */
    const struct worker_config *config;
    struct replicas *replicas;
    struct probes *probes;
    struct decide_leg *main;                  /* UP; NULL while there is none */
    struct decide_leg *candidate;             /* being asked whether we may move there */
    struct decide_leg *leaving;               /* half-closed */
    struct decide_leg *trials[DECIDE_TRIALS]; /* without a main: the first that is ready is it */
    struct rpc_stream *stream;                /* of `main`, as the next */
    enum decide_phase phase;                  /* UP or DOWN */
    struct timer timer;
    bool is_lagging;     /* its authorize says that others may know more */
    uint64_t differs_at; /* since when its authorize runs another configuration; 0 = it does not */
    bool is_different;   /* and that has been for long enough to say so */
    uint64_t streams;    /* workers that its authorize serves; 0 = it has not said */
    uint64_t ask_at;     /* when another replica may be asked */
    uint64_t trial_at;   /* when a further trial may begin */
    uint64_t ticked_at;
    uint64_t beat_at; /* of the next heartbeat */
    uint64_t lost_at; /* not UP: since when */
    bool is_warned;
    bool is_stopped;
    struct map links; /* by id */
    struct decide_link *first;
    struct decide_link *cursor;     /* what is looked at next, while all are */
    struct cluster_specs *clusters; /* to be taken */
    bool clusters_due;              /* the watcher has not been told of them */
    loop_fn on_clusters;
    void *clusters_ctx;
};

static inline uint64_t decide_now(const struct decide *d)
{
    return loop_now_ms(d->host.loop);
}

/* Bytes that the link takes in a Register, of what peers decide on; more or less. */
size_t decide_link_size(const struct decide_link *l);

/* False when the stream was dropped. A message that is no question must not be lost. */
bool decide_sent(struct decide *d, enum err e);

/* --- decide_stream.c for decide.c --- */

void decide_stream_init(struct decide *d);
void decide_stream_tick(struct decide *d, uint64_t now);
void decide_stream_close(struct decide *d);
void decide_stream_fini(struct decide *d);

/* --- decide.c for decide_stream.c --- */

struct convert_message;

/* Everything that is held goes to the present stream. */
void decide_register(struct decide *d);
/* What was not asked on the present stream. */
void decide_send_questions(struct decide *d);
/* A message about a connection. */
void decide_answer(struct decide *d, const struct convert_message *m);

#endif
