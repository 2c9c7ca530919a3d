/* Bytes of any kind as a JSON string (RFC 8259 §7), for log lines and /status. */
#ifndef COMMON_DAEMON_JSON_TEXT_H
#define COMMON_DAEMON_JSON_TEXT_H

#include "common/base/buf.h"

/*
 * Appends `text` in quotes. What is no UTF-8 becomes U+FFFD, byte by byte; control characters, C1
 * and DEL among them, are escaped, so a terminal that shows a log stays harmless. ERR_LIMIT.
 */
enum err json_text_write(struct view text, struct buf *out);

#endif
