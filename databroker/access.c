#include "databroker/access.h"

#include "common/base/check.h"
#include "databroker/store/types.h"

enum {
    R = ACCESS_READ,
    P = ACCESS_PUT | ACCESS_PUT_IF,
    PIF = ACCESS_PUT_IF,
    D = ACCESS_DELETE,
};

struct access_row {
    const char *type; /* NULL: every other type */
    unsigned authenticate;
    unsigned authorize;
    unsigned admin;
};

static const struct access_row rows[] = {
    /* authorize ends sessions by logout in the management shell. */
    {TYPE_URL "session.Session", R | P | D, R | D, R | D},
    {TYPE_URL "user.User", R | P | D, R, R},
    {TYPE_URL "user.ServiceAccount", 0, R, R | P | D},
    {TYPE_URL "session.SessionBinding", R | P | D, R | D, R | D},
    {TYPE_URL "session.IdentityBinding", R | P | D, R, R | D},
    /* Only whoever has the key that they are sealed with. */
    {TYPE_URL "postern.SealedTokens", R | P | D, 0, 0},
    /* Two may write it, so nobody does blindly: a request that was decided stays decided. */
    {TYPE_URL "session.SessionBindingRequest", R | PIF, R | PIF | D, R},
    {TYPE_URL "postern.HostKey", R, R | PIF, R | P},
    {TYPE_URL "postern.Connection", R, R | P | D, R},
    {TYPE_URL "postern.CutRequest", R, R | P, R | P},
    {TYPE_URL "postern.ProbeRequest", R, R | P, R | P},
    {TYPE_URL "postern.Instance", R | P | D, R | P | D, R},
    {NULL, R, R, R},
};

bool access_allows(enum rpc_caller caller, const char *type, enum access_right right)
{
    size_t i = 0;
    while (rows[i].type && strcmp(rows[i].type, type) != 0)
        i++;
    unsigned rights = 0;
    if (caller == RPC_CALLER_AUTHENTICATE)
        rights = rows[i].authenticate;
    else if (caller == RPC_CALLER_AUTHORIZE)
        rights = rows[i].authorize;
    else if (caller == RPC_CALLER_ADMIN)
        rights = rows[i].admin;
    return (rights & (unsigned)right) != 0;
}
