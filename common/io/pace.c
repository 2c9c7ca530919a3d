#include "common/io/pace.h"

enum { NS_PER_US = 1000 };

static bool after_tick(struct pace *p, uint64_t now, size_t got)
{
    p->brought += got;
    if (got >= PACE_TICK_MIN && got < PACE_FULL)
        return true;
    bool was_worth = got >= PACE_FULL || p->brought >= PACE_WORTH;
    /* After ticks that were worth it, the second wake-up begins them again. */
    p->wakes = was_worth ? PACE_FAST - 2 : 0;
    p->woken_at = now;
    if (!was_worth)
        p->alone_until = now + (uint64_t)PACE_ALONE_US * NS_PER_US;
    return false;
}

static bool after_wake(struct pace *p, uint64_t now, size_t got)
{
    bool is_close = now - p->woken_at <= (uint64_t)PACE_FAST_US * NS_PER_US;
    p->wakes = got < PACE_WAKE_MIN ? 0 : is_close ? p->wakes + 1 : 1;
    p->woken_at = now;
    p->brought = 0;
    return p->wakes >= PACE_FAST && got < PACE_FULL && now >= p->alone_until;
}

bool pace_next(struct pace *p, uint64_t now, size_t got)
{
    p->ticks = p->ticks ? after_tick(p, now, got) : after_wake(p, now, got);
    return p->ticks;
}
