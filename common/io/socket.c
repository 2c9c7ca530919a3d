#include "common/io/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

enum { DROP_STEP = 1 << 20 };

enum err socket_errno(int number)
{
    switch (number) {
    case EAGAIN:
    case EINTR:
        return ERR_MORE;
    case ECONNRESET:
    case EPIPE:
        return ERR_CLOSED;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    default:
        return ERR_IO;
    }
}

static enum err outcome(ssize_t n, size_t *out_n, const char **out_why)
{
    if (n >= 0) {
        *out_n = (size_t)n;
        return OK;
    }
    int number = errno;
    enum err e = socket_errno(number);
    if (e != ERR_MORE)
        *out_why = strerror(number);
    return e;
}

enum err socket_send(int fd, struct view bytes, size_t *out_n, const char **out_why)
{
    return outcome(send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT), out_n, out_why);
}

enum err socket_receive(int fd, uint8_t *out, size_t room, size_t *out_n, const char **out_why)
{
    return outcome(recv(fd, out, room, MSG_DONTWAIT), out_n, out_why);
}

enum err socket_drop(int fd, size_t *out_n)
{
    const char *why = "";
    return outcome(recv(fd, NULL, DROP_STEP, MSG_DONTWAIT | MSG_TRUNC), out_n, &why);
}

void socket_set_options(int fd, unsigned idle_s)
{
    int on = 1;
    int idle = (int)idle_s;
    int interval = 10;
    int count = 6;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (!idle_s)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
}
