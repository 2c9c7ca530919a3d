/*
 * Between the databroker's records and authorize's own structs: protobuf of records stops here.
 * The writing functions build the message, hand it to records_put and keep nothing.
 */
#ifndef AUTHORIZE_CONVERT_RECORDS_H
#define AUTHORIZE_CONVERT_RECORDS_H

#include "authorize/requests.h"
#include "authorize/state.h"
#include "common/rpc/records.h"

/* Full type names of the memory-only types that are followed; fresh memory. */
char *convert_type_request(void);
char *convert_type_cut_request(void);

/*
 * A durable record into the state. One that cannot be read counts as deleted, so that it allows
 * nothing; false then. Types that decisions do not depend on are ignored.
 */
bool convert_durable(struct state *s, const struct record *r);

/* NULL: deleted or not readable. */
struct request *convert_request(const struct record *r);

struct cut_request {
    char *id;
    uint64_t version;
    char *connection_id;
    char *user;
    char *session_id;
    char *route;
    char *reason;
    char *by;
    uint64_t created_ms;
    char **done;
    size_t done_count;
};

/* NULL: deleted or not readable. */
struct cut_request *convert_cut_request(const struct record *r);
void cut_request_free(struct cut_request *c);

/* With one more name in `done`; on condition that the record still has r->version. */
void convert_put_cut_request(const struct records *to, const struct cut_request *c,
                             const char *done_by, record_put_fn done, void *ctx);

/* `expected`: RECORDS_ABSENT or a version. */
void convert_put_request(const struct records *to, const struct request *r, uint64_t expected,
                         record_put_fn done, void *ctx);
void convert_delete_request(const struct records *to, const char *code, uint64_t expected,
                            record_put_fn done, void *ctx);

/* On condition of h->version, 0 = must not exist. */
void convert_put_host_keys(const struct records *to, const struct host_keys *h, record_put_fn done,
                           void *ctx);

/* A HostKey record as a Get returned it; NULL when it is not readable. */
struct host_keys *convert_host_keys(const struct record *r);
void convert_get_host_keys(const struct records *to, const char *id, record_get_fn done, void *ctx);

/*
 * The end of a session: its record, and those of its bindings that `bindings` has, in one write. A
 * key that was bound anew meanwhile is ERR_PRECONDITION.
 */
void convert_find_bindings(const struct records *to, const char *session_id, record_query_fn done,
                           void *ctx);
void convert_delete_session(const struct records *to, const char *session_id,
                            const struct record_list *bindings, record_put_fn done, void *ctx);

/* What a Connection record says; borrowed. */
struct connection_row {
    const char *id;
    const char *protocol;
    const char *session_id;
    const char *account_id;
    const char *user_id;
    const char *email;
    const char *login;
    const char *route;
    const char *route_id;
    const char *source_address;
    const char *fingerprint;
    const char *owner;
    const char *worker;
    const char *upstream;
    uint64_t since_ms;
    uint64_t expires_ms;
    uint64_t expected; /* version to be replaced, or RECORDS_ANY */
};

enum { CONVERT_CONNECTIONS_MAX = 50 };

/* At most CONVERT_CONNECTIONS_MAX in one Put. */
void convert_put_connections(const struct records *to, const struct connection_row *rows,
                             size_t count, record_put_fn done, void *ctx);
void convert_delete_connection(const struct records *to, const char *id, uint64_t expected,
                               record_put_fn done, void *ctx);

#endif
