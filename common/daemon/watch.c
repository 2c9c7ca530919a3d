#include "common/daemon/watch.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/view.h"
#include "common/io/timer.h"

enum {
    EVENTS_SIZE = 16384,
    MASK = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_ATTRIB |
           IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
};

/* One file name in one directory. Several targets may share a descriptor. */
struct target {
    int wd;
    char *name;
};

struct watch {
    struct loop *loop;
    uv_poll_t *poll; /* freed in its close callback */
    int fd;
    struct target *targets;
    size_t count;
    struct timer delay;
    uint32_t delay_ms;
    bool pending;
    loop_fn fn;
    void *ctx;
};

static void on_delay(void *ctx)
{
    struct watch *w = ctx;
    w->pending = false;
    w->fn(w->ctx);
}

/* Counted from the first change: a directory that never rests cannot hold a reload up. */
static void trigger(struct watch *w)
{
    if (w->pending)
        return;
    w->pending = true;
    timer_after(&w->delay, w->delay_ms);
}

static bool is_of_interest(const struct watch *w, const struct inotify_event *e)
{
    if (e->mask & (IN_Q_OVERFLOW | IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT))
        return true;
    /* Kubernetes swaps the link "..data"; the files are links through it. */
    if (e->len > 1 && strncmp(e->name, "..", 2) == 0)
        return true;
    for (size_t i = 0; e->len && i < w->count; i++) {
        if (w->targets[i].wd == e->wd && strcmp(w->targets[i].name, e->name) == 0)
            return true;
    }
    return false;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    _Alignas(struct inotify_event) char buffer[EVENTS_SIZE];
    (void)status;
    (void)events;
    ssize_t n;
    while ((n = read(w->fd, buffer, sizeof buffer)) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const struct inotify_event *)(void *)(buffer + at);
            if (is_of_interest(w, e))
                trigger(w);
            at += (ssize_t)sizeof *e + e->len;
        }
    }
}

struct watch *watch_open(struct loop *l, uint32_t delay_ms, loop_fn fn, void *ctx)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0)
        return NULL;
    struct watch *w = mem_zalloc(sizeof *w);
    *w = (struct watch){.loop = l, .fd = fd, .delay_ms = delay_ms, .fn = fn, .ctx = ctx};
    w->poll = mem_zalloc(sizeof *w->poll);
    w->poll->data = w;
    CHECK(uv_poll_init(&l->uv, w->poll, fd) == 0);
    CHECK(uv_poll_start(w->poll, UV_READABLE, on_readable) == 0);
    timer_init(&w->delay, l, on_delay, w);
    return w;
}

static void targets_free(struct target *targets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        mem_free(targets[i].name);
    mem_free(targets);
}

static bool has_wd(const struct target *targets, size_t count, int wd)
{
    for (size_t i = 0; i < count; i++) {
        if (targets[i].wd == wd)
            return true;
    }
    return false;
}

static void add_target(struct watch *w, const char *path)
{
    AUTO_FREE char *for_dir = mem_strdup(path);
    AUTO_FREE char *for_name = mem_strdup(path);
    int wd = inotify_add_watch(w->fd, dirname(for_dir), MASK);
    if (wd < 0)
        return;
    w->targets = mem_realloc(w->targets, (w->count + 1) * sizeof *w->targets);
    w->targets[w->count++] = (struct target){wd, mem_strdup(basename(for_name))};
}

void watch_set(struct watch *w, char *const *paths, size_t count)
{
    struct target *old = w->targets;
    size_t old_count = w->count;
    bool fresh = false;
    w->targets = NULL;
    w->count = 0;
    for (size_t i = 0; i < count; i++) {
        /* A link is watched at both ends. */
        char real[PATH_MAX];
        add_target(w, paths[i]);
        if (realpath(paths[i], real) && strcmp(real, paths[i]) != 0)
            add_target(w, real);
    }
    for (size_t i = 0; i < old_count; i++) {
        if (!has_wd(w->targets, w->count, old[i].wd))
            (void)inotify_rm_watch(w->fd, old[i].wd);
    }
    for (size_t i = 0; i < w->count; i++)
        fresh |= !has_wd(old, old_count, w->targets[i].wd);
    targets_free(old, old_count);
    if (fresh)
        trigger(w);
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle);
}

void watch_close(struct watch *w)
{
    if (!w)
        return;
    timer_fini(&w->delay);
    uv_close((uv_handle_t *)w->poll, on_closed);
    (void)close(w->fd);
    targets_free(w->targets, w->count);
    mem_free(w);
}
