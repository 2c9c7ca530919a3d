/*
 * From a file name to a checked configuration: reads the file and what it names, the environment,
 * the service's identity, and computes the hashes. For the daemons, the proxy's supervisor and the
 * CLI.
 */
#ifndef COMMON_DAEMON_CONFIG_FILE_H
#define COMMON_DAEMON_CONFIG_FILE_H

#include "common/base/diag.h"
#include "common/base/err.h"
#include "common/config/config.h"

#define CONFIG_FILE_DEFAULT "/etc/postern/postern.yaml"

enum { CONFIG_FILE_MAX = 16 << 20 };

/*
 * --config given, else POSTERN_CONFIG, else the default. `given` may be NULL.
 */
const char *config_file_path(const char *given);

/*
 * ERR_CONFIG with the reasons in `d`; warnings may be there on success too. The result is released
 * by config_unref. Places in `d` are already rendered, nothing of them is kept.
 */
enum err config_file_load(const char *path, enum config_service service, struct diag *d,
                          struct config **out);

/*
 * As config_file_load, without opening any file that the configuration names: for the CLI, which
 * may read the file on a host that has no secrets.
 */
enum err config_file_load_shallow(const char *path, enum config_service service, struct diag *d,
                                  struct config **out);

/* What a load has looked at, also when it failed: what to watch for a change. */
struct config_reading {
    char **paths; /* the file and those it names */
    size_t count;
    uint8_t hash[32]; /* of everything that was read: equal = nothing changed */
};
void config_reading_fini(struct config_reading *r);

/* As config_file_load; *out_reading is set in any case and released by the caller. */
enum err config_file_read(const char *path, enum config_service service, struct diag *d,
                          struct config_reading *out_reading, struct config **out);

/* Prints the items, one per line, to `fd`: "FILE:LINE:COLUMN: KEY: SENTENCE", warnings marked. */
void config_file_print(const struct diag *d, int fd);

#endif
