/*
 * Bytes between a local stream and a link, both ways, with half-closes. What one side cannot take
 * waits here, and the other side is paused, so that a slow reader costs RELAY_HOLD_MAX.
 */
#ifndef CLI_RELAY_H
#define CLI_RELAY_H

#include "cli/link.h"
#include "common/base/buf.h"

enum { RELAY_HOLD_MAX = 1 << 20, RELAY_ROOM = 128 * 1024 };

struct relay {
    struct stream *local;
    struct link *link;
    struct buf up;   /* towards the gateway */
    struct buf down; /* towards the local side */
    uint64_t bytes_up;
    uint64_t bytes_down;
    bool local_ended; /* it has finished sending */
    bool link_ended;
    bool hold_up_end; /* the half-close waits: relay_release */
    bool hold_down_end;
    bool up_shut; /* the half-close was passed on */
    bool down_shut;
};

void relay_init(struct relay *r, struct stream *local, struct link *link);
void relay_fini(struct relay *r);

/* The events of both sides. ERR_LIMIT: more came than was asked for; the tunnel has to end. */
enum err relay_local_read(struct relay *r, struct view bytes);
enum err relay_link_read(struct relay *r, struct view bytes);
void relay_turn(struct relay *r); /* something has drained */
void relay_local_end(struct relay *r);
void relay_link_end(struct relay *r);

/* Half-closes go on again. */
void relay_release(struct relay *r);

/* Both directions have ended, and all was handed over. */
bool relay_is_done(const struct relay *r);

#endif
