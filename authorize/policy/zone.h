/*
 * Time zones out of tzdata's files (TZif, RFC 8536) and their POSIX rules for the time after the
 * last transition; and a set of them by name, read when a policy first names one.
 */
#ifndef AUTHORIZE_POLICY_ZONE_H
#define AUTHORIZE_POLICY_ZONE_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/base/map.h"
#include "common/base/view.h"

enum { ZONE_FILE_MAX = 256 * 1024, ZONE_NAME_MAX = 64 };

struct zone;

/* ERR_SYNTAX, ERR_LIMIT. */
enum err zone_parse(struct view tzif, struct zone **out);
void zone_free(struct zone *z);

/*
 * Seconds east of UTC at `now_s`, and until when that holds: INT64_MAX when for ever. NULL is UTC.
 */
int32_t zone_offset(const struct zone *z, int64_t now_s, int64_t *out_until_s);

/* The content of the file of a zone, whose name zones_get has looked at, in an empty buffer. */
typedef enum err (*zones_read_fn)(void *ctx, const char *name, struct buf *out);

/* Zeroed but for `read` it is empty; with `read` NULL it knows UTC alone. */
struct zones {
    zones_read_fn read;
    void *ctx;
    struct map by_name;
};
void zones_fini(struct zones *zones);

/*
 * Lives with `zones`. *out is NULL for UTC. ERR_NOT_FOUND, ERR_SYNTAX: the name or the file is not
 * that of a zone; what `read` says. `zones` NULL knows UTC alone.
 */
enum err zones_get(struct zones *zones, struct view name, const struct zone **out);

#endif
