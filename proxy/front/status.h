/* The one map from what became of a request to its HTTP status. */
#ifndef PROXY_FRONT_STATUS_H
#define PROXY_FRONT_STATUS_H

#include <stdint.h>

#include "common/http/accept.h"
#include "proxy/front/tunnel_cause.h"

/*
 * 302 sends a browser to the sign-in page: where nothing was presented, or a cookie that is dead.
 * A client that put its token into a field or the query, or that wants JSON, gRPC or plain text,
 * is no browser: 401. 503 means that trying again may help.
 */
uint16_t status_of(enum tunnel_cause cause, enum tunnel_token_place place, enum accept_kind accept);

#endif
