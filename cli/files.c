#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/base/mem.h"

static enum err failed(const char *what, const char *path)
{
    int number = errno;
    (void)cli_fail("%s %s: %s", what, path, strerror(number));
    return number == EEXIST ? ERR_EXISTS : ERR_IO;
}

enum err files_make_dir(const char *path)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return failed("cannot make the folder", path);
    return OK;
}

static enum err write_all(int fd, struct view bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        bytes = view_skip(bytes, (size_t)n);
    }
    return fsync(fd) == 0 ? OK : ERR_IO;
}

enum err files_create(const char *path, mode_t mode, struct view bytes)
{
    AUTO_FREE char *part = mem_printf("%s.part", path);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return failed("cannot create", path);
    enum err e = fchmod(fd, mode) == 0 ? write_all(fd, bytes) : ERR_IO;
    if (close(fd) != 0 || e != OK) {
        e = failed("cannot write", path);
    } else if (link(part, path) != 0) {
        /* link and not rename: it refuses a name that is taken. */
        e = failed("cannot create", path);
    }
    (void)unlink(part);
    return e;
}

enum err files_read(const char *path, struct buf *out)
{
    int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed("cannot open", path);
    enum err e = OK;
    ssize_t n = 0;
    do {
        uint8_t *p;
        e = buf_reserve(out, 4096, &p);
        n = e == OK ? read(fd, p, 4096) : 0;
        if (n > 0)
            buf_commit(out, (size_t)n);
    } while (n > 0 || (n < 0 && errno == EINTR));
    if (n < 0)
        e = failed("cannot read", path);
    else if (e != OK)
        (void)cli_fail("%s is too large", path);
    (void)close(fd);
    return e;
}
