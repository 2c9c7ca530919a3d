/*
 * ProbeRequest records: work in the targets' network, to which the CLI has no way of its own. An
 * authorize takes the request and hands it to a proxy; the answer comes back in the record.
 */
#ifndef CLI_PROBE_H
#define CLI_PROBE_H

#include "cli/client.h"

enum {
    PROBE_TAKE_MS = 10 * 1000, /* so long until an authorize has taken it */
    PROBE_WAIT_MS = 150 * 1000,
    PROBE_POLL_MS = 200,
};

struct probe_ask {
    const char *kind; /* "doctor", "scan" */
    const char *route;
    const char *login; /* "" */
};

/*
 * Puts the request and waits for its answer, the record as convert_record makes it; the caller
 * frees it. Failures are said on stderr.
 */
enum err probe_run(struct client *c, const struct probe_ask *ask, struct json **out);

#endif
