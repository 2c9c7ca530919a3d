/*
 * Tells the service manager what state the process is in: sd_notify(3)'s protocol, datagrams to
 * the socket that NOTIFY_SOCKET names. Without the variable nothing happens.
 */
#ifndef COMMON_DAEMON_NOTIFY_H
#define COMMON_DAEMON_NOTIFY_H

#include <stdint.h>

#include "common/base/err.h"

/*
 * Sends "READY=1", "STATUS=…", several joined by newlines. A path or an abstract name ("@…") is
 * served. Never waits. OK too when there is nobody to tell; ERR_IO, ERR_SYNTAX.
 */
enum err notify_send(const char *state);

/* RELOADING=1 with the time that the manager wants beside it; READY=1 follows when it is done. */
enum err notify_reloading(void);

/*
 * How often WATCHDOG=1 is to be sent, half of what the manager waits for, in milliseconds; 0 when
 * it asks for none, or asks another process.
 */
uint32_t notify_watchdog_ms(void);

#endif
