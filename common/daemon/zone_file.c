#include "common/daemon/zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "common/base/mem.h"

enum { PIECE = 4096 };

static enum err read_all(int fd, struct buf *out)
{
    for (;;) {
        uint8_t *p;
        TRY(buf_reserve(out, PIECE, &p));
        ssize_t n = read(fd, p, PIECE);
        if (n == 0)
            return OK;
        if (n > 0)
            buf_commit(out, (size_t)n);
        else if (errno != EINTR)
            return ERR_NOT_FOUND; /* a folder, as "Europe" is */
    }
}

enum err zone_file_read(void *ctx, const char *name, struct buf *out)
{
    (void)ctx;
    AUTO_FREE char *path = mem_printf("/usr/share/zoneinfo/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return ERR_NOT_FOUND;
    enum err e = read_all(fd, out);
    (void)close(fd);
    return e;
}
