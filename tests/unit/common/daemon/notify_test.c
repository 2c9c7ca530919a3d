#include "common/daemon/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "tests/unit/common/daemon/folder.h"

/* A manager's socket under `name`; "@…" is abstract. */
static int open_manager(const char *name)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    assert_true(len < sizeof at.sun_path);
    memcpy(at.sun_path, name, len);
    if (name[0] == '@')
        at.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
                     0);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    return fd;
}

static const char *received(int fd)
{
    static char text[256];
    ssize_t n = recv(fd, text, sizeof text - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    return text;
}

static void test_path(void **state)
{
    (void)state;
    struct folder f = folder_new();
    AUTO_FREE char *path = folder_path(&f, "notify");
    int fd = open_manager(path);
    CHECK_OK(notify_send("READY=1\nSTATUS=running"));
    assert_string_equal(received(fd), "READY=1\nSTATUS=running");
    CHECK_OK(notify_reloading());
    const char *text = received(fd);
    assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
    assert_true(strtoull(text + 27, NULL, 10) > 0);
    (void)close(fd);
    /* Nobody listens any more. */
    assert_int_equal(notify_send("READY=1"), ERR_IO);
    folder_remove(&f);
}

static void test_abstract(void **state)
{
    (void)state;
    AUTO_FREE char *name = mem_printf("@postern-notify-test-%d", getpid());
    int fd = open_manager(name);
    CHECK_OK(notify_send("STOPPING=1"));
    assert_string_equal(received(fd), "STOPPING=1");
    (void)close(fd);
}

/* A manager that does not read must not stop a loop. */
static void test_full(void **state)
{
    (void)state;
    AUTO_FREE char *name = mem_printf("@postern-notify-full-%d", getpid());
    int fd = open_manager(name);
    enum err e = OK;
    for (int i = 0; i < 100000 && e == OK; i++)
        e = notify_send("WATCHDOG=1");
    assert_int_equal(e, ERR_IO);
    (void)close(fd);
}

static void test_nobody(void **state)
{
    (void)state;
    assert_int_equal(unsetenv("NOTIFY_SOCKET"), 0);
    CHECK_OK(notify_send("READY=1"));
    assert_int_equal(setenv("NOTIFY_SOCKET", "", 1), 0);
    CHECK_OK(notify_send("READY=1"));
    assert_int_equal(setenv("NOTIFY_SOCKET", "relative/path", 1), 0);
    assert_int_equal(notify_send("READY=1"), ERR_SYNTAX);
    char longer[200] = "/";
    memset(longer + 1, 'x', sizeof longer - 2);
    assert_int_equal(setenv("NOTIFY_SOCKET", longer, 1), 0);
    assert_int_equal(notify_send("READY=1"), ERR_SYNTAX);
}

static uint32_t watchdog(const char *usec, const char *pid)
{
    assert_int_equal(usec ? setenv("WATCHDOG_USEC", usec, 1) : unsetenv("WATCHDOG_USEC"), 0);
    assert_int_equal(pid ? setenv("WATCHDOG_PID", pid, 1) : unsetenv("WATCHDOG_PID"), 0);
    return notify_watchdog_ms();
}

static void test_watchdog(void **state)
{
    (void)state;
    AUTO_FREE char *own = mem_printf("%d", getpid());
    assert_int_equal(watchdog(NULL, NULL), 0);
    assert_int_equal(watchdog("30000000", NULL), 15000);
    assert_int_equal(watchdog("30000000", own), 15000);
    assert_int_equal(watchdog("30000000", "1"), 0);
    assert_int_equal(watchdog("soon", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),   cmocka_unit_test(test_abstract), cmocka_unit_test(test_full),
        cmocka_unit_test(test_nobody), cmocka_unit_test(test_watchdog),
    };
    return RUN(tests);
}
