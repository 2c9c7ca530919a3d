/*
 * The answers that the proxy gives itself: one sentence, as HTML, JSON or plain text by what the
 * client accepts. Everything in them is escaped.
 */
#ifndef PROXY_FRONT_LOCAL_REPLY_H
#define PROXY_FRONT_LOCAL_REPLY_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/http/accept.h"
#include "common/http/fields.h"

enum { LOCAL_REPLY_MAX = 16384 };

struct local_reply {
    uint16_t status;
    const char *reason;   /* of the status; "" gives none */
    const char *sentence; /* for the user */
    const char *request_id;
    const char *location; /* 3xx: not NULL and not empty */
    enum accept_kind accept;
};

/* The body of a reply. */
enum err local_reply_body(const struct local_reply *r, struct buf *out);

/* Content-Type and what goes with the status. */
enum err local_reply_fields(const struct local_reply *r, struct fields *out);

/*
 * What every answer of the proxy's own has, errors or not. `is_hsts`: the browser is to come by TLS
 * from now on.
 */
enum err local_reply_common(const char *request_id, bool is_hsts, struct fields *out);

#endif
