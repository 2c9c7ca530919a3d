/*
 * A byte stream over a connected socket, plain TCP or TLS, on one loop. Writes go into a bounded
 * queue; reads are pushed to the handler and can be paused. The owner gets callbacks until it
 * calls stream_close or stream_abort, which it may do inside any of them; the stream frees itself.
 */
#ifndef COMMON_IO_STREAM_H
#define COMMON_IO_STREAM_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/address.h"
#include "common/io/loop.h"
#include "common/io/tls.h"

struct stream;

/* NULL members are not called. */
struct stream_handler {
    /* TLS: the handshake is done, the peer verified. Plain: on the first turn. Once, first. */
    void (*on_open)(void *ctx);
    /* Bytes; the view lives until the callback returns. Never empty. */
    void (*on_read)(void *ctx, struct view bytes);
    /*
     * The queue has fallen to the low mark after it was above it, or after a write that took all
     * the room that there was.
     */
    void (*on_drain)(void *ctx);
    /*
     * No on_read after it. OK: the peer has finished sending (FIN, with TLS a close_notify
     * before it) and may still be written to; a failure may follow. Anything else, once: the
     * connection is gone or unusable (ERR_CLOSED, ERR_IO, ERR_VERIFY, ERR_PROTOCOL, ERR_TIMEOUT
     * for the handshake); stream_why says more. The owner still has to close.
     */
    void (*on_end)(void *ctx, enum err why);
};

struct stream_spec {
    struct loop *loop;
    struct tls_context *tls; /* NULL: plain. A reference is taken. */
    const char *server_name; /* TLS client: SNI and, unless the context has a URI, verified */
    size_t queue_max;        /* 0: STREAM_QUEUE_MAX */
    size_t queue_low;        /* 0: a quarter of queue_max */
    uint32_t handshake_ms;   /* 0: STREAM_HANDSHAKE_MS */
    bool keepalive;          /* TCP keepalive: 6 probes 10 s apart, after */
    uint32_t keepalive_s;    /* so long without a byte; 0: STREAM_KEEPALIVE_S */
    bool inherits;           /* accepted from listen_bind's socket: keepalive is on already */
    bool paused;             /* no reads (but for the handshake) before stream_resume */
    /*
     * Of one on_read; 0: LOOP_SCRATCH; LOOP_READ_MAX at most. With more than LOOP_SCRATCH, a fast
     * peer is read at ticks (pace.h), so what it sends may wait for TICK_MAX_US.
     */
    size_t read_max;
};

enum {
    STREAM_QUEUE_MAX = 256 * 1024,
    STREAM_HANDSHAKE_MS = 10000,
    STREAM_KEEPALIVE_S = 60,
    STREAM_LINGER_MS = 2000,
    STREAM_BUSY_LINGER_MS = 20000,
};

/*
 * Takes over `fd`, a connected TCP or UNIX stream socket (listen.h, dial.h). The role in TLS is
 * that of the context. TCP_NODELAY is set. Never NULL; no callback happens inside.
 */
struct stream *stream_new(const struct stream_spec *spec, int fd,
                          const struct stream_handler *handler, void *ctx);

/*
 * Queues all of `bytes` or nothing: ERR_LIMIT when they do not fit, ERR_CLOSED after the end, a
 * half-close or a failure. What can be sent at once is sent at once. Never calls back inside.
 */
enum err stream_write(struct stream *s, struct view bytes);

/* How many bytes stream_write takes now; 0 after a failure or a half-close. */
size_t stream_room(const struct stream *s);

/* Bytes queued and not yet handed to the kernel; with TLS they may be counted as records. */
size_t stream_pending(const struct stream *s);

/* Stops and restarts on_read; on_end(OK) waits as well. */
void stream_pause(struct stream *s);
void stream_resume(struct stream *s);

/* Of one on_read from now on: LOOP_SCRATCH to LOOP_READ_MAX. */
void stream_set_read_max(struct stream *s, size_t max);

/* Half-close: after what is queued, close_notify and FIN. Reads go on. */
void stream_shutdown(struct stream *s);

/*
 * Sends what is queued, then close_notify and FIN, then reads and drops until the peer's FIN, so
 * that no RST destroys what the peer has not read yet; all of it within `linger_ms` (0:
 * STREAM_LINGER_MS). A peer that is still sending then gets STREAM_BUSY_LINGER_MS more to see our
 * end; only one that goes on even after that is reset by the kernel, since nobody takes its bytes.
 * No handler callback happens any more. `on_closed` (may be NULL) is called when the socket is
 * closed, never inside this call. The stream is gone for the caller.
 */
void stream_close(struct stream *s, uint32_t linger_ms, loop_fn on_closed, void *ctx);

/* Closes without sending what is queued and without waiting. */
void stream_abort(struct stream *s, loop_fn on_closed, void *ctx);

/* The one URI name of the verified peer certificate, NULL when there is none. */
const char *stream_peer_uri(const struct stream *s);

/* What the client asked for by SNI; NULL when it did not. */
const char *stream_server_name(const struct stream *s);

/* What ALPN has chosen: "h2", "http/1.1"; "" when nothing was. */
const char *stream_alpn(const struct stream *s);

/* Of a server whose context has client_rules; all false when none was shown. */
struct tls_client_certificate stream_client_certificate(const struct stream *s);

/* A sentence about the failure that on_end told, "" before. No secret, fit for a log. */
const char *stream_why(const struct stream *s);

/* Bytes of the application in each direction so far. */
uint64_t stream_bytes_in(const struct stream *s);
uint64_t stream_bytes_out(const struct stream *s);

/* Whether it waits for a tick instead of being woken. */
bool stream_is_paced(const struct stream *s);

struct loop *stream_loop(const struct stream *s);

#endif
