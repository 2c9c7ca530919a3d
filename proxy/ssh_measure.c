#include "proxy/ssh_measure.h"

#include <malloc.h>

#include "common/daemon/metrics.h"
#include "proxy/ssh_service_internal.h"
#include "proxy/ssh_session.h"

uint64_t ssh_measure_memory(void)
{
    struct mallinfo2 info = mallinfo2();
    return (uint64_t)info.uordblks + info.hblkhd;
}

void ssh_measure_bytes(struct ssh_session *s)
{
    static const char *const directions[] = {[RELAY_CLIENT] = "in", [RELAY_TARGET] = "out"};
    for (size_t side = 0; s->is_bridged && side < 2; side++) {
        uint64_t bytes = s->bridge.relay.bytes[side];
        metrics_add(METRIC_CONNECTION_BYTES, bytes - s->counted_bytes[side], "ssh",
                    directions[side]);
        s->counted_bytes[side] = bytes;
    }
}

void ssh_measure(struct ssh_service *s)
{
    size_t cursor = 0;
    struct ssh_session *session;
    while ((session = slots_next(&s->sessions, &cursor)))
        ssh_measure_bytes(session);
    metrics_set(METRIC_CONNECTIONS, (int64_t)s->live, "ssh");
    metrics_set(METRIC_SIGN_INS_WAITING, (int64_t)s->startups.waiting);
    metrics_set(METRIC_SSH_STARTUPS, (int64_t)s->startups.unproved);
    metrics_set(METRIC_RSA_KEYS_READY, s->rsa ? (int64_t)rsa_pool_depth(s->rsa) : 0);
    metrics_set(METRIC_MEMORY_USED, (int64_t)ssh_measure_memory());
    metrics_set(METRIC_MEMORY_BUDGET, (int64_t)s->memory_max);
}

static const char *failure_class(enum err e)
{
    switch (err_class(e)) {
    case ERR_CLASS_NONE:
        return "closed";
    case ERR_CLASS_PEER:
        return e == ERR_NEGOTIATION              ? "negotiation"
               : e == ERR_MAC || e == ERR_VERIFY ? "crypto"
               : e == ERR_CLOSED                 ? "closed"
                                                 : "protocol";
    case ERR_CLASS_BUSY:
        return e == ERR_TIMEOUT ? "timeout" : "other";
    case ERR_CLASS_MORE:
    case ERR_CLASS_DENIED:
    case ERR_CLASS_LOCAL:
    case ERR_CLASS_BUG:
        break;
    }
    return "other";
}

void ssh_measure_ended(const struct ssh_session *s)
{
    if (!s->has_auth)
        metrics_add(METRIC_SSH_HANDSHAKE_FAILURES, 1, failure_class(s->failure));
    else if (s->opened_at)
        metrics_add(METRIC_SSH_LOGINS, 1, s->has_signed_in ? "signed_in" : "allowed");
    else if (auth_server_is_verified(&s->auth))
        metrics_add(METRIC_SSH_LOGINS, 1, s->outcome ? s->outcome : "left");
}
