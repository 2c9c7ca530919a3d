#include "authorize/live/currency.h"

uint64_t currency_needs(const struct currency *c)
{
    return c->asked + 1;
}

enum currency_state currency_of(const struct currency *c, uint64_t needs, uint64_t now)
{
    if (c->proved >= needs)
        return CURRENCY_PROVED;
    /* Known to be old: there is nothing to be decided on it, however long it takes. */
    if (c->is_behind || !c->has_failed || !c->doubt_at)
        return CURRENCY_WAIT;
    return now - c->doubt_at >= CURRENCY_GIVE_UP_MS ? CURRENCY_NONE : CURRENCY_WAIT;
}

bool currency_may_ask(const struct currency *c)
{
    return !c->is_asking && !c->is_behind;
}

void currency_asked(struct currency *c, uint64_t now)
{
    c->asked++;
    c->asked_at = now;
    c->is_asking = true;
    if (!c->doubt_at)
        c->doubt_at = now;
}

void currency_answered(struct currency *c, struct currency_version newest, uint64_t now)
{
    c->is_asking = false;
    c->is_behind = true;
    c->want = newest;
    /* Whoever could not be asked before can be now: the copy gets its time anew. */
    if (c->has_failed)
        c->doubt_at = now;
    c->has_failed = false;
}

void currency_failed(struct currency *c)
{
    c->is_asking = false;
    c->has_failed = true;
}

bool currency_reached(struct currency *c, struct currency_version have)
{
    if (!c->is_behind || have.server_version == 0)
        return false;
    if (have.server_version != c->want.server_version) {
        c->is_behind = false;
        return false;
    }
    if (have.record_version < c->want.record_version)
        return false;
    c->is_behind = false;
    c->proved = c->asked;
    c->proved_at = c->asked_at;
    c->doubt_at = 0;
    return true;
}

void currency_paused(struct currency *c, uint64_t now)
{
    if (c->doubt_at)
        c->doubt_at = now;
}

bool currency_lags(const struct currency *c, uint64_t now)
{
    return c->doubt_at && now - c->doubt_at >= CURRENCY_LAG_MS;
}
