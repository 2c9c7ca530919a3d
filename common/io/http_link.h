/*
 * The http1 engine on a stream: what comes is fed as the engine takes it, what it has written is
 * sent as the stream takes it. Whoever stops asking for events stops the peer after 128 KiB.
 */
#ifndef COMMON_IO_HTTP_LINK_H
#define COMMON_IO_HTTP_LINK_H

#include "common/base/buf.h"
#include "common/http/http1.h"
#include "common/io/stream.h"

struct http_link {
    struct http1 http;
    struct stream *stream; /* the owner's to open and close; NULL: nothing is sent or resumed */
    struct buf rest;       /* read and not yet taken by the engine */
    bool paused;
    bool ended; /* the peer's direction */
    bool told_end;
};

void http_link_init(struct http_link *l, enum http1_role role);
void http_link_fini(struct http_link *l);

/* For on_read and on_end(OK). */
void http_link_take(struct http_link *l, struct view bytes);
void http_link_end(struct http_link *l);

/* As http1_next, over all that has come. Resumes reading when all is taken. */
bool http_link_next(struct http_link *l, struct http1_event *out);

/*
 * Hands the engine's output to the stream; the rest goes on the next on_drain. True when some of
 * it went: the engine may take more, and no on_drain need come.
 */
bool http_link_flush(struct http_link *l);

#endif
