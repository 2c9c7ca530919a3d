/* What this process takes of the machine, as the process_* metrics. */
#ifndef COMMON_DAEMON_PROCESS_STATS_H
#define COMMON_DAEMON_PROCESS_STATS_H

#include <stdint.h>

struct process_stats {
    uint64_t cpu_us;
    uint64_t memory; /* bytes, resident */
    uint64_t fds;
    uint64_t fds_max;
    uint64_t started_ms; /* Unix: of process_stats_open */
};

/*
 * Early, before a sandbox closes /proc: keeps what it reads later open. Without /proc the numbers
 * that come from it are 0.
 */
void process_stats_open(void);

struct process_stats process_stats_read(void);

#endif
