/*
 * The calling side: a channel to one service with one or several addresses, unary calls, streams.
 * Nothing is sent before the server has shown a certificate of our CA whose only URI is
 * postern://service/NAME; the host name in the address plays no part.
 *
 * With several targets calls go to one of them; when it answers UNAVAILABLE the next call goes to
 * the next. A name with several addresses is used round robin. Connecting again is gRPC's.
 */
#ifndef COMMON_RPC_CLIENT_H
#define COMMON_RPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/rpc/identity.h"
#include "common/rpc/rpc.h"
#include "common/rpc/status.h"

struct rpc_channel;
struct rpc_stream;

struct rpc_channel_config {
    const char *const *targets; /* "https://host:port" or "host:port", copied */
    size_t count;               /* at least 1 */
    struct rpc_identity identity;
    const char *service; /* who the server must be: "authorize", "databroker" */
};

/* ERR_CONFIG: no target or one that cannot be parsed, PEMs that cannot be used. */
enum err rpc_channel_open(struct rpc *rpc, const struct rpc_channel_config *config,
                          struct rpc_channel **out);

/*
 * Ends all calls and streams on it without calling back, then calls `closed` (may be NULL). Those
 * streams and calls are gone at once.
 */
void rpc_channel_close(struct rpc_channel *channel, rpc_closed_fn closed, void *ctx);

/* A method as the generated descriptor names it. Static. */
struct rpc_method_name {
    const ProtobufCServiceDescriptor *service;
    const char *name;
};

/* --- unary --- */

/* `response` is NULL unless status is RPC_OK; freed after the return. `text` is never NULL. */
typedef void (*rpc_unary_fn)(void *ctx, enum rpc_status status, const char *text,
                             const ProtobufCMessage *response);

/*
 * `done` runs exactly once, later, with DEADLINE_EXCEEDED after timeout_ms at the latest. A target
 * that is not reachable yet is waited for when `wait` is set, else the call fails at once. The id,
 * never 0, cancels: then `done` never runs. An id of a finished call is ignored.
 */
struct rpc_unary_options {
    uint64_t timeout_ms;
    bool wait;
    /* Runs at once, instead of `done`, when the call is cancelled or the channel closed. */
    void (*drop)(void *ctx);
};
uint64_t rpc_unary(struct rpc_channel *channel, struct rpc_method_name method,
                   const ProtobufCMessage *request, struct rpc_unary_options options,
                   rpc_unary_fn done, void *ctx);
void rpc_unary_cancel(struct rpc_channel *channel, uint64_t id);

/* --- streams (server streams and both ways) --- */

struct rpc_stream_events {
    /* The server has accepted the stream (its first bytes came). May be NULL. */
    void (*on_open)(void *ctx);
    /* Freed after the return. */
    void (*on_message)(void *ctx, const ProtobufCMessage *message);
    /* After rpc_stream_send gave ERR_BUSY. May be NULL. */
    void (*on_writable)(void *ctx);
    /* Last, once; the stream is gone when it returns. Status OK is an orderly end too. */
    void (*on_end)(void *ctx, enum rpc_status status, const char *text);
};

/* Fails at once with UNAVAILABLE (on_end, later) when the target is not reachable. `events` is
 * static. */
struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, struct rpc_method_name method,
                                   const struct rpc_stream_events *events, void *ctx);

/* ERR_BUSY: not taken, wait for on_writable. ERR_CLOSED: over, on_end will come. */
enum err rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message);

/* No more messages from us, after what is queued. */
void rpc_stream_half_close(struct rpc_stream *stream);

/* Cancels; no callback comes any more and the pointer is dead. NULL is fine. */
void rpc_stream_close(struct rpc_stream *stream);

/* Skips the target in use: the next call or stream of the channel takes the next one. */
void rpc_channel_rotate(struct rpc_channel *channel);

#endif
