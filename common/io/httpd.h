/*
 * A small HTTP/1.1 server on the http1 engine and streams: whole requests in, whole responses out,
 * keep-alive, one request at a time per connection. For authenticate and for health endpoints;
 * what has to stream is not for this.
 *
 * Deadlines: TLS handshake 10 s, request head 10 s, body 30 s, idle keep-alive 60 s, a response
 * that the peer does not read 30 s. Above `connections_max` the listener rests.
 */
#ifndef COMMON_IO_HTTPD_H
#define COMMON_IO_HTTPD_H

#include "common/base/err.h"
#include "common/base/view.h"
#include "common/io/address.h"
#include "common/io/loop.h"
#include "common/io/tls.h"

struct fields; /* common/http/fields.h */
struct httpd;
struct httpd_reply;

enum {
    HTTPD_BODY_MAX = 64 * 1024,
    HTTPD_RESPONSE_MAX = 4 << 20,
    HTTPD_CONNECTIONS_MAX = 1024,
    HTTPD_HEAD_MS = 10000,
    HTTPD_BODY_MS = 30000,
    HTTPD_IDLE_MS = 60000,
    HTTPD_WRITE_MS = 30000,
};

/* Lives until the reply is sent. */
struct httpd_request {
    struct view method;
    struct view target; /* as sent: "/path?query" */
    const struct fields *fields;
    struct view body;
    struct address peer;
    const char *peer_uri; /* of the verified client certificate; NULL without mutual TLS */
};

/*
 * Answers now or later, exactly once, by httpd_reply_send with that `reply`. The client may have
 * gone by then: the answer is then dropped.
 */
typedef void (*httpd_fn)(void *ctx, const struct httpd_request *request, struct httpd_reply *reply);

struct httpd_spec {
    struct loop *loop;
    struct tls_context *tls; /* NULL: plain HTTP. A reference is taken. */
    httpd_fn on_request;
    void *ctx;
    size_t body_max;        /* 0: HTTPD_BODY_MAX */
    size_t connections_max; /* 0: HTTPD_CONNECTIONS_MAX */
};

/* Takes over the listening socket `fd` (listen_bind). */
struct httpd *httpd_open(const struct httpd_spec *spec, int fd);

/* New connections use this context from now on. */
void httpd_set_tls(struct httpd *h, struct tls_context *tls);

/*
 * Stops accepting, ends idle connections at once and the others after their response or
 * `grace_ms`; `on_closed` (may be NULL) when all are gone. Outstanding replies may still be sent.
 * NULL is fine.
 */
void httpd_close(struct httpd *h, uint32_t grace_ms, loop_fn on_closed, void *ctx);

/*
 * Sends status, fields and body; Content-Length, Date and Connection are added. `fields` may be
 * NULL. Nothing is kept of the arguments. HEAD gets the head alone. Consumes `reply`.
 */
void httpd_reply_send(struct httpd_reply *reply, unsigned status, const struct fields *fields,
                      struct view body);

/* The request that `reply` answers; NULL is never returned. */
const struct httpd_request *httpd_reply_request(const struct httpd_reply *reply);

#endif
