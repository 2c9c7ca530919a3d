/* The system's time zones: files of tzdata. */
#ifndef COMMON_DAEMON_ZONE_FILE_H
#define COMMON_DAEMON_ZONE_FILE_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* The content of the zone's file, as far as it has room in `out`. ERR_NOT_FOUND, ERR_LIMIT. */
enum err zone_file_read(void *ctx, const char *name, struct buf *out);

#endif
