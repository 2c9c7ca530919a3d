#include "proxy/sandbox.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/view.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

enum {
    /* Bits that newer kernels know and older headers do not name. */
    ACCESS_TRUNCATE = 1 << 14,  /* ABI 3 */
    ACCESS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    ACCESS_ABI1 = (1 << 13) - 1,
    ACCESS_REFER = 1 << 13, /* ABI 2 */
    NSSWITCH_MAX = 65536,
};

/*
 * What getaddrinfo and gRPC's resolver read, and the system's store of authorities, for targets
 * that speak TLS. systemd and update-ca-certificates replace their files: there the folder.
 */
static const char *const files[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/run/systemd/resolve",
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted/pem",
#ifdef SANITIZED
    "/proc/self", /* the leak checker of a test build reads its own process */
#endif
};

/* A module that is loaded already is found again without a file. */
static void load_module(struct view name)
{
    if (name.len == 0 || name.len > 32 || name.ptr[0] == '[' || view_find(name, '/') >= 0 ||
        view_eq(name, VIEW("files")) || view_eq(name, VIEW("dns")))
        return;
    char file[64];
    (void)snprintf(file, sizeof file, "libnss_%.*s.so.2", VIEW_FMT(name));
    (void)dlopen(file, RTLD_NOW | RTLD_NODELETE);
}

static void load_resolver_modules(void)
{
    static uint8_t text[NSSWITCH_MAX];
    int fd = open("/etc/nsswitch.conf", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    struct view rest = view_of(text, n > 0 ? (size_t)n : 0);
    struct view line;
    struct view word;
    while (view_next(&rest, '\n', &line)) {
        line = view_trim(line);
        if (!view_starts_with(line, VIEW("hosts:")))
            continue;
        line = view_skip(line, 6);
        while (view_next(&line, ' ', &word))
            load_module(view_trim(word));
    }
}

static uint64_t known_access(long abi)
{
    uint64_t access = ACCESS_ABI1;
    if (abi >= 2)
        access |= ACCESS_REFER;
    if (abi >= 3)
        access |= ACCESS_TRUNCATE;
    if (abi >= 5)
        access |= ACCESS_IOCTL_DEV;
    return access;
}

static void allow_file(int ruleset, const char *path)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE};
    struct stat st;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    if (fstat(rule.parent_fd, &st) == 0 && S_ISDIR(st.st_mode))
        rule.allowed_access |= LANDLOCK_ACCESS_FS_READ_DIR;
    (void)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    (void)close(rule.parent_fd);
}

enum sandbox sandbox_enter(void)
{
    load_resolver_modules();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return SANDBOX_FAILED;
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return SANDBOX_NO_KERNEL;
    struct landlock_ruleset_attr attr = {.handled_access_fs = known_access(abi)};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return SANDBOX_FAILED;
    for (size_t i = 0; i < ARRAY_LEN(files); i++)
        allow_file(ruleset, files[i]);
    long e = syscall(SYS_landlock_restrict_self, ruleset, 0);
    (void)close(ruleset);
    return e == 0 ? SANDBOX_ON : SANDBOX_FAILED;
}
