/* The route table of the Decide stream. */
#ifndef AUTHORIZE_CONVERT_ROUTES_H
#define AUTHORIZE_CONVERT_ROUTES_H

#include "authorize/snapshot/snapshot.h"
#include "common/rpc/server.h"

enum { CONVERT_ROUTES_BYTES = 1 << 20 }; /* of one message, unless one route alone is longer */

/*
 * Names of SSH routes, clusters of the others, in as many messages as it takes. As rpc_send; after
 * an error the worker has no whole table.
 */
enum err convert_send_routes(struct rpc_call *call, const struct snapshot *s);

/* The same for tests: each message goes to `send`. */
enum err convert_routes(const struct snapshot *s,
                        enum err (*send)(void *ctx, const ProtobufCMessage *m), void *ctx);

#endif
