/*
 * What h2.c (the engine), h2_session.c (nghttp2's callbacks), h2_stream.c (streams and what is due
 * to be told) and h2_head.c (heads) share.
 */
#ifndef COMMON_HTTP_H2_STATE_H
#define COMMON_HTTP_H2_STATE_H

#include <nghttp2/nghttp2.h>

#include "common/base/buf.h"
#include "common/http/h2.h"

enum {
    H2_FRAME_HEAD = 9,
    H2_INPUT_MAX = 65536,
    H2_OUTPUT_MAX = 262144, /* then nothing more is framed */
    H2_QUEUE_MAX = 1000,    /* frames that wait for the output; one of DATA per stream */
    H2_BUCKETS = 64,
    H2_METER_MS = 10000,
    /* Up to this much one send is queued, so that small ones share a frame. */
    H2_DIRECT_MIN = 4096,
};

struct h2_stream {
    struct h2_stream *next; /* in its bucket, or among the closed ones */
    uint32_t id;
    void *owner;

    /* reading */
    struct fields pseudo; /* ":method" as "method" */
    struct fields fields;
    struct h2_head head;
    bool head_done;    /* the request or the final response */
    bool told;         /* the owner has heard of it, or begun it */
    uint16_t refusal;  /* server: the head is answered by the engine with this status */
    size_t head_size;  /* as HPACK counts */
    bool end_received; /* END_STREAM */
    size_t unconsumed; /* bytes shown that h2_consume was not called for */

    /* writing */
    struct buf queue;
    struct view direct; /* goes into the output at once, without the queue; or nothing */
    bool head_sent;     /* submitted */
    bool end_due;       /* END_STREAM follows what is queued */
    bool end_sent;
    bool deferred; /* nghttp2 waits for h2_wake */
    bool was_high; /* a DRAIN is due when the queue is half empty */

    bool dead;            /* reset by the owner: told of no more */
    bool reset_after_end; /* RST_STREAM(NO_ERROR) behind END_STREAM */
    bool is_connect;
    bool is_closed; /* nghttp2 knows it no more */
};

/* An event that was not shown yet. */
struct h2_due {
    enum h2_event_type type;
    struct h2_stream *stream;
    size_t offset; /* BODY: into the input */
    size_t len;
    uint32_t code;
};

/* How often in the present ten seconds. */
struct h2_meter {
    uint64_t since;
    unsigned resets;
    unsigned controls; /* SETTINGS, PING */
    unsigned empties;  /* DATA without bytes and end */
};

struct h2 {
    enum h2_role role;
    nghttp2_session *session;
    struct buf in;
    size_t taken;      /* bytes at the front of `in` that nghttp2 has had */
    size_t preface;    /* server: bytes of the client's preface still to come */
    size_t frame_left; /* of the frame that nghttp2 is reading */
    struct buf out;
    struct h2_stream *buckets[H2_BUCKETS];
    struct h2_stream *closed; /* until no event speaks of them */
    size_t count;             /* neither closed nor dead */
    struct h2_due *due;
    size_t due_first;
    size_t due_count;
    size_t due_cap;
    struct h2_stream *shown_head; /* of the last event: its fields go with the next */
    struct h2_meter meter;
    uint64_t now;
    const char *failure; /* why; then nothing is read any more */
    bool failure_told;
    bool peer_ended;
    bool ready;  /* the peer's SETTINGS came */
    bool goaway; /* was begun or received */
    bool goaway_sent;
    bool no_new;        /* client: the peer takes no new streams */
    size_t last_output; /* bytes of the output when it was last looked at */
};

/* --- h2_stream.c --- */

struct h2_stream *h2_stream_new(struct h2 *h, uint32_t id);
struct h2_stream *h2_find(const struct h2 *h, uint32_t id); /* NULL for dead ones too */
/* It leaves the table; a RESET is due where its owner does not know. */
void h2_stream_closed(struct h2 *h, struct h2_stream *s, uint32_t code);
/* The owner hears of it no more. */
void h2_stream_kill(struct h2 *h, struct h2_stream *s);
void h2_bury(struct h2 *h);
void h2_streams_free(struct h2 *h);
void h2_push(struct h2 *h, enum h2_event_type type, struct h2_stream *s, uint32_t code);
void h2_push_body(struct h2 *h, struct h2_stream *s, struct view bytes);
/* False when nothing is due. */
bool h2_pop(struct h2 *h, struct h2_event *out);

/* --- h2_head.c --- */

/* One field of a head. ERR_SYNTAX: the stream is malformed. */
enum err h2_head_add(struct h2_stream *s, struct view name, struct view value);
/* All fields are there; fills s->head. ERR_SYNTAX as above. Sets s->refusal. */
enum err h2_head_finish(struct h2_stream *s, enum h2_role role);
void h2_head_clear(struct h2_stream *s);
/* nghttp2 copies what they point to. */
struct h2_fields {
    nghttp2_nv *items;
    size_t count;
};
enum err h2_fields_of(const struct h2_head *head, enum h2_role role, char status[4],
                      struct h2_fields *out);

/* --- h2_session.c --- */

void h2_session_new(struct h2 *h);
/* Where DATA of streams comes from. */
nghttp2_data_provider h2_provider(void);
/* Frames what can be sent, while there is room in the output. */
void h2_pump(struct h2 *h);
/* Ends the connection with GOAWAY. */
void h2_fail(struct h2 *h, uint32_t code, const char *why);
/* Counts something that costs us more than the peer; false, and failed, above the limit. */
bool h2_count_up(struct h2 *h, unsigned *counter, const char *why);

#endif
