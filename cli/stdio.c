#include "cli/stdio.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { STEP = 65536 };

struct stdio {
    struct loop *loop;
    loop_fn on_written;
    void *ctx;
    int fd; /* our end of the pair, used by both threads until the process ends */
};

/* False when `to` can take no more. */
static bool write_all(int to, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(to, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

static void copy(int from, int to)
{
    AUTO_FREE char *bytes = mem_zalloc(STEP);
    for (;;) {
        ssize_t n = read(from, bytes, STEP);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || !write_all(to, bytes, (size_t)n))
            return;
    }
}

static void read_input(void *ctx)
{
    struct stdio *s = ctx;
    copy(STDIN_FILENO, s->fd);
    (void)shutdown(s->fd, SHUT_WR);
}

static void write_output(void *ctx)
{
    struct stdio *s = ctx;
    copy(s->fd, STDOUT_FILENO);
    /* Whoever reads us learns of the end before this process is gone. */
    (void)close(STDOUT_FILENO);
    (void)shutdown(s->fd, SHUT_RD);
    loop_post(s->loop, s->on_written, s->ctx);
}

/* A descriptor that somebody made non-blocking would turn the copying into a busy loop or an end.
 */
static void make_blocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK))
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

enum err stdio_open(struct loop *l, loop_fn on_written, void *ctx, int *out_fd)
{
    static struct stdio s;
    int pair[2];
    uv_thread_t reader, writer;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return ERR_IO;
    int flags = fcntl(pair[0], F_GETFL);
    if (flags < 0 || fcntl(pair[0], F_SETFL, flags | O_NONBLOCK) != 0)
        return ERR_IO;
    make_blocking(STDIN_FILENO);
    make_blocking(STDOUT_FILENO);
    s = (struct stdio){.loop = l, .on_written = on_written, .ctx = ctx, .fd = pair[1]};
    if (uv_thread_create(&reader, read_input, &s) != 0 ||
        uv_thread_create(&writer, write_output, &s) != 0)
        return ERR_IO;
    *out_fd = pair[0];
    return OK;
}
