/*
 * Who may come in: connections that have not proved a key are counted per source (ip_source)
 * against ssh_max_startups, connections that wait for a browser against caps of their own. Pure.
 *
 * start:rate:full (contracts.md §6). Below `start` everybody comes in. From there on a newcomer of
 * the source that holds most of the unproved connections is refused with a probability that grows
 * from rate % to 100 %. At `full` the oldest of the source that holds most is closed for him. So a
 * source that opens hundreds and proves nothing takes places from itself alone.
 */
#ifndef PROXY_SSH_STARTUPS_H
#define PROXY_SSH_STARTUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/map.h"
#include "common/base/view.h"

enum {
    SSH_WAITING_MAX = 1000,      /* connections waiting for a browser, per process */
    SSH_WAITING_SOURCE_MAX = 20, /* …and per source */
};

struct ssh_startups_limits {
    uint32_t start;
    uint32_t rate; /* percent */
    uint32_t full;
};

struct ssh_source;

/* Part of a connection. */
struct ssh_startup {
    struct ssh_source *source; /* NULL: not counted */
    struct ssh_startup *prev;  /* unproved ones of the source, oldest first */
    struct ssh_startup *next;
    void *owner;
    bool is_unproved;
    bool is_waiting;
};

struct ssh_startups {
    struct map sources;
    size_t unproved;
    size_t waiting;
};

void ssh_startups_fini(struct ssh_startups *s);

/*
 * May somebody from `source` (bytes) come in? `random` is uniform. *out_shed (NULL: nobody)
 * has to be closed for him.
 */
bool ssh_startups_admit(const struct ssh_startups *s, const struct ssh_startups_limits *limits,
                        struct view source, uint32_t random, struct ssh_startup **out_shed);

/* The oldest unproved one of the source that has most; NULL when there is none. */
struct ssh_startup *ssh_startups_oldest(const struct ssh_startups *s);

void ssh_startups_add(struct ssh_startups *s, struct ssh_startup *e, struct view source,
                      void *owner);
void ssh_startups_remove(struct ssh_startups *s, struct ssh_startup *e);

/* A key was proved. */
void ssh_startups_proved(struct ssh_startups *s, struct ssh_startup *e);

enum ssh_wait {
    SSH_WAIT_OK,
    SSH_WAIT_SOURCE_FULL,
    SSH_WAIT_FULL,
};

/* A person is asked to sign in, or the wait is over. */
enum ssh_wait ssh_startups_wait(struct ssh_startups *s, struct ssh_startup *e);
void ssh_startups_wait_over(struct ssh_startups *s, struct ssh_startup *e);

#endif
