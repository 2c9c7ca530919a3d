/*
 * The worker's process: fork and exec of ourselves with --worker and nothing else: a clean
 * environment, standard output and error, and the descriptors below.
 */
#ifndef PROXY_SUPERVISOR_PROCESS_H
#define PROXY_SUPERVISOR_PROCESS_H

#include "common/base/err.h"
#include "common/io/loop.h"

enum {
    PROCESS_FD_LINK = 3,
    PROCESS_FD_HTTPS = 4,
    PROCESS_FD_SSH = 5,
    PROCESS_FD_REDIRECT = 6,
    PROCESS_FDS = 7,
};

struct process;

/* `status` is that of exit, or -1 when `number` is the signal that ended it. Frees the process. */
typedef void (*process_fn)(void *ctx, int status, int number);

/*
 * *out_fd is our end of the socketpair. Listening sockets that are not there are -1. ERR_IO with
 * *out_why in fresh memory.
 */
struct process_spec {
    struct loop *loop;
    int https_fd;
    int ssh_fd;
    int redirect_fd;
    process_fn on_exit;
    void *ctx;
};
enum err process_start(const struct process_spec *spec, struct process **out, int *out_fd,
                       char **out_why);

int process_pid(const struct process *p);
void process_signal(const struct process *p, int number);

/* Writes the pid as text to `path`, whole or not at all; failures are the caller's to log. */
enum err process_write_pid(const char *path, int pid);

#endif
