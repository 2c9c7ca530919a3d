/* Shared by the relay's own files alone. */
#ifndef PROXY_SSH_RELAY_INTERNAL_H
#define PROXY_SSH_RELAY_INTERNAL_H

#include "proxy/ssh/relay.h"

struct relay_answer {
    bool local;   /* else the other side's reply is awaited */
    bool is_done; /* payload is ready, but something before it is not */
    struct buf payload;
};

static inline enum relay_side relay_other(enum relay_side side)
{
    return side == RELAY_CLIENT ? RELAY_TARGET : RELAY_CLIENT;
}

/* The connection is over; `side` is to blame. */
void relay_fault(struct relay *r, enum relay_side side, enum err e, const char *text);

/* A failure to send is the fault of the side that does not read. */
void relay_send(struct relay *r, enum relay_side to, struct view payload);

/* --- global requests: relay_global.c --- */
void relay_on_global_request(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_global_reply(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
struct relay_answer *relay_owe(struct relay *r, enum relay_side side, bool local);
void relay_flush(struct relay *r); /* what is ready after an import */
void relay_answer_fini(struct relay_answer *a);

/* --- channels: relay_channel.c --- */
void relay_on_open(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_open_confirmation(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_open_failure(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_window_adjust(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_data(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_eof(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_close(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_channel_request(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_on_channel_reply(struct relay *r, enum relay_side from, uint8_t *p, size_t len);
void relay_channel_free(struct relay *r, uint32_t number);
void relay_channels_reserve(struct relay *r, size_t cap);

/* --- lines and the cut: relay_line.c --- */
/* The channel's reserve grew: shows the line that is due. */
void relay_line_paid(struct relay *r, struct relay_channel *c);
/* A channel was freed during the cut. */
void relay_cut_progress(struct relay *r);

#endif
