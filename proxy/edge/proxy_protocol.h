/*
 * The header that a load balancer sends before anything else on a connection, to say for whom it
 * connects: the PROXY protocol, version 1 (a line of text) and version 2 (binary), the receiver's
 * side of HAProxy's proxy-protocol.txt. Pure.
 *
 * Strict: what the specification does not allow is an error, never a header that is half
 * understood. Whom to believe at all is the caller's question.
 */
#ifndef PROXY_EDGE_PROXY_PROTOCOL_H
#define PROXY_EDGE_PROXY_PROTOCOL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/ip.h"
#include "common/base/view.h"

enum {
    PROXY_PROTOCOL_V1_MAX = 107,  /* with CRLF, §2.1 */
    PROXY_PROTOCOL_V2_FIXED = 16, /* signature, version and command, family, length: §2.2 */
    PROXY_PROTOCOL_V2_MAX = PROXY_PROTOCOL_V2_FIXED + 4096, /* ours; §2.2 would allow 64 KiB */
};

struct proxy_protocol_header {
    /*
     * False for LOCAL (a health check of the balancer's own), UNKNOWN, UNSPEC and UNIX: the
     * connection's own addresses are the ones that count, and those below are zero.
     */
    bool has_addresses;
    struct ip source;
    struct ip destination;
    uint16_t source_port;
    uint16_t destination_port;
};

struct proxy_protocol {
    struct buf in; /* the header as far as it has come */
    const char *why;
};

void proxy_protocol_init(struct proxy_protocol *p);
void proxy_protocol_fini(struct proxy_protocol *p);

/*
 * Takes of `bytes` what belongs to the header, never a byte behind its end: *out_used. OK: *out is
 * set, and nothing may be fed any more. ERR_MORE: all was used, more is needed. Else the connection
 * has to be closed: ERR_SYNTAX, ERR_LIMIT, ERR_UNSUPPORTED (another version, command or transport),
 * ERR_VERIFY (the checksum, where there is one).
 */
enum err proxy_protocol_feed(struct proxy_protocol *p, struct view bytes, size_t *out_used,
                             struct proxy_protocol_header *out);

/* What was wrong, for a log: constant text. */
const char *proxy_protocol_why(const struct proxy_protocol *p);

/*
 * The sender's side: appends a header for a TCP connection, or the one that says nothing (UNKNOWN,
 * LOCAL) without addresses. Of two families both are written as IPv6 (IPv4-mapped). ERR_LIMIT.
 */
enum err proxy_protocol_write_v1(const struct proxy_protocol_header *h, struct buf *out);
enum err proxy_protocol_write_v2(const struct proxy_protocol_header *h, struct buf *out);

#endif
