/* The service as its sessions see it. For the proxy's ssh_*.c alone. */
#ifndef PROXY_SSH_SERVICE_INTERNAL_H
#define PROXY_SSH_SERVICE_INTERNAL_H

#include "common/base/slots.h"
#include "common/crypto/rng.h"
#include "common/io/timer.h"
#include "proxy/arrivals.h"
#include "proxy/decide.h"
#include "proxy/key_hints.h"
#include "proxy/rsa_pool.h"
#include "proxy/ssh_service.h"
#include "proxy/ssh_startups.h"

struct ssh_service {
    struct ssh_service_host host;
    struct loop *loop;
    struct rng rng;
    const struct worker_config *config;
    struct decide *decide;
    struct arrivals *arrivals;
    struct rsa_pool *rsa; /* NULL: no listener */
    struct key_hints hints;
    struct slots sessions;
    struct ssh_startups startups;
    struct timer tick;
    uint64_t memory_max;
    bool is_tight; /* above 90 % of memory_max */
    size_t newcomers;
    bool is_draining;
    bool is_stopping;
    bool is_closed;
    size_t live;
    loop_fn on_drained;
    void *drained_ctx;
    loop_fn on_stopped;
    void *stopped_ctx;
};

/* --- ssh_listener.c --- */
void ssh_listener_accept(void *ctx, int fd, const struct address *peer);
/* Looks at the memory in use, and makes room where it is short; also once a second. */
void ssh_listener_measure(struct ssh_service *s);

/* A session is gone. */
void ssh_service_session_gone(struct ssh_service *s);

#endif
