/*
 * HTTP/1.1 for one connection, as server or as client (RFC 9112). Pure: bytes in, events out,
 * messages in, bytes out. Strict: whatever two recipients could read differently is refused
 * (two framings, bare LF, folded lines, blanks before a colon, several Content-Length). A server
 * refuses field names with "_" too: CGI and its heirs read them as "-".
 *
 * Server                                        Client
 *   while (http1_next(&h, &e))                    http1_send_head(&h, &request)
 *     HEAD   a request                            http1_send_body …, http1_send_end
 *     BODY   a part of its body                   while (http1_next(&h, &e))
 *     END    of the request                         INTERIM  a 1xx
 *     TUNNEL bytes, after CONNECT or 101            HEAD     the response
 *     CLOSED, FAILED                                BODY, END, TUNNEL, CLOSED, FAILED
 *   http1_send_head(&h, &response)                http1_is_idle(&h): the next request may be sent
 *   http1_send_body …, http1_send_end
 *
 * A server gets the next request once the response to this one has been sent with
 * http1_send_end and most of it with http1_sent; pipelined bytes wait in the engine. Whoever cannot
 * take more body stops calling http1_next; then http1_room falls to 0 and reading from the peer
 * stops. There are no deadlines in here: the owner watches http1_is_idle and http1_in_head.
 */
#ifndef COMMON_HTTP_HTTP1_H
#define COMMON_HTTP_HTTP1_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/http/chunk.h"
#include "common/http/fields.h"

enum {
    HTTP1_HEAD_MAX = 65536, /* start line and fields */
    HTTP1_TARGET_MAX = 8192,
    HTTP1_METHOD_MAX = 32,
    HTTP1_INPUT_MAX = 65536,
    HTTP1_OUTPUT_MAX = 262144,
};

enum http1_role {
    HTTP1_SERVER,
    HTTP1_CLIENT,
};

/* How a body is delimited. */
enum http1_body {
    HTTP1_BODY_NONE,
    HTTP1_BODY_LENGTH,  /* body_len bytes */
    HTTP1_BODY_CHUNKED, /* a server writes until close to a client of HTTP/1.0 */
    HTTP1_BODY_CLOSE,   /* until close: received responses only */
};

/*
 * A head, received or to be sent. Received: everything is set; the views and fields belong to the
 * engine and may be changed by the owner. They live until the next start line is read: a server's
 * until http1_send_end, a client's final response until the next http1_send_head.
 * To be sent: a request needs method, target, fields (with Host); a response status and fields.
 * The engine writes Content-Length, Transfer-Encoding and Connection from body, body_len and
 * close, and skips fields of these names and Keep-Alive. With an Upgrade field it writes
 * "Connection: upgrade".
 */
struct http1_head {
    struct view method;    /* requests */
    struct view target;    /* as on the request line */
    struct view authority; /* received requests: of an absolute target or of CONNECT, else Host */
    struct view path; /* received requests: path and query, "/" at least; "*"; empty for CONNECT */
    uint16_t status;  /* responses */
    struct view reason; /* received responses; not written: the standard phrase is */
    uint8_t minor;      /* received: 1 for HTTP/1.1, 0 for HTTP/1.0 */
    struct fields *fields;
    enum http1_body body;
    uint64_t body_len;    /* of HTTP1_BODY_LENGTH; in a response to HEAD what it would be */
    bool close;           /* the connection ends after this message */
    bool expect_continue; /* received requests: the peer waits for http1_send_continue */
    bool upgrade;         /* received requests: Upgrade is asked for, and 101 may be answered;
                             fields_has_token(fields, "Upgrade", …) says to what */
    bool tunnel; /* sent responses: this 2xx answers a request with `upgrade`, and raw bytes follow
                    both ways as after 101; for clients that take no 101, who read them as a body
                    until close. Neither Content-Length nor chunks. */
};

enum http1_event_type {
    HTTP1_HEAD,
    HTTP1_INTERIM, /* client: head of a 1xx other than 101; the final one follows */
    HTTP1_BODY,
    HTTP1_END,
    HTTP1_TUNNEL, /* raw bytes; empty ones once, when the tunnel begins */
    HTTP1_CLOSED, /* the peer's end came between two messages, or ended the tunnel */
    HTTP1_FAILED, /* no more events; a server may still answer with `status` and close */
};

struct http1_event {
    enum http1_event_type type;
    struct http1_head *head; /* HEAD, INTERIM */
    struct view bytes;       /* BODY, TUNNEL: until the next http1_feed or http1_next */
    enum err err;            /* FAILED */
    uint16_t status;         /* FAILED, server: 400, 414, 417, 431, 501 or 505 */
    const char *text;        /* FAILED: static, for logs */
};

/* Private to http1*.c. */
struct http1 {
    enum http1_role role;
    uint8_t read_state;
    uint8_t write_state;
    struct buf in;
    struct buf out;
    size_t shown;   /* bytes of `in` that the last event stands for */
    size_t scanned; /* bytes of `in` without a LF */
    size_t head_size;
    struct buf start_line;
    struct buf authority;
    struct fields fields;
    struct http1_head head;
    enum http1_body read_body;
    uint64_t body_left;
    struct chunk_decoder chunks;
    bool peer_ended;
    bool closing;      /* after the current exchange */
    bool continue_due; /* server: 100 was asked for and not sent */
    bool no_body;      /* of what is being written: HEAD, 1xx, 204, 304 */
    bool is_head;      /* the current exchange's request is HEAD */
    bool is_connect;
    bool is_upgrade;
    bool tunnel_due; /* written: the tunnel begins once reading gets there */
    enum http1_body write_body;
    uint64_t write_left;
    uint8_t peer_minor;
    uint8_t interims; /* client: 1xx before the final response */
    uint16_t fail_status;
};

void http1_init(struct http1 *h, enum http1_role role);
void http1_fini(struct http1 *h);

/* How many bytes http1_feed takes now; 0 = stop reading from the peer. */
size_t http1_room(const struct http1 *h);

/* Returns how many bytes from the front were taken (copied); the caller keeps the rest. */
size_t http1_feed(struct http1 *h, struct view bytes);

/* The peer has ended its direction. */
void http1_feed_end(struct http1 *h);

/* False when there is nothing to tell now. */
bool http1_next(struct http1 *h, struct http1_event *out_event);

/*
 * Writes a request or a response. ERR_STATE when it is not the time for one (a request is under
 * way; no request was received), ERR_SYNTAX for a method, target or status that cannot be
 * written, ERR_LIMIT when the output is full. A 2xx to CONNECT, a 101 to a request with `upgrade`
 * and a 2xx with `tunnel` begin the tunnel; any other answer to CONNECT closes the connection.
 */
enum err http1_send_head(struct http1 *h, const struct http1_head *head);

/* Server: 100 Continue, where the peer waits for it and no final response was sent; else nothing.
 */
enum err http1_send_continue(struct http1 *h);

/* How many body or tunnel bytes http1_send_body takes now. */
size_t http1_writable(const struct http1 *h);

/*
 * A part of the body, or bytes of the tunnel; all or nothing. ERR_LIMIT above http1_writable,
 * ERR_STATE without a head or beyond body_len. Dropped where the response has no body (HEAD, 204,
 * 304), so a handler need not care.
 */
enum err http1_send_body(struct http1 *h, struct view bytes);

/* The message is complete. ERR_STATE, and the connection is to be closed, when it is too short. */
enum err http1_send_end(struct http1 *h);

/* What was begun cannot be finished: the connection is to be closed after what is in the output,
 * and the peer can tell that the message is cut. */
void http1_abort(struct http1 *h);

/* Bytes to send, and how many of them were. The view lives until the next call that sends. */
struct view http1_output(const struct http1 *h);
void http1_sent(struct http1 *h, size_t n);

/* Between two messages: nothing of one was received or is to be written. */
bool http1_is_idle(const struct http1 *h);

/* Server: a request head was begun and is not complete. */
bool http1_in_head(const struct http1 *h);

bool http1_is_tunnel(const struct http1 *h);

/*
 * The tunnel goes on without the engine, on the stream itself: *out_rest becomes what came and was
 * not shown yet (a TUNNEL event's bytes were), in memory that is the caller's from now on. What
 * is in the output is still to be sent, first of all. ERR_STATE unless the tunnel has begun and the
 * request was read to its end. No events follow, neither END nor the tunnel's first one.
 */
enum err http1_detach(struct http1 *h, struct buf *out_rest);

/*
 * The exchange is over or failed, the output is sent, and the connection has to be closed. A server
 * that has not read all of a request shuts its sending direction down first and drops what still
 * comes for a moment, else the peer may lose the answer (RFC 9112 §9.6).
 */
bool http1_should_close(const struct http1 *h);

/* "Not Found"; "" for an unknown status. */
const char *http1_reason(uint16_t status);

#endif
