/*
 * HTTP/2 for one connection, as server or as client (RFC 9113), on nghttp2, with extended CONNECT
 * (RFC 8441): SETTINGS_ENABLE_CONNECT_PROTOCOL is sent by a server. Pure: bytes in, events out, as
 * http1.h. Server push and priorities are off; DATA that was not consumed is what a peer can
 * make us hold (a stream's window), so memory is bounded by streams × window.
 *
 *   n = h2_feed(&h, bytes); while (h2_next(&h, &e)) …; h2_output / h2_sent
 *
 * Events come in order. Views in one live until the next h2_next or h2_feed. Sending, h2_output
 * and h2_consume may make events due: whoever has called one of them asks h2_next again.
 *
 * Refused without an event, as http1 refuses it: malformed heads (RST_STREAM), field names with "_"
 * (400), too many or too large fields (431). Several Cookie fields become one. Trailers are
 * dropped, and so are 1xx of a server.
 */
#ifndef COMMON_HTTP_H2_H
#define COMMON_HTTP_H2_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/http/fields.h"

enum {
    H2_STREAMS_MAX = 100,   /* at the same time, of one peer */
    H2_WINDOW = 256 * 1024, /* of one stream */
    H2_CONNECTION_WINDOW = 1 << 20,
    H2_HEAD_MAX = 65536,               /* fields of a head, as HPACK counts them */
    H2_STREAM_OUTPUT_MAX = 256 * 1024, /* queued and not yet framed, per stream */
    H2_RESETS_MAX = 200, /* streams reset by the peer without an answer, per 10 s: then GOAWAY
                            (rapid reset, CVE-2023-44487); also SETTINGS and PING together, and
                            DATA without bytes (CVE-2019-9512, -9515, -9518) */
};

enum h2_role { H2_SERVER, H2_CLIENT };
struct h2;

struct h2_head {
    struct view method; /* requests */
    struct view scheme;
    struct view authority; /* :authority, else Host */
    struct view path;      /* with query; empty for CONNECT */
    struct view protocol;  /* :protocol of extended CONNECT, else empty */
    uint16_t status;       /* responses */
    struct fields *fields; /* the others */
    bool end;              /* nothing follows it */
};

enum h2_event_type {
    H2_HEAD, /* a request, or the final response */
    H2_BODY,
    H2_END,    /* the peer has finished this stream (after HEAD with end, too) */
    H2_RESET,  /* the stream is gone, by the peer or for a protocol error in it */
    H2_DRAIN,  /* more than half of H2_STREAM_OUTPUT_MAX was queued, or h2_send_body was refused,
                  and now there is more room */
    H2_GOAWAY, /* the peer takes no new streams */
    H2_FAILED, /* no more events; close after what is in the output. Every stream was RESET before
                */
};

struct h2_event {
    enum h2_event_type type;
    uint32_t stream;
    void *owner;          /* h2_set_owner of the stream */
    struct h2_head *head; /* HEAD: until h2_next */
    struct view bytes;    /* BODY */
    uint32_t code;        /* RESET, GOAWAY: RFC 9113 §7 */
    const char *text;     /* FAILED: static, for logs */
};

/* `now_ms` of any clock; for the limits per time. */
struct h2 *h2_new(enum h2_role role, uint64_t now_ms);
void h2_free(struct h2 *h);

/* How many bytes h2_feed takes now; 0 = stop reading from the peer, until h2_sent or h2_next. */
size_t h2_room(const struct h2 *h);
size_t h2_feed(struct h2 *h, struct view bytes, uint64_t now_ms);
void h2_feed_end(struct h2 *h);
bool h2_next(struct h2 *h, struct h2_event *out);

/* Client: begins a stream. ERR_LIMIT when the peer takes no more now, ERR_CLOSED after GOAWAY,
 * ERR_UNSUPPORTED for a :protocol before the server's SETTINGS offered it. */
enum err h2_send_request(struct h2 *h, const struct h2_head *head, uint32_t *out_stream);

/* Client: the server's SETTINGS have come, and whether they offer extended CONNECT. */
bool h2_is_ready(const struct h2 *h);
bool h2_has_extended_connect(const struct h2 *h);

/* Server, a final one. ERR_NOT_FOUND when the stream is gone, ERR_STATE for a second one. Fields of
 * the connection (Connection, Upgrade, …) are left out; Content-Length is the owner's to give. */
enum err h2_send_response(struct h2 *h, uint32_t stream, const struct h2_head *head);

/* Bytes that h2_send_body takes now; 0 when the stream is gone. */
size_t h2_writable(const struct h2 *h, uint32_t stream);
/* Bytes queued that the peer's windows hold back. */
size_t h2_pending(const struct h2 *h, uint32_t stream);
enum err h2_send_body(struct h2 *h, uint32_t stream, struct view bytes); /* all or nothing */
/* END_STREAM behind what is queued; while the peer's window is used up it waits, too. */
enum err h2_send_end(struct h2 *h, uint32_t stream);
/*
 * Ends the stream; its owner hears no more of it. With code 0 after h2_send_end: what is queued
 * and END_STREAM still go out, then the peer is told to send no more (RFC 9113 §8.1).
 */
void h2_reset(struct h2 *h, uint32_t stream, uint32_t code);

/* Gives `n` bytes that were shown and not given back yet: the peer may send as much again. */
void h2_consume(struct h2 *h, uint32_t stream, size_t n);

/* Events that are due show the owner of the moment they are shown. NULL when it is gone. */
void h2_set_owner(struct h2 *h, uint32_t stream, void *owner);
void *h2_owner(const struct h2 *h, uint32_t stream);
/* Streams that are open. */
size_t h2_count(const struct h2 *h);
/* Calls `fn` for each open stream that has an owner; `fn` may end streams. */
void h2_each(struct h2 *h, void (*fn)(void *ctx, uint32_t stream, void *owner), void *ctx);

/* Takes no new streams (GOAWAY NO_ERROR); open ones go on. */
void h2_goaway(struct h2 *h);

struct view h2_output(struct h2 *h);
void h2_sent(struct h2 *h, size_t n);

/* GOAWAY was sent or received, or it failed; no stream is open, and the output is sent. */
bool h2_should_close(const struct h2 *h);

#endif
