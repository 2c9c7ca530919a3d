#include "proxy/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <netdb.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/io/tls.h"
#include "tests/support/test.h"

/* What went wrong in the child, as its exit status. */
enum outcome {
    FINE,
    NO_KERNEL,
    NOT_ENTERED,
    RESOLVER_FILE_CLOSED,
    NAME_UNKNOWN,
    NO_AUTHORITIES,
    FILE_READ,
    FILE_WRITTEN,
    FOLDER_READ,
    MORE_PRIVILEGES,
};

static bool opens(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

static enum outcome try_it(void)
{
    enum sandbox s = sandbox_enter();
    struct addrinfo *list = NULL;
    if (s == SANDBOX_NO_KERNEL)
        return NO_KERNEL;
    if (s != SANDBOX_ON)
        return NOT_ENTERED;
    if (!opens("/etc/hosts", O_RDONLY))
        return RESOLVER_FILE_CLOSED;
    if (getaddrinfo("localhost", "22", NULL, &list) != 0)
        return NAME_UNKNOWN;
    freeaddrinfo(list);
    const struct tls_client_spec system_store = {0};
    struct tls_context *tls;
    char *why = NULL;
    if (tls_client_new(&system_store, &tls, &why) != OK)
        return NO_AUTHORITIES;
    tls_unref(tls);
    if (opens("/etc/passwd", O_RDONLY) || errno != EACCES || opens("/etc/hosts", O_RDWR))
        return FILE_READ;
    if (opens("/tmp/postern-sandbox-test", O_WRONLY | O_CREAT))
        return FILE_WRITTEN;
    if (opens("/etc", O_RDONLY | O_DIRECTORY))
        return FOLDER_READ;
    return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? FINE : MORE_PRIVILEGES;
}

static void test_sandbox(void **state)
{
    (void)state;
    int status;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit((int)try_it());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    assert_int_equal(WEXITSTATUS(status), abi >= 1 ? FINE : NO_KERNEL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sandbox)};
    return RUN(tests);
}
