/*
 * A connected UDP socket on a loop. Datagrams are read and sent in batches: with UDP_GRO and
 * UDP_SEGMENT where the kernel has them, else recvmmsg and sendmmsg. What cannot be sent at once is
 * dropped and counted, never queued.
 *
 * A fast flow is moderated, as network cards do it: when wake-ups follow each other closely and
 * each brings little, the socket is not polled for a while but read at ticks (tick.h), a tenth of
 * a millisecond apart, and each brings more. The first datagrams of a flow, and whatever comes at
 * a lower rate than DATAGRAM_FAST in DATAGRAM_FAST_US, are told at once.
 */
#ifndef COMMON_IO_DATAGRAM_H
#define COMMON_IO_DATAGRAM_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/address.h"
#include "common/io/loop.h"

enum {
    DATAGRAM_BATCH_MAX = 64,
    DATAGRAM_MAX = 65527,
    /*
     * So many datagrams, in wake-ups after a first one and so close together, make a flow fast:
     * 80,000 in a second. One at a time, each the answer to a question, do not come so close.
     */
    DATAGRAM_FAST = 8,
    DATAGRAM_FAST_US = 100,
    /*
     * For so long it is remembered whether moderating was worth it, which is DATAGRAM_FULL
     * datagrams: if so, the second wake-up in DATAGRAM_FAST_US begins it again; if not, none does.
     */
    DATAGRAM_KNOWN_US = 10000,
    /* A wake-up that brings so many is worth its cost: nothing to moderate. */
    DATAGRAM_FULL = 16,
    /* A tick that brings fewer ends it, and so does one that brings more than */
    DATAGRAM_TICK_MIN = 2,
    DATAGRAM_TICK_MAX = 48, /* since the next wake-up will bring as many. */
};

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
    uint64_t wakes;   /* times that it was read since there was something */
    uint64_t ticks;   /* times that it was read after a moderated wait */
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

/* It is read at ticks now. */
bool datagram_is_moderated(const struct datagram *d);

const struct datagram_counts *datagram_counts(const struct datagram *d);
const struct address *datagram_peer(const struct datagram *d);

/* As where the kernel has neither UDP_GRO nor UDP_SEGMENT: what tests compare with. */
void datagram_without_offload(struct datagram *d);

/* No callback any more. NULL is fine. */
void datagram_close(struct datagram *d);

#endif
