#include "proxy/supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/view.h"

/* Anything else may hold a secret: every key of the configuration has an environment variable. */
static const char *const kept[] = {
    "TZ",           "LANG",          "LC_ALL",       "PATH",           "LD_LIBRARY_PATH",
    "RES_OPTIONS",  "LOCALDOMAIN",   "GRPC_TRACE",   "GRPC_VERBOSITY", "GRPC_DNS_RESOLVER",
    "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "TSAN_OPTIONS",
};

struct process {
    uv_process_t uv;
    process_fn on_exit;
    void *ctx;
    int status;
    int number;
};

static void on_closed(uv_handle_t *handle)
{
    struct process *p = handle->data;
    process_fn fn = p->on_exit;
    void *ctx = p->ctx;
    int status = p->status;
    int number = p->number;
    mem_free(p);
    fn(ctx, status, number);
}

static void on_exit_(uv_process_t *uv, int64_t status, int number)
{
    struct process *p = uv->data;
    p->number = number;
    p->status = number ? -1 : (int)status;
    uv_close((uv_handle_t *)uv, on_closed);
}

static void free_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static uv_stdio_container_t inherit(int fd)
{
    uv_stdio_container_t c = {.flags = fd < 0 ? UV_IGNORE : UV_INHERIT_FD};
    c.data.fd = fd;
    return c;
}

static int spawn(const struct process_spec *spec, struct process *p, int link_fd)
{
    char *environment[ARRAY_LEN(kept) + 1] = {NULL};
    size_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const char *value = getenv(kept[i]);
        if (value)
            environment[count++] = mem_printf("%s=%s", kept[i], value);
    }
    char name[] = "postern-proxy";
    char worker[] = "--worker";
    char *arguments[] = {name, worker, NULL};
    uv_stdio_container_t stdio[PROCESS_FDS] = {
        inherit(-1),
        inherit(STDOUT_FILENO),
        inherit(STDERR_FILENO),
        [PROCESS_FD_LINK] = inherit(link_fd),
        [PROCESS_FD_HTTPS] = inherit(spec->https_fd),
        [PROCESS_FD_SSH] = inherit(spec->ssh_fd),
        [PROCESS_FD_REDIRECT] = inherit(spec->redirect_fd),
    };
    const uv_process_options_t options = {.exit_cb = on_exit_,
                                          .file = "/proc/self/exe",
                                          .args = arguments,
                                          .env = environment,
                                          .cwd = "/",
                                          .stdio_count = PROCESS_FDS,
                                          .stdio = stdio};
    int e = uv_spawn(&spec->loop->uv, &p->uv, &options);
    while (count)
        mem_free(environment[--count]);
    return e;
}

enum err process_start(const struct process_spec *spec, struct process **out, int *out_fd,
                       char **out_why)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        *out_why = mem_printf("socketpair: %s", strerror(errno));
        return ERR_IO;
    }
    struct process *p = mem_zalloc(sizeof *p);
    p->uv.data = p;
    p->on_exit = spec->on_exit;
    p->ctx = spec->ctx;
    int e = spawn(spec, p, pair[1]);
    (void)close(pair[1]);
    if (e != 0) {
        (void)close(pair[0]);
        *out_why = mem_printf("cannot start the worker: %s", uv_strerror(e));
        uv_close((uv_handle_t *)&p->uv, free_closed);
        return ERR_IO;
    }
    *out = p;
    *out_fd = pair[0];
    return OK;
}

int process_pid(const struct process *p)
{
    return p->uv.pid;
}

void process_signal(const struct process *p, int number)
{
    /* Until its exit was seen, the pid is nobody else's. */
    (void)uv_kill(p->uv.pid, number);
}

enum err process_write_pid(const char *path, int pid)
{
    AUTO_FREE char *part = mem_printf("%s.part", path);
    AUTO_FREE char *text = mem_printf("%d\n", pid);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        return ERR_IO;
    bool ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    ok = close(fd) == 0 && ok;
    if (ok && rename(part, path) == 0)
        return OK;
    (void)unlink(part);
    return ERR_IO;
}
