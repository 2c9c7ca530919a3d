/* How much memory a process may use: the machine's, or less where its limits or groups say so. */
#ifndef PROXY_MEMORY_LIMIT_H
#define PROXY_MEMORY_LIMIT_H

#include <stdint.h>

/*
 * The least, in bytes, of what the machine has, what the control group of this process and those
 * above it may use, version 1 or 2, and RLIMIT_AS and RLIMIT_DATA. Reads ROOT/proc/self/cgroup and
 * ROOT/sys/fs/cgroup, so it comes before a sandbox that closes them; `root` is "" but in tests. A
 * file that is missing sets no limit.
 */
uint64_t memory_limit_read(const char *root);

#endif
