/* On which copy of the shared state a decision was made (contracts.md §3). */
#ifndef AUTHORIZE_LIVE_STATE_VERSION_H
#define AUTHORIZE_LIVE_STATE_VERSION_H

#include "common/base/view.h"

struct state_version {
    uint64_t server_version; /* of the durable history; 0 = nothing was copied yet */
    uint64_t record_version;
    struct view config_hash;
};

enum state_order {
    STATE_DECIDE, /* ours is at least as new, or has nothing to do with it: decide on what we have
                   */
    STATE_WAIT,   /* theirs is newer in the same history: wait for want.record_version first */
};

/*
 * A connection comes that was decided on `want`; our copy is at `have`. Same history and the same
 * configuration: wait until ours is at least that new. Another history or another configuration:
 * decide at once. Before anything was copied: wait, whatever it was.
 */
enum state_order state_order(const struct state_version *have, const struct state_version *want);

#endif
