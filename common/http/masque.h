/*
 * The default URI template of connect-udp (RFC 9298 §3.4): /.well-known/masque/udp/HOST/PORT/,
 * percent-encoded, IPv6 without brackets.
 */
#ifndef COMMON_HTTP_MASQUE_H
#define COMMON_HTTP_MASQUE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"
#include "common/http/url.h"

#define MASQUE_PREFIX "/.well-known/masque/udp/"

/*
 * `path` without its query. ERR_SYNTAX when it is not the template filled in with a name or address
 * and a port of 1 … 65535. The host, lower case and decoded, is written to `host`, into which the
 * views of `out` point. A zone of an IPv6 address (RFC 6874) is refused.
 */
enum err masque_parse(struct view path, struct buf *host, struct authority *out);

/* Appends the path for a destination. */
enum err masque_write(const struct authority *target, struct buf *out);

#endif
