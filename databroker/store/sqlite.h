/* Inside of databroker/store: a history in a SQLite file. */
#ifndef DATABROKER_STORE_SQLITE_H
#define DATABROKER_STORE_SQLITE_H

#include <sqlite3.h>

#include "databroker/store/history.h"

#define FILE_NAME "databroker.sqlite3"

enum {
    FILE_APPLICATION_ID = 0x50737431, /* "Pst1" */
    FILE_SCHEMA = 1,                  /* user_version */
};

/* One connection and its prepared statements, used by one thread. */
struct sqlite_side {
    sqlite3 *db;
    sqlite3_stmt **statements; /* by enum sqlite_sql */
};

enum sqlite_sql {
    SQL_BEGIN,
    SQL_COMMIT,
    SQL_ROLLBACK,
    SQL_MARK,
    SQL_UNDO,
    SQL_KEEP,
    SQL_FIND,
    SQL_PUT,
    SQL_META_GET,
    SQL_META_SET,
    SQL_COUNT_ALIVE,
    SQL_OLDEST_ALIVE,
    SQL_EXPIRED,
    SQL_TRIMMED,
    SQL_TRIM,
    SQL_SET_OPTIONS,
    SQL_CAPACITY,
    /* reader */
    SQL_READ_BEGIN,
    SQL_GET,
    SQL_QUERY,
    SQL_CHANGES,
    SQL_CHANGES_TYPE,
    SQL_TYPES,
    SQL_GET_OPTIONS,
    SQL_COUNT,
};

struct sqlite_history {
    struct history base;
    char *path;
    int lock_fd;
    struct sqlite_side writer;
    struct sqlite_side reader;
    uint64_t server_version; /* never changes while the file is open */
    /* Writer only. */
    uint64_t record_version; /* as the group will leave it */
    uint64_t committed_version;
    uint64_t mark_version;
    struct record_page touched; /* types with a capacity that the group has written */
    size_t wal_pages;
};

struct sqlite_history *sqlite_of(struct history *h);

/* What a result code means to us. */
enum err sqlite_err(int rc);

/* The statement, reset and without bindings. */
sqlite3_stmt *sqlite_get(struct sqlite_side *side, enum sqlite_sql sql);

void sqlite_bind_text(sqlite3_stmt *s, int index, const char *text);
void sqlite_bind_u64(sqlite3_stmt *s, int index, uint64_t value);

/* Runs a statement that gives no rows. */
enum err sqlite_run(sqlite3_stmt *s);

/* A number of the meta table. */
enum err sqlite_meta(struct sqlite_side *side, const char *name, uint64_t *out);

/* sqlite_read.c: the reader's operations. */
enum err sqlite_on_get(struct history *h, const char *type, const char *id,
                       struct record_page *out);
enum err sqlite_on_query(struct history *h, const struct history_query *q, struct record_page *out);
enum err sqlite_on_changes(struct history *h, const struct history_changes *c,
                           struct record_page *out);
enum err sqlite_on_versions(struct history *h, struct record_page *out);
enum err sqlite_on_types(struct history *h, struct record_page *out);
enum err sqlite_on_count(struct history *h, const char *type, uint64_t *out);
enum err sqlite_on_get_options(struct history *h, const char *type, struct history_options *out);

/* sqlite.c */
extern const struct history_ops sqlite_ops;
enum err sqlite_prepare(struct sqlite_side *side);
void sqlite_finalize(struct sqlite_side *side);

#endif
