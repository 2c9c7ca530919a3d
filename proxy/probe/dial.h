/* A socket to the target: resolve, connect, and the identification line that it sends first. */
#ifndef PROXY_PROBE_DIAL_H
#define PROXY_PROBE_DIAL_H

#include "proxy/probe/probe.h"

/* Milliseconds of a clock that only goes forward. */
uint64_t dial_now(void);

/*
 * Waits until `fd` is ready for `events` (poll), until `at` of dial_now, or until the order is
 * cancelled. False on the latter two.
 */
bool dial_wait(const struct probe_order *order, int fd, short events, uint64_t at);

/*
 * A connected, non-blocking socket behind which an SSH server has spoken; its line is still to be
 * read. Adds the steps RESOLVE, CONNECT and BANNER; when `quiet`, only the one that failed. -1.
 */
int dial_ssh(const struct probe_order *order, bool quiet, struct probe_result *result);

#endif
