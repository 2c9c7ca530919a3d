/* What the worker gives up before it reads its first byte from a stranger. */
#ifndef PROXY_SANDBOX_H
#define PROXY_SANDBOX_H

enum sandbox {
    SANDBOX_ON,
    SANDBOX_NO_KERNEL, /* the kernel has no Landlock, or it is switched off */
    SANDBOX_FAILED,
};

/*
 * No file may be opened any more but the resolver's own, for reading (Landlock); no_new_privs. The
 * modules that nsswitch.conf names are loaded before. For the thread that calls, and those that it
 * starts: call it before there is another one.
 */
enum sandbox sandbox_enter(void);

#endif
