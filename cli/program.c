#include "cli/program.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"

char *program_path(void)
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return mem_strdup("postern");
    path[n] = '\0';
    /* After an upgrade the old file is gone, and the name belongs to the new one. */
    char *deleted = strstr(path, " (deleted)");
    if (deleted)
        *deleted = '\0';
    return mem_strdup(path);
}
