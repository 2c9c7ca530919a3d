/*
 * Threads for what takes long and waits for nothing, such as making RSA keys and signatures, so
 * that the loop goes on meanwhile. They are not libuv's pool, where names are resolved.
 */
#ifndef COMMON_IO_CREW_H
#define COMMON_IO_CREW_H

#include <stddef.h>

#include "common/io/loop.h"

enum { CREW_THREADS_MAX = 16, CREW_NAME_MAX = 15 };

struct crew;
struct crew_job;

typedef void (*crew_fn)(struct crew_job *job);

/* Part of what is to be done; zeroed but for the two functions. */
struct crew_job {
    crew_fn work; /* on one of the threads */
    crew_fn done; /* then on the loop; may free the job */
    struct crew *crew;
    struct crew_job *next;
};

/*
 * `name` is that of the threads (/proc/PID/task/TID/comm), at most CREW_NAME_MAX bytes; `nice` is
 * added to their niceness. Threads begin with the first job. The loop outlives the crew.
 */
struct crew *crew_new(struct loop *l, const char *name, size_t threads, int nice);

/* Jobs begin in the order of the calls. The caller bounds how many there are. */
void crew_run(struct crew *c, struct crew_job *job);

/* As many threads as this machine has processors, within 2 and CREW_THREADS_MAX. */
size_t crew_size(void);

/* Waits for the threads; every job has been told as done before. NULL is fine. */
void crew_free(struct crew *c);

#endif
