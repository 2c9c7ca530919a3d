/* The arguments that all daemons take: --config FILE, --check, --version, --help. */
#ifndef COMMON_DAEMON_ARGUMENTS_H
#define COMMON_DAEMON_ARGUMENTS_H

#include "common/base/err.h"

enum arguments_action {
    ARGUMENTS_RUN,
    ARGUMENTS_CHECK,
    ARGUMENTS_VERSION,
    ARGUMENTS_HELP,
};

struct arguments {
    enum arguments_action action;
    const char *config; /* NULL when not given; points into argv */
};

/*
 * One or two dashes, "--config FILE" or "--config=FILE". ERR_SYNTAX with the argument that is wrong
 * in *out_wrong.
 */
enum err arguments_parse(int argc, char **argv, struct arguments *out, const char **out_wrong);

#endif
