/* Connected, non-blocking stream sockets: for stream.c and tls_link.c. */
#ifndef COMMON_IO_SOCKET_H
#define COMMON_IO_SOCKET_H

#include "common/base/err.h"
#include "common/base/view.h"

/* What errno says: ERR_MORE for "not now", ERR_CLOSED, ERR_TIMEOUT, ERR_IO. */
enum err socket_errno(int number);

/* Never blocks, never raises SIGPIPE. OK; ERR_MORE; failures, with their static text. */
enum err socket_send(int fd, struct view bytes, size_t *out_n, const char **out_why);

/* OK with *out_n = 0 at the peer's end. */
enum err socket_receive(int fd, uint8_t *out, size_t room, size_t *out_n, const char **out_why);

/* As socket_receive of what nobody wants: the kernel lets go of it without a copy. */
enum err socket_drop(int fd, size_t *out_n);

/*
 * TCP_NODELAY; keepalive after `idle_s` (0: none), 6 probes 10 s apart. Nothing on a UNIX socket.
 * What a listening socket accepts has the same.
 */
void socket_set_options(int fd, unsigned idle_s);

#endif
