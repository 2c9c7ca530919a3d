/*
 * A connected UDP socket on a loop. Datagrams are read and sent in batches: with UDP_GRO and
 * UDP_SEGMENT where the kernel has them, else recvmmsg and sendmmsg. What cannot be sent at once is
 * dropped and counted, never queued.
 */
#ifndef COMMON_IO_DATAGRAM_H
#define COMMON_IO_DATAGRAM_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/address.h"
#include "common/io/loop.h"

enum { DATAGRAM_BATCH_MAX = 64, DATAGRAM_MAX = 65527 };

struct datagram;

struct datagram_handler {
    /* Views live until the callback returns; each is one datagram and may be empty. */
    void (*on_read)(void *ctx, const struct view *packets, size_t count);
    /*
     * The peer's host said that nothing listens there, or the like (ERR_UNAVAILABLE, ERR_IO). The
     * socket stays usable.
     */
    void (*on_error)(void *ctx, enum err e, const char *why);
};

struct datagram_counts {
    uint64_t packets_in, bytes_in;
    uint64_t packets_out, bytes_out;
    uint64_t dropped; /* to be sent, and there was no room, or too large for the path */
};

/* Connected to `peer`. ERR_UNAVAILABLE, ERR_IO with a static sentence in *out_why. */
enum err datagram_open(struct loop *l, const struct address *peer,
                       const struct datagram_handler *handler, void *ctx, struct datagram **out,
                       const char **out_why);

/*
 * Sends all that goes now. Never calls back inside. Datagrams that are larger than the path's MTU
 * leave in fragments, as the kernel has it.
 */
void datagram_send(struct datagram *d, const struct view *packets, size_t count);

/*
 * Stops and restarts on_read: what comes meanwhile is the kernel's to keep or drop. Inside on_read,
 * the rest of what was read together still comes.
 */
void datagram_pause(struct datagram *d);
void datagram_resume(struct datagram *d);

const struct datagram_counts *datagram_counts(const struct datagram *d);
const struct address *datagram_peer(const struct datagram *d);

/* As where the kernel has neither UDP_GRO nor UDP_SEGMENT: what tests compare with. */
void datagram_without_offload(struct datagram *d);

/* No callback any more. NULL is fine. */
void datagram_close(struct datagram *d);

#endif
