/*
 * An event loop and what belongs to one: its clock, closures posted from other threads, a scratch
 * buffer for reads, signals. Everything in common/io is used on the thread that runs the loop
 * unless its comment says otherwise. Writing to a broken socket never raises SIGPIPE: loop_init
 * ignores it for the process.
 */
#ifndef COMMON_IO_LOOP_H
#define COMMON_IO_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

enum {
    LOOP_SCRATCH = 65536,
    LOOP_READ_MAX = 256 * 1024,            /* one read, at most */
    LOOP_WIRE = LOOP_READ_MAX + 32 * 1024, /* the same with what TLS puts around it */
    LOOP_FINI_MS = 30000,
};

typedef void (*loop_fn)(void *ctx);

struct loop_post;
struct poller;
struct loop_ticks;
struct loop_datagrams;

struct loop {
    uv_loop_t uv;
    uv_async_t wake;
    uv_mutex_t lock;         /* guards first and last */
    struct loop_post *first; /* posted and not yet run */
    struct loop_post *last;
    uv_prepare_t turn;
    uint64_t turns; /* so many so far */
    uv_thread_t thread;
    bool threaded;
    atomic_bool stopping;
    struct poller **pollers; /* of poller.c; NULL before its first */
    /* LOOP_WIRE bytes that a callback may use until it returns. */
    uint8_t *scratch;
    uint8_t *wire_in; /* the same, for TLS records; NULL before their first */
    uint8_t *wire_out;
    struct loop_datagrams *datagrams; /* what datagram.c reads with; NULL before its first */
    struct loop_ticks *ticks;         /* of tick.c; NULL before its first */
};

void loop_init(struct loop *l);

/*
 * Runs what was posted and what is still closing (streams may linger), then frees. Every owner has
 * closed its handles before; one that is still open after LOOP_FINI_MS is a bug and aborts.
 */
void loop_fini(struct loop *l);

/* Runs until loop_stop. */
void loop_run(struct loop *l);

/* Any thread. A stop before loop_run makes that return at once. */
void loop_stop(struct loop *l);

/* loop_run on a thread of its own; loop_join waits for its end after a loop_stop. */
void loop_start(struct loop *l);
void loop_join(struct loop *l);

/* Any thread: `fn(ctx)` runs on the loop, in the order of the calls, never inside loop_post. */
void loop_post(struct loop *l, loop_fn fn, void *ctx);

/* Monotonic milliseconds, the same for a whole turn. All `_at` times of common/io are of it. */
uint64_t loop_now_ms(const struct loop *l);

/* Any thread. Monotonic milliseconds of this moment, comparable with loop_now_ms. */
uint64_t loop_clock_ms(void);

/* Any thread. Milliseconds since 1970. */
uint64_t loop_wall_ms(void);

/* Calls `fn` on the loop for each signal `number`. loop_signal_close ends that; NULL is fine. */
struct loop_signal;
struct loop_signal *loop_signal_open(struct loop *l, int number, loop_fn fn, void *ctx);
void loop_signal_close(struct loop_signal *s);

#endif
