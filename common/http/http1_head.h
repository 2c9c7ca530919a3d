/* Start lines, field lines and what they mean for the body; used by http1.c, and by h2_head.c for
 * what both versions share. */
#ifndef COMMON_HTTP_HTTP1_HEAD_H
#define COMMON_HTTP_HTTP1_HEAD_H

#include "common/http/http1.h"

/* Why a head is refused. `text` is static. */
struct http1_reject {
    enum err err;
    uint16_t status;
    const char *text;
};

/* Every function returns false and fills *out on a refusal. Lines come without CRLF. */

/* Sets method, target and minor; views into the line. */
bool http1_parse_request_line(struct view line, struct http1_head *head, struct http1_reject *out);

/* Sets status, reason and minor. */
bool http1_parse_status_line(struct view line, struct http1_head *head, struct http1_reject *out);

bool http1_parse_field_line(struct view line, struct fields *fields, struct http1_reject *out);

/*
 * All fields are there: sets authority, path, body, body_len, close, expect_continue and upgrade
 * of a request.
 */
bool http1_finish_request(struct http1_head *head, struct http1_reject *out);

/* The same for the response to a request that was HEAD or CONNECT or neither. */
bool http1_finish_response(struct http1_head *head, bool is_head, bool is_connect,
                           struct http1_reject *out);

/* 1xx, 204 and 304 never have a body. */
bool http1_status_has_body(uint16_t status);

/* Bytes that may stand on a request line. */
bool http1_is_target(struct view target);

/* A field name with "_", which a server takes from nobody. */
bool http1_has_underscore(const struct fields *fields);

#endif
