/* Listening TCP sockets: bound in one place (also for a process to inherit), accepted on a loop. */
#ifndef COMMON_IO_LISTEN_H
#define COMMON_IO_LISTEN_H

#include "common/base/err.h"
#include "common/io/address.h"
#include "common/io/loop.h"

/*
 * Binds and listens on "host:port", "[v6]:port" or ":port". That and "[::]:port" are all
 * addresses, IPv6 and IPv4, as gRPC and Pomerium have it. Port 0 is allowed here: the kernel
 * chooses. May ask the resolver, which blocks: for the start. The descriptor is non-blocking and
 * close-on-exec; TCP_NODELAY and keepalive (stream.h) are set, for accepted sockets inherit them.
 * ERR_CONFIG for a malformed or unknown address, ERR_IO when it cannot be bound;
 * *out_why says what, in fresh memory.
 */
enum err listen_bind(const char *address, int *out_fd, char **out_why);

/* The address a socket is bound to. */
struct address listen_address(int fd);

struct listener;

/*
 * `fd` is a connected socket that the callback owns: non-blocking, close-on-exec. The callback may
 * close the listener.
 */
typedef void (*listen_fn)(void *ctx, int fd, const struct address *peer);

/* Takes over `fd`. When the process has no descriptor left, accepting rests for 100 ms. */
struct listener *listener_open(struct loop *l, int fd, listen_fn on_accept, void *ctx);

/* Stops and restarts accepting; the backlog waits in the kernel. */
void listener_pause(struct listener *ls);
void listener_resume(struct listener *ls);

/* No callback afterwards; the socket is closed. NULL is fine. */
void listener_close(struct listener *ls);

#endif
