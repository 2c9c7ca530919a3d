#include "common/rpc/identity.h"

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define SERVICE_PREFIX "postern://service/"

static const struct {
    const char *name;
    enum rpc_caller caller;
} services[] = {
    {"authenticate", RPC_CALLER_AUTHENTICATE},
    {"authorize", RPC_CALLER_AUTHORIZE},
    {"proxy", RPC_CALLER_PROXY},
    {"databroker", RPC_CALLER_DATABROKER},
};

static bool is_name(struct view name)
{
    if (name.len == 0 || name.len > RPC_PEER_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.ptr[i];
        if (!text_is_alpha(c) && !text_is_digit(c) && view_find(VIEW("-_.@"), c) < 0)
            return false;
    }
    return true;
}

static enum err service_caller(struct view name, enum rpc_caller *out)
{
    for (size_t i = 0; i < ARRAY_LEN(services); i++) {
        if (view_eq_str(name, services[i].name)) {
            *out = services[i].caller;
            return OK;
        }
    }
    return ERR_MISMATCH;
}

enum err rpc_peer_parse(struct view uri, struct rpc_peer *out)
{
    struct view service = VIEW(SERVICE_PREFIX);
    struct view admin = VIEW("postern://admin/");
    struct rpc_peer peer = {.caller = RPC_CALLER_ADMIN};
    struct view name;
    if (view_starts_with(uri, service)) {
        name = view_skip(uri, service.len);
        TRY(service_caller(name, &peer.caller));
    } else if (view_starts_with(uri, admin)) {
        name = view_skip(uri, admin.len);
    } else {
        return ERR_SYNTAX;
    }
    if (!is_name(name) || !name.ptr)
        return ERR_SYNTAX;
    memcpy(peer.name, name.ptr, name.len);
    *out = peer;
    return OK;
}

char *rpc_service_uri(const char *service)
{
    return mem_printf(SERVICE_PREFIX "%s", service);
}
