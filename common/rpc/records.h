/*
 * The databroker's calls for those who use it: records packed into Any and out of it, conditional
 * writes, queries, leases. All asynchronous; `done` runs once on the loop, later, unless the
 * channel is closed before. Every call waits for a databroker that is not reachable yet until its
 * timeout has passed (grpc_client_timeout).
 *
 * Rights (databroker/access.c): writing HostKey from authorize, and SessionBindingRequest from
 * authorize and authenticate, must be conditional (`expected` other than RECORDS_ANY).
 */
#ifndef COMMON_RPC_RECORDS_H
#define COMMON_RPC_RECORDS_H

#include "common/rpc/client.h"

/* Values of `expected`. */
#define RECORDS_ABSENT UINT64_C(0) /* must not exist */
#define RECORDS_ANY UINT64_MAX     /* no condition */

/* Where calls go; a plain value. timeout_ms 0 means 10 s. */
struct records {
    struct rpc_channel *channel;
    uint64_t timeout_ms;
};

/* A record as it came; views live as long as the callback that got it. */
struct record {
    const char *type; /* "type.googleapis.com/session.Session" */
    const char *id;
    uint64_t version;
    uint64_t modified_ms; /* since 1970 */
    bool deleted;
    struct view data; /* the message, packed; empty when deleted */
};

/* "type.googleapis.com/" + full name; fresh memory. */
char *record_type(const ProtobufCMessageDescriptor *descriptor);
bool record_is(const struct record *r, const ProtobufCMessageDescriptor *descriptor);

/*
 * The message of a record, NULL when the record is of another type, deleted or malformed. Free it
 * with protobuf_c_message_free_unpacked(m, NULL).
 */
ProtobufCMessage *record_unpack(const struct record *r,
                                const ProtobufCMessageDescriptor *descriptor);

/* One record to write: a message, or with message NULL a deletion. */
struct record_write {
    const ProtobufCMessageDescriptor *type;
    const char *id;
    const ProtobufCMessage *message;
    uint64_t expected; /* RECORDS_ANY, RECORDS_ABSENT or a version */
};

/*
 * e: OK, ERR_NOT_FOUND, ERR_PRECONDITION (a condition did not hold), ERR_DENIED, ERR_UNAVAILABLE,
 * ERR_TIMEOUT, ERR_LIMIT, … `text` is the server's sentence, never NULL. `found` is NULL on
 * failure.
 */
typedef void (*record_get_fn)(void *ctx, enum err e, const char *text, const struct record *found);

/* On success the versions are those of the written records, in order. */
typedef void (*record_put_fn)(void *ctx, enum err e, const char *text, const uint64_t *versions,
                              size_t count);

struct record_list {
    const struct record *items;
    size_t count;
    uint64_t total; /* matches, without offset and limit */
    uint64_t server_version;
    uint64_t record_version;
};
typedef void (*record_query_fn)(void *ctx, enum err e, const char *text,
                                const struct record_list *list);

typedef void (*record_lease_fn)(void *ctx, enum err e, const char *text, const char *lease_id);

/* The id, never 0, is for records_cancel: then `done` does not run. */
uint64_t records_get(const struct records *r, const ProtobufCMessageDescriptor *type,
                     const char *id, record_get_fn done, void *ctx);

/* All or none. */
uint64_t records_put(const struct records *r, const struct record_write *writes, size_t count,
                     record_put_fn done, void *ctx);

/*
 * Rows in the order of their ids. An answer may hold fewer than `limit` (at most 1,000, at most
 * 3 MiB): while offset + count < total, ask again with offset + count.
 *
 * `field` NULL: no filter; else equality of a string field ("session_id", "id").
 */
struct record_search {
    const char *type;  /* full type; record_type() makes one */
    const char *text;  /* substring, may be NULL */
    const char *field; /* may be NULL */
    const char *value;
    uint64_t offset;
    uint64_t limit; /* 0 = 1000 */
};
uint64_t records_query(const struct records *r, const struct record_search *search,
                       record_query_fn done, void *ctx);

/*
 * ERR_EXISTS: another holds it (acquire), or it is no longer ours (renew). The lease id given to
 * acquire's callback is copied by whoever keeps it; renew and release give NULL there.
 */
uint64_t records_lease_acquire(const struct records *r, const char *name, uint64_t duration_ms,
                               record_lease_fn done, void *ctx);
uint64_t records_lease_renew(const struct records *r, const char *name, const char *lease_id,
                             uint64_t duration_ms, record_lease_fn done, void *ctx);
uint64_t records_lease_release(const struct records *r, const char *name, const char *lease_id,
                               record_lease_fn done, void *ctx);

typedef void (*record_types_fn)(void *ctx, enum err e, const char *text, char *const *types,
                                size_t count);
uint64_t records_types(const struct records *r, record_types_fn done, void *ctx);

struct records_info {
    const char *build; /* of the databroker */
    uint64_t server_version;
    uint64_t record_version;
    uint64_t memory_server_version;
    uint64_t memory_record_version;
};
typedef void (*records_info_fn)(void *ctx, enum err e, const char *text,
                                const struct records_info *info);
uint64_t records_info(const struct records *r, records_info_fn done, void *ctx);

void records_cancel(const struct records *r, uint64_t id);

#endif
