/*
 * Where an engine on top of the transport puts its packets: one call per payload, which is copied
 * or sealed before the call returns. Tests put a list behind it, the proxy a transport.
 */
#ifndef PROXY_SSH_SINK_H
#define PROXY_SSH_SINK_H

#include "common/base/err.h"
#include "common/base/view.h"

struct sink {
    /* ERR_LIMIT when the queue behind it is full: the peer does not read. */
    enum err (*send)(void *ctx, struct view payload);
    void *ctx;
};

static inline enum err sink_send(const struct sink *s, struct view payload)
{
    return s->send(s->ctx, payload);
}

#endif
