#include "common/daemon/process_stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/io/loop.h"

enum { STATM_MAX = 128 };

static struct {
    int statm;
    DIR *fds;
    uint64_t started_ms;
} kept = {.statm = -1};

void process_stats_open(void)
{
    kept.started_ms = loop_wall_ms();
    kept.statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    kept.fds = opendir("/proc/self/fd");
}

static uint64_t time_us(struct timeval t)
{
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_usec;
}

/* The second number: resident pages. */
static uint64_t resident(void)
{
    char text[STATM_MAX] = "";
    if (kept.statm < 0 || pread(kept.statm, text, sizeof text - 1, 0) <= 0)
        return 0;
    char *rest;
    (void)strtoull(text, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds(void)
{
    uint64_t count = 0;
    if (!kept.fds)
        return 0;
    rewinddir(kept.fds);
    for (const struct dirent *e; (e = readdir(kept.fds));)
        count += e->d_name[0] != '.';
    return count;
}

struct process_stats process_stats_read(void)
{
    struct process_stats s = {
        .memory = resident(), .fds = count_fds(), .started_ms = kept.started_ms};
    struct rusage usage;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        s.cpu_us = time_us(usage.ru_utime) + time_us(usage.ru_stime);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        s.fds_max = limit.rlim_cur;
    return s;
}
