/* What http1.c (reading) and http1_write.c (writing) share. */
#ifndef COMMON_HTTP_HTTP1_STATE_H
#define COMMON_HTTP_HTTP1_STATE_H

#include "common/http/http1.h"

enum http1_read_state {
    HTTP1_READ_START,  /* before or within the start line */
    HTTP1_READ_FIELDS, /* within the fields */
    HTTP1_READ_BODY,
    HTTP1_READ_END,  /* the END event is due */
    HTTP1_READ_WAIT, /* for the exchange's other half */
    HTTP1_READ_TUNNEL,
    HTTP1_READ_STOPPED,
};

enum http1_write_state {
    HTTP1_WRITE_IDLE,
    HTTP1_WRITE_BODY,
    HTTP1_WRITE_DONE,
    HTTP1_WRITE_TUNNEL,
};

/* A response that is over while at most this much of the request's body is missing still reads it,
 * so that the connection can be kept. */
enum { HTTP1_DRAIN_MAX = 65536 };

/* Both halves may be complete: begin the next exchange, or stop. */
void http1_settle(struct http1 *h);

#endif
