/*
 * Connecting to "host:port": asynchronous resolving, then RFC 8305: families alternate, a new
 * attempt every 250 ms or as soon as one fails, the first connection wins.
 */
#ifndef COMMON_IO_DIAL_H
#define COMMON_IO_DIAL_H

#include "common/base/err.h"
#include "common/io/address.h"
#include "common/io/loop.h"

struct dial;

enum { DIAL_ADDRESSES_MAX = 16, DIAL_TIMEOUT_MS = 10000 };

/*
 * OK: `fd` is a connected, non-blocking socket that the callback owns, `peer` its address. Else
 * fd is -1: ERR_SYNTAX (bad target), ERR_NOT_FOUND (name unknown), ERR_UNAVAILABLE (refused or
 * unreachable), ERR_TIMEOUT; `why` is a short sentence for a log, "" when OK. Views and pointers
 * live until the callback returns.
 */
struct dial_result {
    enum err err;
    int fd;
    struct address peer;
    const char *why;
};
typedef void (*dial_fn)(void *ctx, const struct dial_result *result);

/* `target` is "host:port", `timeout_ms` covers all (0: DIAL_TIMEOUT_MS). Never calls inside. */
struct dial *dial_open(struct loop *l, const char *target, uint32_t timeout_ms, dial_fn on_done,
                       void *ctx);

/*
 * The same for a UDP socket: the first address that there is a route to. No packet is sent, and OK
 * comes with no fd: `peer` is what datagram_open takes.
 */
struct dial *dial_datagram(struct loop *l, const char *target, uint32_t timeout_ms, dial_fn on_done,
                           void *ctx);

/* Before the callback only (it consumes the dial): no callback any more. NULL is fine. */
void dial_cancel(struct dial *d);

#endif
