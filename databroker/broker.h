/* The databroker's service: what its handlers share. Everything runs on the loop. */
#ifndef DATABROKER_BROKER_H
#define DATABROKER_BROKER_H

#include "common/rpc/server.h"
#include "databroker/engine.h"
#include "databroker/lease.h"
#include "proto/databroker/databroker.pb-c.h"

struct watcher;

enum {
    BROKER_QUERY_MAX = 1000,     /* records of one answer */
    BROKER_ANSWER_MAX = 3 << 20, /* bytes of one answer */
    BROKER_WATCHERS_MAX = 2000,
};

struct broker {
    struct loop *loop;
    struct engine *engine;
    struct rpc_server *server; /* NULL once closed */
    struct leases leases;
    const char *build;
    struct watcher *watchers;
    size_t watcher_count;
    bool ending; /* watchers are sent away */
};

/* A job of one call, which may be over before the job is. */
struct broker_job {
    struct engine_job base;
    struct broker *broker;
    uint64_t call_id;
    enum err err;
    struct record_page page;
};

/* A zeroed job of `size` bytes that begins with a struct broker_job. */
void *broker_job_new(struct rpc_call *call, void *ctx, size_t size);

/* The call, or NULL when it is over. */
struct rpc_call *broker_call(const struct broker *b, uint64_t call_id);
struct rpc_call *broker_job_call(const struct broker_job *job);

/* Hands the job to the reader, or fails the call and frees it. */
void broker_read(struct rpc_call *call, struct broker_job *job);

/* False after it has refused: the caller may not do that to that type. */
bool broker_allow(struct rpc_call *call, const char *type, unsigned right);

/* One log line when the caller is an administrator; type and id may be NULL. */
void broker_audit(struct rpc_call *call, const char *type, const char *id);

/* --- handlers --- */
void call_get(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_query(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_list_types(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_server_info(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_get_options(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_set_options(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_put(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_acquire_lease(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_renew_lease(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void call_release_lease(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);

void watch_sync(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void watch_sync_latest(struct rpc_call *call, const ProtobufCMessage *message, void *ctx);
void watch_on_writable(struct rpc_call *call, void *ctx);
void watch_on_end(struct rpc_call *call, bool cancelled, void *ctx);

/* After a commit. */
void watch_wake(struct broker *b, struct store_changed changed);

/* Ends all streams with UNAVAILABLE: their owners go to the next databroker. */
void watch_end_all(struct broker *b);

/* --- the service --- */

/* `b` has loop, engine and build. Errors as rpc_server_open. */
enum err broker_serve(struct broker *b, struct rpc *rpc, const char *address,
                      const struct rpc_identity *identity);

#endif
