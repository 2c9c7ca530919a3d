#include "proxy/supervisor/worker_link.h"

#include "common/base/mem.h"
#include "common/io/stream.h"

enum { QUEUE_MAX = 4 * WORKER_FRAME_MAX };

struct worker_link {
    struct stream *stream;
    struct worker_frames frames;
    const struct worker_link_handler *handler;
    void *ctx;
    bool ended;
    bool closed;
    bool busy; /* in a callback: freed afterwards */
};

static void free_link(struct worker_link *l)
{
    worker_frames_fini(&l->frames);
    mem_free(l);
}

static void end(struct worker_link *l, const char *why)
{
    if (l->ended || l->closed)
        return;
    l->ended = true;
    l->handler->on_end(l->ctx, why);
}

static void on_read(void *ctx, struct view bytes)
{
    struct worker_link *l = ctx;
    l->busy = true;
    while (bytes.len && !l->closed && !l->ended) {
        struct worker_frame frame;
        struct view part = view_take(bytes, worker_frames_room(&l->frames));
        enum err e = worker_frames_feed(&l->frames, part);
        bytes = view_skip(bytes, part.len);
        while (e == OK && !l->closed && (e = worker_frames_next(&l->frames, &frame)) == OK)
            l->handler->on_frame(l->ctx, &frame);
        if (e != OK && e != ERR_MORE)
            end(l, err_text(e));
    }
    l->busy = false;
    if (l->closed)
        free_link(l);
}

static void on_end(void *ctx, enum err why)
{
    struct worker_link *l = ctx;
    l->busy = true;
    end(l, why == OK ? "closed" : err_text(why));
    l->busy = false;
    if (l->closed)
        free_link(l);
}

struct worker_link *worker_link_open(struct loop *loop, int fd,
                                     const struct worker_link_handler *handler, void *ctx)
{
    static const struct stream_handler stream_handler = {.on_read = on_read, .on_end = on_end};
    struct worker_link *l = mem_zalloc(sizeof *l);
    worker_frames_init(&l->frames);
    l->handler = handler;
    l->ctx = ctx;
    const struct stream_spec spec = {.loop = loop, .queue_max = QUEUE_MAX};
    l->stream = stream_new(&spec, fd, &stream_handler, l);
    return l;
}

enum err worker_link_send(struct worker_link *l, enum worker_frame_type type, uint32_t id,
                          struct view body)
{
    const struct worker_frame frame = {.type = type, .id = id, .body = body};
    struct buf out;
    buf_init(&out, WORKER_FRAME_HEAD + WORKER_FRAME_BODY_MAX);
    enum err e = worker_frame_write(&frame, &out);
    if (e == OK)
        e = stream_write(l->stream, buf_view(&out));
    buf_wipe(&out);
    return e;
}

void worker_link_close(struct worker_link *l)
{
    if (!l || l->closed)
        return;
    l->closed = true;
    stream_abort(l->stream, NULL, NULL);
    l->stream = NULL;
    if (!l->busy)
        free_link(l);
}
