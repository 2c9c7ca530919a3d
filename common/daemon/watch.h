/*
 * Tells when one of some files may have changed. Their directories are watched, so that a rename
 * over a file, a file that appears and the swapped links of Kubernetes volumes are seen.
 */
#ifndef COMMON_DAEMON_WATCH_H
#define COMMON_DAEMON_WATCH_H

#include "common/io/loop.h"

struct watch;

/*
 * `fn` is called on the loop `delay_ms` after the first of a burst of changes. NULL when the kernel
 * has no watch to give: then only a signal reloads.
 */
struct watch *watch_open(struct loop *l, uint32_t delay_ms, loop_fn fn, void *ctx);

/*
 * Watches these and only these. Changes of files that were watched before are not lost; when a
 * directory is new, `fn` is called once more, since the file may have changed before.
 */
void watch_set(struct watch *w, char *const *paths, size_t count);

/* No callback afterwards. NULL is fine. */
void watch_close(struct watch *w);

#endif
