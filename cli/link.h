/*
 * The gateway's side of one tunnel: CONNECT or connect-udp, over a connection of its own (HTTP/1.1)
 * or as a stream of a shared one (HTTP/2, where the gateway speaks it). Bytes of a UDP tunnel are
 * capsules. No callback happens inside a call.
 */
#ifndef CLI_LINK_H
#define CLI_LINK_H

#include "cli/gateway.h"

enum link_kind {
    LINK_TCP,
    LINK_UDP,
    LINK_GET, /* no tunnel: `target` is a path, and on_refused has the answer. HTTP/2 only */
};

struct link;

/* Why there is no tunnel; lives until the callback returns. */
struct link_refusal {
    enum err err;      /* OK: the gateway answered */
    unsigned status;   /* err is OK */
    const char *why;   /* err is not OK */
    struct view body;  /* JSON, may be empty */
    const char *token; /* that was shown, may be "" */
};

struct link_handler {
    void (*on_open)(void *ctx);
    /* Instead of on_open; nothing follows. The owner still has to close. */
    void (*on_refused)(void *ctx, const struct link_refusal *r);
    void (*on_read)(void *ctx, struct view bytes);
    void (*on_drain)(void *ctx);
    /* OK: the gateway has finished sending. Else, once: it is gone. */
    void (*on_end)(void *ctx, enum err why);
    /*
     * Why the tunnel has ended, by the gateway (link_ask_reason). NULL: it has not, or the gateway
     * does not say.
     */
    void (*on_reason)(void *ctx, const char *reason);
};

/* `target` is "host:port". */
struct link *link_open(struct gateway *g, enum link_kind kind, const char *target,
                       const struct link_handler *handler, void *ctx);

/* All or nothing; ERR_LIMIT above link_room. */
enum err link_write(struct link *l, struct view bytes);
size_t link_room(const struct link *l);

/* Bytes that have not left yet. */
size_t link_pending(const struct link *l);

void link_pause(struct link *l);
void link_resume(struct link *l);

/* Half-close behind what was written. */
void link_shutdown(struct link *l);

/* Asks once, after on_open; on_reason is the answer. */
void link_ask_reason(struct link *l);

/* What was written still goes out. NULL is fine. */
void link_close(struct link *l);

#endif
