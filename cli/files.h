/* Small files that the CLI reads and makes. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include <sys/types.h>

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/view.h"

enum { FILES_MAX = 1 << 20, FILES_SECRET = 0600, FILES_PUBLIC = 0644 };

/* Makes the folder (0700) when it is missing. Says on stderr what failed. */
enum err files_make_dir(const char *path);

/*
 * Makes a new file with this mode, written and synced before it gets its name. ERR_EXISTS when
 * there is one already: keys are never overwritten. Says on stderr what failed.
 */
enum err files_create(const char *path, mode_t mode, struct view bytes);

/* Appends the whole file ("-" is stdin) to `out`. Says on stderr what failed. */
enum err files_read(const char *path, struct buf *out);

#endif
