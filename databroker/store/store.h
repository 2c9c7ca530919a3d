/*
 * The store: a durable history (a SQLite file, or memory) and beside it the memory-only one, with
 * their own versions. One thread writes, one other reads. Times are milliseconds since 1970, given
 * by the caller.
 */
#ifndef DATABROKER_STORE_STORE_H
#define DATABROKER_STORE_STORE_H

#include "databroker/store/history.h"

/* Values of `expected`. */
#define STORE_ABSENT UINT64_C(0)
#define STORE_ANY UINT64_MAX

enum { STORE_PUT_MAX = 1000 }; /* records of one request */

struct store;

struct store_config {
    const char *dir; /* NULL: everything in memory */
    /* Random, not 0: server_version of what is new. 63 bits are used. */
    uint64_t durable_version;
    uint64_t memory_version;
};

/* Fails with a sentence in fresh memory, as history_sqlite_open. */
enum err store_open(const struct store_config *config, struct store **out, char **out_why);

/* NULL is fine. Finishes with a checkpoint. */
void store_close(struct store *s);

/* --- the writer --- */

/* One request: all rows or none. */
struct store_put {
    const struct record_row *rows; /* type, id, data; deleted_ms != 0 deletes; no versions */
    const uint64_t *expected;      /* NULL, or parallel: STORE_ABSENT, STORE_ANY, a version */
    size_t count;
    /* Results. */
    enum err err;       /* ERR_SYNTAX, ERR_LIMIT, ERR_PRECONDITION, or of the storage */
    uint64_t *versions; /* caller's, count long; valid when err is OK */
    uint64_t modified_ms;
};

/*
 * One group, one commit. When it returns every request has its result and what succeeded will
 * survive a crash. After a failure of the storage itself no request of the group has happened and
 * all have that error. Returns that error, or OK.
 */
enum err store_put_all(struct store *s, struct store_put *const *puts, size_t count,
                       uint64_t now_ms);

/* Which histories the last store_put_all or store_maintain has changed. */
struct store_changed {
    bool durable;
    bool memory;
};
struct store_changed store_changed(const struct store *s);

/* Deletes what is older than its ttl; `durable_too` looks at the file as well. */
enum err store_expire(struct store *s, bool durable_too, uint64_t now_ms);

/* Forgets deletions older than `before_ms`. */
enum err store_trim(struct store *s, uint64_t before_ms);

/* Gives the log's space back when it has grown; after the answers of a group have gone. */
enum err store_checkpoint(struct store *s);

enum err store_set_options(struct store *s, const char *type, const struct history_options *o);

/* --- the reader --- */

/* The history that a type lives in; type NULL or "": the durable one. */
struct history *store_history(struct store *s, const char *type);
struct history *store_memory(struct store *s);

/* Types with live records, of both histories. */
enum err store_types(struct store *s, struct record_page *out);

/* For tests. */
struct history *store_durable(struct store *s);

#endif
