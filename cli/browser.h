/* Opens a URL in a browser, without waiting for it and without touching our standard output. */
#ifndef CLI_BROWSER_H
#define CLI_BROWSER_H

#include "common/base/err.h"

/*
 * `command` is a program, or a line for the shell, that gets the URL as its last word; NULL is
 * xdg-open. ERR_NOT_FOUND when it cannot be started.
 */
enum err browser_open(const char *command, const char *url);

#endif
