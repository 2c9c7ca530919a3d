/* The identification exchange, RFC 4253 §4.2. */
#ifndef PROXY_SSH_IDENT_H
#define PROXY_SSH_IDENT_H

#include <stdbool.h>

#include "common/base/err.h"
#include "common/base/view.h"

enum {
    IDENT_MAX = 255,           /* with CR LF */
    IDENT_BANNER_LINES = 1024, /* lines before a server's identification */
    IDENT_BANNER_LINE = 8192,  /* bytes of one of them */
};

struct ident {
    size_t lines;   /* banner lines that went by */
    size_t scanned; /* bytes of the present line that hold no newline */
    bool is_ssh;    /* a line that begins with SSH- was seen */
};

/*
 * Looks for the peer's identification at the front of `in`, everything received and not yet used.
 * *out_used bytes are done with, also when the result is ERR_MORE; *out_line is the identification
 * without its line end, a view into `in`, on OK.
 * ERR_PROTOCOL: not SSH, or too long. ERR_UNSUPPORTED: another protocol version.
 * A client forgives lines before it and takes 1.99 for 2.0 (RFC 4253 §5.2).
 */
enum err ident_take(struct ident *s, bool is_client, struct view in, size_t *out_used,
                    struct view *out_line);

/* OK when `line` is an identification without its line end that we talk to. Errors as above. */
enum err ident_check(bool is_client, struct view line);

/* The software part of an identification: between the second '-' and the first blank. */
struct view ident_software(struct view line);

#endif
