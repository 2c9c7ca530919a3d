/* Inside of common/rpc: a server and its calls. */
#ifndef COMMON_RPC_CALL_H
#define COMMON_RPC_CALL_H

#include <grpc/grpc.h>

#include "common/base/slots.h"
#include "common/rpc/pump.h"
#include "common/rpc/server.h"

struct rpc_server {
    struct rpc *rpc;
    grpc_server *grpc;
    const struct rpc_method *methods;
    size_t count;
    void *ctx;
    void (*on_denied)(const struct rpc_peer *peer, const char *address, const char *method,
                      void *ctx);
    void (*on_done)(const char *name, enum rpc_kind kind, enum rpc_status status, uint64_t us,
                    void *ctx);
    void **registered; /* gRPC's handle of each row */
    struct slots calls;
    size_t live;    /* calls not yet freed */
    size_t waiting; /* requests posted and not yet answered */
    uint16_t port;
    struct rpc_tag shutdown_tag;
    bool closing;
    bool shut;
    rpc_closed_fn closed;
    void *closed_ctx;
};

struct rpc_call {
    struct rpc_server *server;
    const struct rpc_method *method; /* NULL: unknown or refused */
    uint64_t id;
    grpc_call *grpc;
    struct rpc_peer peer;
    char *address;
    void *data;
    struct pump pump;
    struct rpc_tag close_tag;    /* the client is gone or has everything */
    struct rpc_tag metadata_tag; /* a stream's initial metadata */
    struct rpc_tag status_tag;   /* reply or status */
    unsigned under_way;          /* of these three */
    int cancelled;
    bool pumping;
    bool half_closed;
    bool finishing; /* the handler has ended it: the status goes out after what is queued */
    bool finished;  /* the status is on its way */
    bool over;      /* on_end has run */
    enum rpc_status status;
    char *text;
    uint64_t began_ns;
};

/*
 * Takes over `grpc` and begins: with a method, and the first message where it has one, or to be
 * refused with `refusal`. The payload is destroyed here.
 */
struct rpc_call_start {
    grpc_call *grpc;
    const struct rpc_method *method;
    grpc_byte_buffer *payload;
    const char *path; /* for on_denied */
};
void call_start(struct rpc_server *server, const struct rpc_call_start *start);

/* The server may have nothing left to wait for. */
void server_settle(struct rpc_server *server);

#endif
