/*
 * A wait shorter than libuv's millisecond, for whoever would rather look again soon than be woken
 * for each little thing. All who wait on a loop share one timer of the kernel's, so that many of
 * them cost one wake-up.
 */
#ifndef COMMON_IO_TICK_H
#define COMMON_IO_TICK_H

#include <stdbool.h>
#include <stdint.h>

#include "common/io/loop.h"

enum {
    TICK_US = 100, /* from one tick of a loop to the next */
    TICK_MAX_US =
        150, /* what tick_set waits at most, if the loop is not busy; half a tick at least */
};

/* The caller's memory, which stays in its place while it is set. */
struct tick {
    struct loop *loop;
    loop_fn fn;
    void *ctx;
    struct tick *next;
    struct tick **link; /* what points to it; NULL: not set */
    uint64_t set_at;    /* ns */
};

/* Not set. */
void tick_init(struct tick *t, struct loop *l, loop_fn fn, void *ctx);

/*
 * `fn(ctx)` is called once, on the loop and never inside this call. Nothing changes when it is set
 * already. False, and nothing is set, when the kernel gives no timer.
 */
bool tick_set(struct tick *t);

/* Not set any more. A zeroed struct is fine. */
void tick_clear(struct tick *t);
bool tick_is_set(const struct tick *t);

/* loop_fini's alone: frees what the ticks of a loop share. None is set. */
void tick_loop_fini(struct loop *l);

#endif
