/*
 * One deadline. The handle behind it outlives the owner as long as libuv needs it, so an owner may
 * be freed right after timer_fini, also inside the timer's own callback.
 */
#ifndef COMMON_IO_TIMER_H
#define COMMON_IO_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "common/io/loop.h"

#define TIMER_NEVER UINT64_MAX

typedef void (*timer_fn)(void *ctx);

struct timer {
    struct timer_handle *handle;
};

/* Unset. A zeroed struct timer takes no call but timer_fini and timer_clear. */
void timer_init(struct timer *t, struct loop *l, timer_fn fn, void *ctx);

/* No callback afterwards. A second call does nothing. */
void timer_fini(struct timer *t);

/* timer_fini of a set-up timer, and `fn(ctx)` at the end of this turn, never inside the call. */
void timer_fini_then(struct timer *t, timer_fn fn, void *ctx);

/*
 * Fires once, at `at_ms` of loop_now_ms; a time that has passed fires on the next turn, never
 * inside this call. Replaces the deadline set before. TIMER_NEVER is timer_clear.
 */
void timer_set(struct timer *t, uint64_t at_ms);

/* timer_set from now on. */
void timer_after(struct timer *t, uint64_t delay_ms);

void timer_clear(struct timer *t);

/* TIMER_NEVER when unset. */
uint64_t timer_at(const struct timer *t);

#endif
