/* Private to link*.c and mux.c. */
#ifndef CLI_LINK_PARTS_H
#define CLI_LINK_PARTS_H

#include "cli/link.h"
#include "common/io/http_link.h"
#include "common/io/timer.h"

enum {
    LINK_HEAD_MS = 60000, /* for the answer: the gateway may try several targets */
    LINK_BODY_MAX = 65536,
    LINK_ID_MAX = 128,
    LINK_ASKED_MAX = 6, /* connections that may come to a proxy that knows nothing of the tunnel */
};

struct link {
    struct gateway *gateway;
    const struct link_handler *handler;
    void *ctx;
    enum link_kind kind;
    char *target;
    char *token; /* that was shown */
    char *id;    /* of the tunnel, "" before it is open */
    struct timer deadline;
    struct conn *conn;     /* HTTP/1.1, or until it turns out to be HTTP/2 */
    struct http_link http; /* HTTP/1.1, until it is open */
    struct buf body;       /* of a refusal */
    unsigned status;
    bool is_open;
    bool raw;    /* HTTP/1.1: bytes go past the engine */
    bool busy;   /* events are being handed out */
    bool closed; /* the owner is gone */
    struct ask *reason;
    unsigned asked;
    struct link *reason_link; /* the same, on the tunnel's own HTTP/2 connection */
    /* HTTP/2 */
    struct mux *mux;
    uint32_t stream;
    bool paused;
    bool ended;      /* the gateway's direction, and told so */
    bool end_waits;  /* it has ended, behind what is held */
    struct buf held; /* came while paused */
    struct link *next_waiting;
};

/* Host, User-Agent, Accept and the token; `host` NULL: none is written. */
enum err link_fields(const struct link *l, const char *host, struct fields *out);

/* Another connection, where the gateway speaks HTTP/2 the one that there is. */
void link_dial(struct link *l);
void link_dial_http1(struct link *l);

/* Over this connection, which is open and the link's from now on. */
void link_use_http1(struct link *l, struct conn *conn);

void link_set_id(struct link *l, struct view id);
void link_opened(struct link *l);
void link_refused(struct link *l, enum err e, const char *why);

#endif
