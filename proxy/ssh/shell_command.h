/* What is typed behind `ssh USER@GATEWAY`: the commands of the management shell and their help. */
#ifndef PROXY_SSH_SHELL_COMMAND_H
#define PROXY_SSH_SHELL_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/view.h"

enum shell_verb { SHELL_WHOAMI, SHELL_LOGOUT };

struct shell_result {
    const char *name; /* of the command, for logs and metrics: "help", …, "unknown"; static */
    bool asks;        /* `verb` is to be asked; else `text` and `status` are there */
    enum shell_verb verb;
    uint32_t status;
};

/*
 * Words are what blanks part; there is no quoting. What it says is appended to `text`, whose room
 * is SHELL_COMMAND_TEXT at least.
 */
void shell_command_run(struct view line, struct buf *text, struct shell_result *out);

/* No command: the help, and how `login` reaches a server. */
void shell_command_none(struct view login, struct buf *text, struct shell_result *out);

/* sftp and its like: says that there is none. */
void shell_command_subsystem(struct view name, struct buf *text, struct shell_result *out);

enum { SHELL_COMMAND_TEXT = 2048 };

#endif
