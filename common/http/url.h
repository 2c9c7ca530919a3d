/*
 * Absolute URLs with an authority (RFC 3986), strictly: no blanks, control bytes or backslashes
 * anywhere, and %XX is complete. What is shown are views into the parsed text, not decoded.
 */
#ifndef COMMON_HTTP_URL_H
#define COMMON_HTTP_URL_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum { URL_MAX = 8192 };

/* "host", "host:port", "[::1]:port". */
struct authority {
    struct view host; /* an IPv6 literal without its brackets */
    uint16_t port;    /* 0 = none was given */
    bool is_ipv6;
};

struct url {
    struct view scheme; /* compare without case */
    struct view userinfo;
    struct authority authority;
    struct view path;     /* "" or "/…" */
    struct view query;    /* without "?" */
    struct view fragment; /* without "#" */
    bool has_userinfo;
    bool has_query;
    bool has_fragment;
};

/* ERR_SYNTAX, ERR_LIMIT above URL_MAX. The views point into `text`. */
enum err url_parse(struct view text, struct url *out);

/* ERR_SYNTAX for an empty host, foreign bytes, or a port that is not in 1…65535. */
enum err authority_parse(struct view text, struct authority *out);

/* "host:port" with brackets where needed, lower case; without the port when it is 0. */
enum err authority_write(const struct authority *a, struct buf *out);

/* The given port, else 443 for https, wss and …+https, 80 for http and ws, else 0. */
uint16_t url_port(const struct url *u);

bool url_is_scheme(const struct url *u, const char *scheme);

/* "localhost", below ".localhost", 127.0.0.0/8 or ::1. */
bool authority_is_loopback(const struct authority *a);

/* Same scheme, host and port (RFC 6454 §5). */
bool url_same_origin(const struct url *a, const struct url *b);

/* True when `origin`, an Origin field's value, is the origin of `u`. "null" is none. */
bool url_has_origin(const struct url *u, struct view origin);

/* "https://host" or "https://host:8443": lower case, without a default port. */
enum err url_write_origin(const struct url *u, struct buf *out);

/*
 * True for a path that a browser resolves on the host it is on: begins with one "/", no second
 * "/" or "\" behind it, no backslash, blank or control byte.
 */
bool url_is_local_path(struct view target);

/* Appends; everything but A-Z a-z 0-9 - . _ ~ becomes %XX. The path form leaves "/" alone. */
enum err url_encode(struct view text, struct buf *out);
enum err url_encode_path(struct view text, struct buf *out);

/* Appends; ERR_SYNTAX for an incomplete %XX. "+" stays. The result may hold any byte. */
enum err url_decode(struct view text, struct buf *out);

/* Appends "?name=value" or "&name=value", encoded, to a URL without a fragment. */
enum err url_add_query(struct buf *url, const char *name, struct view value);

#endif
