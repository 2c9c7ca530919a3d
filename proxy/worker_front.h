/* The worker's two listeners of HTTP from its configuration. */
#ifndef PROXY_WORKER_FRONT_H
#define PROXY_WORKER_FRONT_H

#include "proxy/front.h"
#include "proxy/supervisor/worker_message.h"

struct worker_front {
    struct loop *loop;
    const struct rng *rng;
    struct tls_signer signer; /* for the configuration's certificates */
    struct tunnels *tunnels;
    struct front **https; /* opened where it is NULL */
    struct front **redirect;
};

/* All or nothing. ERR_CONFIG with *out_why, as tls.h has it. */
enum err worker_front_set(const struct worker_front *w, const struct worker_config *c,
                          char **out_why);

#endif
