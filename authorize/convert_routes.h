/*
 * The route table of the Decide stream: names of SSH routes, clusters of the others, in as many
 * messages as it takes.
 */
#ifndef AUTHORIZE_CONVERT_ROUTES_H
#define AUTHORIZE_CONVERT_ROUTES_H

#include <protobuf-c/protobuf-c.h>

#include "authorize/snapshot/snapshot.h"
#include "common/rpc/server.h"

enum { CONVERT_ROUTES_BYTES = 1 << 20 }; /* of one message, unless one route alone is longer */

/* How far a table has been sent. Zeroed: none is on its way. */
struct convert_routes {
    struct snapshot *snapshot; /* held until the end */
    size_t next;               /* the first route that has not been sent */
    enum err (*send)(void *ctx, const ProtobufCMessage *m);
    void *ctx;
};

/* Begins with the table of `s`, instead of what was on its way. */
void convert_routes_begin(struct convert_routes *r, struct rpc_call *call, struct snapshot *s);

/*
 * Sends one message; *out_more: there is another one. As rpc_send, and after an error the same
 * message is the next again.
 */
enum err convert_routes_next(struct convert_routes *r, bool *out_more);

/* None is on its way any more. */
void convert_routes_end(struct convert_routes *r);

#endif
