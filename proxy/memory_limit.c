#include "proxy/memory_limit.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/base/view.h"

enum { FILE_MAX = 4096, PATH_TEXT_MAX = 4096 };

/* Where the two versions of control groups keep the limit, and how /proc/self/cgroup names them. */
static const struct {
    struct view controllers;
    const char *mount;
    const char *file;
} hierarchies[] = {
    {VIEW(""), "/sys/fs/cgroup", "memory.max"},
    {VIEW("memory"), "/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
};

/* What fits into `text`; empty when there is no such file. */
static struct view read_file(const char *path, char text[static FILE_MAX])
{
    FILE *f = fopen(path, "re");
    if (!f)
        return VIEW("");
    size_t n = fread(text, 1, FILE_MAX, f);
    (void)fclose(f);
    return view_of(text, n);
}

/* "max", or digits and a newline. */
static uint64_t read_limit(const char *path)
{
    char text[FILE_MAX];
    uint64_t limit;
    struct view rest = read_file(path, text);
    struct view line;
    if (!view_next(&rest, '\n', &line) || text_u64(line, UINT64_MAX, &limit) != OK)
        return UINT64_MAX;
    return limit;
}

/* Of `group` ("/a/b") and of all above it. In a container the mount's root is the container's. */
static uint64_t least_limit(const char *root, size_t hierarchy, struct view group)
{
    uint64_t least = UINT64_MAX;
    for (;;) {
        char path[PATH_TEXT_MAX];
        int n = snprintf(path, sizeof path, "%s%s%.*s/%s", root, hierarchies[hierarchy].mount,
                         VIEW_FMT(group), hierarchies[hierarchy].file);
        if (n > 0 && (size_t)n < sizeof path) {
            uint64_t limit = read_limit(path);
            least = limit < least ? limit : least;
        }
        if (group.len == 0)
            return least;
        ptrdiff_t slash = view_rfind(group, '/');
        group = view_take(group, slash > 0 ? (size_t)slash : 0);
    }
}

/* A line is "NUMBER:CONTROLLERS:GROUP"; without controllers it is version 2's. */
static uint64_t limit_of_line(const char *root, struct view line)
{
    struct view number;
    struct view controllers;
    if (!view_next(&line, ':', &number) || !view_next(&line, ':', &controllers))
        return UINT64_MAX;
    for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++)
        if (view_eq(controllers, hierarchies[i].controllers))
            return least_limit(root, i, view_eq(line, VIEW("/")) ? VIEW("") : line);
    return UINT64_MAX;
}

static uint64_t of_process(int resource)
{
    struct rlimit limit;
    bool is_set = getrlimit(resource, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
    return is_set ? limit.rlim_cur : UINT64_MAX;
}

uint64_t memory_limit_read(const char *root)
{
    uint64_t least = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    char path[PATH_TEXT_MAX];
    char text[FILE_MAX];
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    struct view rest = read_file(path, text);
    struct view line;
    while (view_next(&rest, '\n', &line)) {
        uint64_t limit = limit_of_line(root, line);
        least = limit < least ? limit : least;
    }
    static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
    for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
        uint64_t limit = of_process(resources[i]);
        least = limit < least ? limit : least;
    }
    return least;
}
