/* What a connection of a worker is. */
#ifndef AUTHORIZE_PROTOCOL_H
#define AUTHORIZE_PROTOCOL_H

#include <stdbool.h>

enum protocol {
    PROTOCOL_SSH,
    PROTOCOL_TCP,
    PROTOCOL_UDP,
    PROTOCOL_HTTP, /* a question that is decided once; nothing lives after it */
};

/* "ssh", "tcp", "udp", "http": as in the stream, in records, logs and metrics. */
const char *protocol_name(enum protocol p);

/* False for any other text. */
bool protocol_parse(const char *text, enum protocol *out);

#endif
