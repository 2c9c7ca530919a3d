/* Frames over the socketpair, the same at both ends. */
#ifndef PROXY_SUPERVISOR_WORKER_LINK_H
#define PROXY_SUPERVISOR_WORKER_LINK_H

#include "common/base/err.h"
#include "common/io/loop.h"
#include "proxy/supervisor/worker_frame.h"

struct worker_link;

struct worker_link_handler {
    /* The frame's body lives until the callback returns. */
    void (*on_frame)(void *ctx, const struct worker_frame *frame);
    /* Once: the other end is gone, or has sent what is no frame. Close then. */
    void (*on_end)(void *ctx, const char *why);
};

/* Takes over `fd`. */
struct worker_link *worker_link_open(struct loop *l, int fd,
                                     const struct worker_link_handler *handler, void *ctx);

/* ERR_LIMIT when the other end does not read, ERR_CLOSED. */
enum err worker_link_send(struct worker_link *l, enum worker_frame_type type, uint32_t id,
                          struct view body);

/* No callback afterwards; may be called inside one. NULL is fine. */
void worker_link_close(struct worker_link *l);

#endif
