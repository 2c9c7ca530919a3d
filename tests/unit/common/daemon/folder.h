/* A temporary folder with files for tests. */
#ifndef TESTS_UNIT_COMMON_DAEMON_FOLDER_H
#define TESTS_UNIT_COMMON_DAEMON_FOLDER_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/test.h"

struct folder {
    char path[64];
};

static inline struct folder folder_new(void)
{
    struct folder f = {"/tmp/postern-test-XXXXXX"};
    assert_non_null(mkdtemp(f.path));
    return f;
}

/* With the files in it. */
static inline void folder_remove(struct folder *f)
{
    DIR *dir = opendir(f->path);
    struct dirent *e;
    assert_non_null(dir);
    while ((e = readdir(dir)))
        (void)unlinkat(dirfd(dir), e->d_name, 0);
    (void)closedir(dir);
    assert_int_equal(rmdir(f->path), 0);
}

/* Fresh memory. */
static inline char *folder_path(const struct folder *f, const char *name)
{
    return mem_printf("%s/%s", f->path, name);
}

static inline void folder_write(const struct folder *f, const char *name, mode_t mode,
                                const char *text)
{
    char *path = folder_path(f, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    mem_free(path);
}

/* As an editor does: another file, renamed over the old one. */
static inline void folder_replace(const struct folder *f, const char *name, const char *text)
{
    char *from = folder_path(f, "new-version");
    char *to = folder_path(f, name);
    folder_write(f, "new-version", 0600, text);
    assert_int_equal(rename(from, to), 0);
    mem_free(from);
    mem_free(to);
}

#endif
