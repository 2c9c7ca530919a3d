#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "common/base/map.h"
#include "common/base/mem.h"
#include "common/daemon/daemon.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#endif

void daemon_harden(void)
{
    const struct rlimit none = {0, 0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    const struct rng rng = rng_system();
    uint8_t key[16];
    (void)umask(077);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
#ifndef SANITIZED
    /* The leak checker of a test build looks at its own process from outside. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    rng_fill(&rng, key, sizeof key);
    map_seed(key);
    mem_wipe(key, sizeof key);
}
