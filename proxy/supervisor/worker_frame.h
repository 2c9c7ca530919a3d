/*
 * Framing between supervisor and worker: u32 length of what follows, u8 type, u32 request id,
 * body. Big endian. Pure. What breaks it is the end of the channel: the supervisor trusts its
 * worker with nothing.
 */
#ifndef PROXY_SUPERVISOR_WORKER_FRAME_H
#define PROXY_SUPERVISOR_WORKER_FRAME_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum worker_frame_type {
    WORKER_FRAME_CONFIG = 1,
    WORKER_FRAME_SIGN_KEX = 2,
    WORKER_FRAME_SIGN_HOSTKEYS_PROVE = 3,
    WORKER_FRAME_SIGN_TLS = 4,
    WORKER_FRAME_SIGNED = 5,
    WORKER_FRAME_STATUS = 6,
    WORKER_FRAME_METRICS = 7, /* an empty question, and its answer: metrics_pack */
};

enum {
    WORKER_FRAME_MAX = 1 << 20, /* the length field */
    WORKER_FRAME_HEAD = 9,      /* length, type and id */
    WORKER_FRAME_BODY_MAX = WORKER_FRAME_MAX - 5,
};

struct worker_frame {
    enum worker_frame_type type;
    uint32_t id; /* of the request that is made or answered; 0: none */
    struct view body;
};

struct worker_frames {
    struct buf in;
    size_t shown; /* bytes of the frame that was given last */
    bool failed;
};

void worker_frames_init(struct worker_frames *f);
void worker_frames_fini(struct worker_frames *f); /* wipes */

/* How many bytes may be fed; never 0 after worker_frames_next has given ERR_MORE. */
size_t worker_frames_room(const struct worker_frames *f);
enum err worker_frames_feed(struct worker_frames *f, struct view bytes);

/*
 * OK: the next frame; its body lives until the next call on `f`. ERR_MORE. ERR_LIMIT (too long)
 * and ERR_PROTOCOL (too short, unknown type) are final.
 */
enum err worker_frames_next(struct worker_frames *f, struct worker_frame *out);

/* Appends. ERR_LIMIT. */
enum err worker_frame_write(const struct worker_frame *f, struct buf *out);

#endif
