#include "proxy/supervisor/worker_frame.h"

#include "common/base/wire.h"

enum { LENGTH = 4, TYPE_AND_ID = 5 };

void worker_frames_init(struct worker_frames *f)
{
    *f = (struct worker_frames){0};
    buf_init(&f->in, LENGTH + WORKER_FRAME_MAX + 65536);
}

void worker_frames_fini(struct worker_frames *f)
{
    buf_wipe(&f->in);
}

static void drop_shown(struct worker_frames *f)
{
    if (f->shown == 0)
        return;
#ifdef POSTERN_POISON
    memset(buf_ptr(&f->in), 0xdd, f->shown);
#endif
    buf_consume(&f->in, f->shown);
    f->shown = 0;
    if (f->in.len == 0)
        buf_wipe(&f->in);
}

size_t worker_frames_room(const struct worker_frames *f)
{
    return f->failed ? 0 : buf_room(&f->in) + f->shown;
}

enum err worker_frames_feed(struct worker_frames *f, struct view bytes)
{
    drop_shown(f);
    return f->failed ? ERR_STATE : buf_append(&f->in, bytes);
}

static enum err fail(struct worker_frames *f, enum err e)
{
    f->failed = true;
    return e;
}

enum err worker_frames_next(struct worker_frames *f, struct worker_frame *out)
{
    drop_shown(f);
    if (f->failed)
        return ERR_PROTOCOL;
    if (f->in.len < LENGTH)
        return ERR_MORE;
    const uint8_t *p = buf_ptr(&f->in);
    size_t length = load_u32(p);
    if (length > WORKER_FRAME_MAX)
        return fail(f, ERR_LIMIT);
    if (length < TYPE_AND_ID)
        return fail(f, ERR_PROTOCOL);
    if (f->in.len < LENGTH + length)
        return ERR_MORE;
    uint8_t type = p[LENGTH];
    if (type < WORKER_FRAME_CONFIG || type > WORKER_FRAME_METRICS)
        return fail(f, ERR_PROTOCOL);
    *out = (struct worker_frame){.type = (enum worker_frame_type)type,
                                 .id = load_u32(p + LENGTH + 1),
                                 .body = view_of(p + WORKER_FRAME_HEAD, length - TYPE_AND_ID)};
    f->shown = LENGTH + length;
    return OK;
}

enum err worker_frame_write(const struct worker_frame *f, struct buf *out)
{
    if (f->body.len > WORKER_FRAME_BODY_MAX || buf_room(out) < WORKER_FRAME_HEAD + f->body.len)
        return ERR_LIMIT;
    struct writer w = writer_to(out);
    write_u32(&w, (uint32_t)(TYPE_AND_ID + f->body.len));
    write_u8(&w, (uint8_t)f->type);
    write_u32(&w, f->id);
    write_bytes(&w, f->body);
    return writer_done(&w);
}
