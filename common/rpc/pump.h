/*
 * Inside of common/rpc: the messages of one call in both directions, with bounded queues. The
 * owner, on the loop, is told by one note what has come, and that what it has asked for may be so
 * now; then it asks again.
 */
#ifndef COMMON_RPC_PUMP_H
#define COMMON_RPC_PUMP_H

#include <protobuf-c/protobuf-c.h>

#include "common/base/err.h"
#include "common/rpc/runtime.h"

struct pump_item {
    grpc_byte_buffer *buffer;
    size_t len;
    struct pump_item *next;
};

struct pump;
typedef void (*pump_fn)(struct pump *p);

struct pump {
    struct rpc *rpc;
    grpc_call *call;
    pump_fn on_note;
    struct rpc_tag recv_tag;
    struct rpc_tag send_tag;
    struct rpc_tag note_tag;
    uint64_t sent_now_at; /* loop only: when a message was last sent without the polling thread */
    /* Under rpc->lock. */
    grpc_byte_buffer *received; /* where the armed read puts its message */
    grpc_byte_buffer *in[RPC_RECV_QUEUE];
    size_t in_head;
    size_t in_count;
    bool armed;   /* a read is under way */
    bool in_over; /* no more messages will come */
    struct pump_item *out_first;
    struct pump_item *out_last;
    size_t out_count;
    size_t out_bytes;
    bool sending;
    grpc_byte_buffer *sent; /* what is being sent */
    uint32_t sent_flags;
    bool dead;    /* sending failed or stopped: what is queued is dropped */
    bool starved; /* a push was refused: tell when there is room again */
    bool paced;   /* a row of messages waits: tell when little is queued */
    bool asked;   /* "drained?" or "idle?" was answered with no: tell when it may be so */
    bool noted;
};

void pump_init(struct pump *p, struct rpc *rpc, grpc_call *call, pump_fn on_note);

/* Drops what is queued. The pump is idle. */
void pump_fini(struct pump *p);

/* Begins to receive. */
void pump_receive(struct pump *p);

/* The next received message or NULL; the caller destroys it. */
grpc_byte_buffer *pump_take(struct pump *p);

/* Everything was received and taken. */
bool pump_is_over(struct pump *p);

/* ERR_BUSY, ERR_CLOSED, ERR_LIMIT (larger than a message may be). */
enum err pump_push(struct pump *p, const ProtobufCMessage *message);

/* Less than RPC_SEND_PACED_BYTES is queued. False: pump_take_writable says when. */
bool pump_has_room(struct pump *p);

/* True once after an ERR_BUSY when half of the queue is free, and after a want of room. */
bool pump_take_writable(struct pump *p);

/* Nothing is queued nor on its way. After a no on_note comes when that has changed. */
bool pump_is_drained(struct pump *p);

/* Takes and sends nothing more; the call is cancelled or over. */
void pump_stop(struct pump *p);

/*
 * No operation is under way and no note is on its way: the owner may be freed. After a no on_note
 * comes when that may have changed.
 */
bool pump_is_idle(struct pump *p);

#endif
