/*
 * Probes that run, each on a thread of its own, so that nothing of a slow target is felt on the
 * loop. Never more than PROBES_MAX: what is asked beyond that is answered "busy" at once.
 */
#ifndef PROXY_PROBES_H
#define PROXY_PROBES_H

#include "common/io/loop.h"
#include "proxy/probe/probe.h"

enum { PROBES_MAX = 4 };

struct probes;

/* The order was run; both live until the callback returns. On the loop, never inside a call. */
typedef void (*probes_done_fn)(void *ctx, const struct probe_order *order,
                               const struct probe_result *result);

struct probes *probes_new(struct loop *loop, probes_done_fn done, void *ctx);

/* Takes over the order, which was made by mem_zalloc and probe_order_init. */
void probes_start(struct probes *p, struct probe_order *order);

/* Threads that still wait for a target end by themselves, unheard. NULL is fine. */
void probes_free(struct probes *p);

#endif
