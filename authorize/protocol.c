#include "authorize/protocol.h"

#include <string.h>

#include "common/base/check.h"

static const char *const names[] = {
    [PROTOCOL_SSH] = "ssh",
    [PROTOCOL_TCP] = "tcp",
    [PROTOCOL_UDP] = "udp",
    [PROTOCOL_HTTP] = "http",
};

const char *protocol_name(enum protocol p)
{
    return names[p];
}

bool protocol_parse(const char *text, enum protocol *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *out = (enum protocol)i;
            return true;
        }
    }
    return false;
}
