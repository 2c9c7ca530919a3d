/*
 * A gRPC server from a table of methods. Access is part of the row: a caller that it does not name
 * gets PERMISSION_DENIED before any handler runs, a method without a row UNIMPLEMENTED, a
 * connection without a certificate of our CA no TLS at all.
 */
#ifndef COMMON_RPC_SERVER_H
#define COMMON_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/rpc/identity.h"
#include "common/rpc/rpc.h"
#include "common/rpc/status.h"

struct rpc_server;
struct rpc_call;

enum rpc_kind {
    RPC_UNARY,         /* on_message once; then rpc_reply or rpc_finish, now or later */
    RPC_SERVER_STREAM, /* on_message once; then rpc_send…, rpc_finish */
    RPC_BIDI,          /* on_open, on_message…, on_half_close; rpc_send…, rpc_finish */
};

/*
 * Handlers of one method; NULL = not interested. `ctx` is the server's. A call lives until on_end
 * has returned; on_end comes exactly once for every call for which another handler ran, also when
 * the client went away (`cancelled`) before the handler had answered, and after rpc_finish.
 */
struct rpc_method {
    const ProtobufCServiceDescriptor *service;
    const char *name; /* "Stream" */
    enum rpc_kind kind;
    unsigned callers; /* RPC_CALLER_… bits */
    void (*on_open)(struct rpc_call *call, void *ctx);
    /* The message is freed after the return. */
    void (*on_message)(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
    void (*on_half_close)(struct rpc_call *call, void *ctx);
    /* After rpc_send gave ERR_BUSY, half of the queue has gone; after rpc_has_room was false. */
    void (*on_writable)(struct rpc_call *call, void *ctx);
    void (*on_end)(struct rpc_call *call, bool cancelled, void *ctx);
};

struct rpc_server_config {
    const char *address; /* "127.0.0.1:5443", "[::]:5443"; port 0 = any */
    struct rpc_identity identity;
    const struct rpc_method *methods; /* static; count rows */
    size_t count;
    void *ctx;
    /* A call was refused (for a log line); `peer` is zeroed when the caller is nobody. */
    void (*on_denied)(const struct rpc_peer *peer, const char *address, const char *method,
                      void *ctx);
    /*
     * A call is over; `name` is its row's, "" without one. How long it took, in microseconds. May
     * be NULL.
     */
    void (*on_done)(const char *name, enum rpc_kind kind, enum rpc_status status, uint64_t us,
                    void *ctx);
};

/* ERR_CONFIG (PEMs that cannot be used), ERR_IO (the address is taken or cannot be bound). */
enum err rpc_server_open(struct rpc *rpc, const struct rpc_server_config *config,
                         struct rpc_server **out);

/* The bound port. */
uint16_t rpc_server_port(const struct rpc_server *server);

/*
 * Takes no new calls from now on (UNAVAILABLE), lets the ones that run finish, then calls
 * `closed`; rpc_server_cancel ends those that run with CANCELLED at any time after.
 */
void rpc_server_close(struct rpc_server *server, rpc_closed_fn closed, void *ctx);
void rpc_server_cancel(struct rpc_server *server);

/* --- calls --- */

/* The verified caller. */
const struct rpc_peer *rpc_call_peer(const struct rpc_call *call);
/* Where the caller is: "127.0.0.1", "::1". */
const char *rpc_call_address(const struct rpc_call *call);
/* The row of this call. */
const struct rpc_method *rpc_call_method(const struct rpc_call *call);

/* The handler's own state. */
void rpc_call_set_data(struct rpc_call *call, void *data);
void *rpc_call_data(const struct rpc_call *call);

/* A handle that outlives the call: rpc_call_get gives NULL after on_end. Never 0. */
uint64_t rpc_call_id(const struct rpc_call *call);
struct rpc_call *rpc_call_get(struct rpc_server *server, uint64_t id);
struct rpc_server *rpc_call_server(const struct rpc_call *call);

/* Queues one message of a stream. ERR_BUSY: not taken, wait for on_writable. ERR_CLOSED: over. */
enum err rpc_send(struct rpc_call *call, const ProtobufCMessage *message);

/*
 * Whether little is queued, so that the next of many messages may go: between them others find
 * their place and do not wait long. False: wait for on_writable.
 */
bool rpc_has_room(struct rpc_call *call);

/* The answer of a unary call with status OK. Later calls on it do nothing. */
void rpc_reply(struct rpc_call *call, const ProtobufCMessage *message);

/*
 * Ends the call after what is queued. `text` may be NULL and is copied. A second one does nothing.
 */
void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *text);

/* rpc_finish with the status and text of an error. */
void rpc_fail(struct rpc_call *call, enum err e);

#endif
