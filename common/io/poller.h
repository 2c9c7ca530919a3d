/*
 * When one socket is ready, on a loop: uv_poll_t without the system calls that libuv makes for
 * each new one, since a handle is kept for the next socket of the same number.
 */
#ifndef COMMON_IO_POLLER_H
#define COMMON_IO_POLLER_H

#include "common/io/loop.h"

struct poller;

/* UV_READABLE, UV_WRITABLE; negative `status`: the socket has an error, and nothing is wanted now.
 */
typedef void (*poller_fn)(void *ctx, int status, int events);

/* Takes not the socket, which may also be a blocking one: its state is not changed. */
struct poller *poller_open(struct loop *l, int fd, poller_fn fn, void *ctx);

/* What is wanted from now on; 0: nothing. The same again costs nothing. */
void poller_set(struct poller *p, int events);

/* No callback any more. To be called before the socket is closed or goes on to somebody else. */
void poller_close(struct poller *p);

/* For loop_fini. */
void pollers_free(struct loop *l);

#endif
