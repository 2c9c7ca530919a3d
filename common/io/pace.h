/*
 * When a fast stream is read: at once when something comes, or at the next tick (tick.h), so that a
 * read brings more. A receiver as fast as its sender is woken for every few packets otherwise, and
 * each wake-up costs the calls of a turn. Network cards moderate their interrupts for this reason.
 *
 * Pure: told what each turn brought and when, it says what to wait for.
 */
#ifndef COMMON_IO_PACE_H
#define COMMON_IO_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /*
     * So many wake-ups in a row, each of them so soon after the last and with so much, make a
     * stream fast: 80 MB in a second, which is not reached by one block here and one there.
     */
    PACE_FAST = 4,
    PACE_FAST_US = 200,
    PACE_WAKE_MIN = 16 * 1024,
    /* A tick that brings less ends it: the sender waits for something. */
    PACE_TICK_MIN = 32 * 1024,
    /* What brings more is worth its cost, and the next wake-up will bring as much. */
    PACE_FULL = 192 * 1024,
    /*
     * Ticks that have brought less than this before their end were not worth it: blocks that are
     * answered one by one came later for them. The stream is left alone for a while then, so that
     * such blocks lose one wait of 0.15 ms in that time at most.
     */
    PACE_WORTH = 1024 * 1024,
    PACE_ALONE_US = 10000,
};

/* Zeroed: nothing has come. */
struct pace {
    bool ticks; /* the last answer */
    unsigned wakes;
    uint64_t woken_at;    /* ns */
    uint64_t alone_until; /* ns */
    uint64_t brought;     /* in ticks */
};

/*
 * After a turn that has read `got` bytes, everything there was. `now` in ns. True: wait for a tick;
 * the next call tells what that brought, even nothing. False: wait for whatever comes.
 */
bool pace_next(struct pace *p, uint64_t now, size_t got);

#endif
