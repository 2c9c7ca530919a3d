#include "authorize/reconsider.h"

#include "authorize/connection.h"
#include "authorize/signin.h"

enum { ARM_MAX_MS = 60 * 60 * 1000 };

static void by_index(struct authorize *a, enum live_by by, struct view key)
{
    struct live_node *next;
    for (struct live_node *n = live_first(&a->live, by, key); n; n = next) {
        next = live_next(n, by);
        connection_reconsider(a, connection_of(n));
    }
}

static void by_changes(struct authorize *a, const struct map *ids, enum live_by by)
{
    for (struct map_iter i = map_iter(ids); map_next(&i);)
        by_index(a, by, i.key);
}

static void everything(struct authorize *a)
{
    for (struct map_iter i = live_iter(&a->live); map_next(&i);) {
        struct connection *c = connection_of(i.value);
        if (c->phase == CONNECTION_LIVE)
            connection_reconsider(a, c);
    }
}

/* Registrations that waited for a copy as new as ours is now. */
static void release_held(struct authorize *a, bool all)
{
    struct live_node *n;
    uint64_t version = all ? UINT64_MAX : syncer_versions(a->durable_sync).record_version;
    while ((n = live_pop_held(&a->live, version)))
        connection_unhold(a, connection_of(n));
}

void reconsider_synced(struct authorize *a)
{
    struct state_changes changes = state_take_changes(&a->state);
    if (changes.all) {
        everything(a);
    } else {
        by_changes(a, &changes.kind[STATE_SESSION], LIVE_BY_SESSION);
        by_changes(a, &changes.kind[STATE_SERVICE_ACCOUNT], LIVE_BY_ACCOUNT);
        by_changes(a, &changes.kind[STATE_USER], LIVE_BY_USER);
        by_changes(a, &changes.kind[STATE_DIRECTORY], LIVE_BY_USER);
        by_changes(a, &changes.kind[STATE_BINDING], LIVE_BY_BINDING);
    }
    if (state_changes_any(&changes))
        signin_release(a);
    /* Of another history: nothing newer of the old one will come. */
    release_held(a, changes.all);
    state_changes_fini(&changes);
    reconsider_arm(a);
}

void reconsider_reloaded(struct authorize *a)
{
    everything(a);
    release_held(a, true);
    reconsider_arm(a);
}

void reconsider_arm(struct authorize *a)
{
    uint64_t at = live_deadline(&a->live);
    uint64_t code_at = codes_deadline(&a->codes);
    uint64_t now = authorize_now();
    if (code_at < at)
        at = code_at;
    if (at == UINT64_MAX) {
        timer_clear(&a->edge);
        return;
    }
    uint64_t wait = at > now ? at - now : 0;
    /* The wall clock may be set: look again now and then. */
    timer_after(&a->edge, wait < ARM_MAX_MS ? wait : ARM_MAX_MS);
}

void reconsider_edge(void *ctx)
{
    struct authorize *a = ctx;
    uint64_t now = authorize_now();
    struct live_node *n;
    while ((n = live_pop_expired(&a->live, now)))
        connection_reconsider(a, connection_of(n));
    signin_expire(a, now);
    reconsider_arm(a);
}
