/* Chunked transfer coding (RFC 9112 §7.1): a decoder that is fed at any boundary, and encoder
 * helpers. Extensions and trailer fields are checked and dropped. */
#ifndef COMMON_HTTP_CHUNK_H
#define COMMON_HTTP_CHUNK_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum {
    CHUNK_LINE_MAX = 512,     /* size line with extensions, without CRLF */
    CHUNK_TRAILER_MAX = 8192, /* the whole trailer section */
    CHUNK_OVERHEAD = 24,      /* the most that chunk_write adds to one chunk */
};

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_DATA,
    CHUNK_DATA_END, /* the CRLF behind the data */
    CHUNK_TRAILER,
    CHUNK_DONE,
};

/* A zeroed struct chunk_decoder is at the start of a body. */
struct chunk_decoder {
    enum chunk_state state;
    uint64_t left;       /* of the current chunk's data */
    size_t trailer_size; /* so far */
};

/*
 * Takes from the front of `in`: *out_used bytes are done with, *out_data is the part of them that
 * is body (perhaps empty). OK when something was used, or state is CHUNK_DONE (nothing behind the
 * end is used); ERR_MORE when a whole line is not there yet; ERR_SYNTAX, ERR_LIMIT.
 */
enum err chunk_decode(struct chunk_decoder *d, struct view in, size_t *out_used,
                      struct view *out_data);

/* One chunk; `data` is not empty. */
enum err chunk_write(struct view data, struct buf *out);

/* The last chunk and the end of the trailer section. */
enum err chunk_write_end(struct buf *out);

#endif
