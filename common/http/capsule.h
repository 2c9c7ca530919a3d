/*
 * Capsules (RFC 9297 §3.2) that carry UDP payloads (RFC 9298 §5): DATAGRAM capsules with context 0.
 * Pure, fed at any boundary. Other capsule types and other contexts are skipped without being
 * stored, as both RFCs want.
 */
#ifndef COMMON_HTTP_CAPSULE_H
#define COMMON_HTTP_CAPSULE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum {
    CAPSULE_PAYLOAD_MAX = 65527,   /* of UDP (RFC 9298 §5) */
    CAPSULE_DATAGRAM_OVERHEAD = 6, /* the most that is written before a payload */
};

/* A zeroed struct is at the start of a stream. */
struct capsule_decoder {
    struct buf partial; /* a capsule that has not come whole, or the start of a header */
    uint64_t skip;      /* bytes of the present capsule that are of no use */
    uint64_t skipped;   /* capsules and contexts that were skipped so far */
    bool clear;         /* `partial` was shown by the last call */
};
void capsule_fini(struct capsule_decoder *d);

/*
 * Takes from the front of *in and shows the next UDP payload, which may be empty. OK; ERR_MORE when
 * *in is used up; ERR_LIMIT for a DATAGRAM capsule above the limit, ERR_SYNTAX for one too short
 * for its context: the stream is malformed then. A payload is a view into *in where the capsule was
 * whole there, else into the decoder; until the next call.
 */
enum err capsule_next(struct capsule_decoder *d, struct view *in, struct view *out_payload);

/* The stream may end here: no capsule is half there (RFC 9297 §3.3). */
bool capsule_at_boundary(const struct capsule_decoder *d);

/* Appends a DATAGRAM capsule; all or nothing. ERR_LIMIT. */
enum err capsule_write(struct view payload, struct buf *out);

/* Writes what stands before a payload of `payload_len` bytes; returns how many bytes those are. */
size_t capsule_write_header(size_t payload_len, uint8_t out[CAPSULE_DATAGRAM_OVERHEAD]);

#endif
