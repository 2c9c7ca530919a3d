/*
 * A list behind a proxy/ssh sink: what an engine sent, in order. Include it from tests of
 * proxy/ssh alone.
 */
#ifndef TESTS_SUPPORT_SINK_H
#define TESTS_SUPPORT_SINK_H

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/wire.h"
#include "proxy/ssh/sink.h"

enum { SINK_LIST_MAX = 64 << 20 };

struct sink_list {
    struct buf packets; /* strings */
    size_t count;
    struct buf last; /* the packet of the last sink_list_next */
    bool full;       /* refuse with ERR_LIMIT */
};

static inline enum err sink_list_send(void *ctx, struct view payload)
{
    struct sink_list *l = ctx;
    if (l->full)
        return ERR_LIMIT;
    struct writer w = writer_to(&l->packets);
    write_string(&w, payload);
    l->count++;
    return writer_done(&w);
}

static inline struct sink sink_list_init(struct sink_list *l)
{
    *l = (struct sink_list){0};
    buf_init(&l->packets, SINK_LIST_MAX);
    buf_init(&l->last, SINK_LIST_MAX);
    return (struct sink){.send = sink_list_send, .ctx = l};
}

static inline void sink_list_fini(struct sink_list *l)
{
    buf_fini(&l->packets);
    buf_fini(&l->last);
}

/* The next packet, until the next call; empty when there is none. */
static inline struct view sink_list_next(struct sink_list *l)
{
    buf_clear(&l->last);
    if (!l->packets.len)
        return VIEW("");
    struct reader r = reader_of(buf_view(&l->packets));
    struct view p = read_string(&r);
    CHECK(buf_append(&l->last, p) == OK);
    buf_consume(&l->packets, 4 + p.len);
    l->count--;
    return buf_view(&l->last);
}

static inline void sink_list_clear(struct sink_list *l)
{
    buf_clear(&l->packets);
    l->count = 0;
}

#endif
