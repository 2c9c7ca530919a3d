#include "cli/browser.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"

/* After a fork: nothing but calls that are safe there. Tells by a byte that it has not started. */
[[gnu::noreturn]] static void run(char *const *words, int tell)
{
    int null = open("/dev/null", O_RDONLY);
    (void)setsid();
    if (null >= 0)
        (void)dup2(null, STDIN_FILENO);
    (void)dup2(STDERR_FILENO, STDOUT_FILENO);
    (void)sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    (void)execvp(words[0], words);
    (void)!write(tell, "x", 1);
    _exit(127);
}

enum err browser_open(const char *command, const char *url)
{
    const char *program = command ? command : "xdg-open";
    bool is_line = strpbrk(program, " \t") && access(program, X_OK) != 0;
    AUTO_FREE char *line = mem_printf("exec %s \"$1\"", program);
    char *direct[] = {(char *)program, (char *)url, NULL};
    char *shell[] = {(char *)"sh", (char *)"-c", line, (char *)"postern", (char *)url, NULL};
    char *const *words = is_line ? shell : direct;
    int tell[2];
    if (pipe2(tell, O_CLOEXEC) != 0)
        return ERR_IO;
    /* Forked twice, so that whoever stays is nobody's to wait for. */
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0)
            run(words, tell[1]);
        _exit(grandchild < 0);
    }
    (void)close(tell[1]);
    int status = 1;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    char byte;
    ssize_t n = read(tell[0], &byte, 1);
    (void)close(tell[0]);
    return child > 0 && status == 0 && n == 0 ? OK : ERR_NOT_FOUND;
}
