/* A directory of a test, gone with its files afterwards. */
#ifndef TESTS_UNIT_DATABROKER_STORE_TEMP_H
#define TESTS_UNIT_DATABROKER_STORE_TEMP_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/test.h"

static inline char *temp_new(void)
{
    const char *base = getenv("TMPDIR");
    char *dir = mem_printf("%s/postern-store-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(dir));
    return dir;
}

/* Removes the files of `dir` and itself; one level. */
static inline void temp_free(char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        AUTO_FREE char *path = mem_printf("%s/%s", dir, entry->d_name);
        if (entry->d_name[0] != '.')
            unlink(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
    mem_free(dir);
}

static inline void temp_write(const char *dir, const char *name, const void *bytes, size_t len)
{
    AUTO_FREE char *path = mem_printf("%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    close(fd);
}

#endif
