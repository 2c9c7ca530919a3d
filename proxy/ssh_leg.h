/*
 * One of the two sides of an SSH connection: a stream and the transport that speaks over it. The
 * stream pushes, the transport takes what it has room for; what it does not take waits here while
 * the stream is paused, so that the socket, and so the peer, waits.
 */
#ifndef PROXY_SSH_LEG_H
#define PROXY_SSH_LEG_H

#include "common/base/buf.h"
#include "common/io/stream.h"
#include "proxy/ssh/transport.h"

struct ssh_leg {
    struct stream *stream; /* NULL: not open or closed */
    struct transport *transport;
    struct buf in; /* read and not yet fed */
    bool is_paused;
    bool has_ended; /* nothing comes any more */
    loop_fn on_turn;
    void *ctx;
};

/*
 * Takes over `fd` and the transport. `on_turn(ctx)` is called for whatever happens on the stream,
 * after it was put in here.
 */
void ssh_leg_open(struct ssh_leg *l, struct loop *loop, int fd, struct transport *transport,
                  loop_fn on_turn, void *ctx);

/* What was read goes into the transport. True when something did. */
bool ssh_leg_feed(struct ssh_leg *l, uint64_t now);

/* What the transport has to send goes into the stream. True when something did. */
bool ssh_leg_flush(struct ssh_leg *l);

/* Everything that was sent is in the kernel's hands or the stream's queue. */
bool ssh_leg_is_flushed(const struct ssh_leg *l);

/* Nothing is left that the transport has not seen. */
bool ssh_leg_is_empty(const struct ssh_leg *l);

/* Reads while `wanted` and nothing waits in here. */
void ssh_leg_pace(struct ssh_leg *l, bool wanted);

/* Closes the stream after what is in its queue; the transport goes with ssh_leg_fini. */
void ssh_leg_close(struct ssh_leg *l, uint32_t linger_ms);

/* Closes without waiting for anything and frees. A zeroed leg is fine. */
void ssh_leg_fini(struct ssh_leg *l);

#endif
