#include "authorize/live/state_version.h"

enum state_order state_order(const struct state_version *have, const struct state_version *want)
{
    if (have->server_version == 0)
        return STATE_WAIT;
    if (have->server_version != want->server_version ||
        !view_eq(have->config_hash, want->config_hash))
        return STATE_DECIDE;
    return have->record_version >= want->record_version ? STATE_DECIDE : STATE_WAIT;
}
