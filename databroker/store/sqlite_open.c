/* Opening: what is there, whose it is, whether it is whole. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "databroker/store/sqlite.h"

static const char schema[] =
    "BEGIN IMMEDIATE;"
    "CREATE TABLE meta(name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE records(version INTEGER PRIMARY KEY NOT NULL, type TEXT NOT NULL,"
    " id TEXT NOT NULL, modified_ms INTEGER NOT NULL, deleted_ms INTEGER NOT NULL, data BLOB,"
    " UNIQUE(type, id));"
    "CREATE INDEX records_type ON records(type);"
    "CREATE INDEX records_alive ON records(type, deleted_ms);"
    "CREATE INDEX records_deleted ON records(deleted_ms) WHERE deleted_ms > 0;"
    "CREATE TABLE options(type TEXT PRIMARY KEY NOT NULL, capacity INTEGER NOT NULL,"
    " ttl_ms INTEGER NOT NULL, fields TEXT NOT NULL) WITHOUT ROWID;";

/* --- the directory --- */

/* A file that our own store never has, in a directory that does not hold ours. */
static char *foreign_file(const char *dir)
{
    DIR *d = opendir(dir);
    if (!d)
        return NULL;
    char *found = NULL;
    struct dirent *entry;
    while (!found && (entry = readdir(d))) {
        struct view name = view_str(entry->d_name);
        /* What a RocksDB or Pebble store is made of. */
        if (view_eq(name, VIEW("CURRENT")) || view_starts_with(name, VIEW("MANIFEST-")) ||
            view_starts_with(name, VIEW("OPTIONS-")) || view_ends_with(name, VIEW(".sst")) ||
            view_starts_with(name, VIEW("marker.")))
            found = mem_strdup(entry->d_name);
    }
    closedir(d);
    return found;
}

static enum err prepare_dir(const char *dir, const char *path, char **out_why)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        *out_why = mem_printf("%s: cannot be made: %s", dir, strerror(errno));
        return ERR_IO;
    }
    if (stat(dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        *out_why = mem_printf("%s: is not a directory", dir);
        return ERR_IO;
    }
    if (stat(path, &st) == 0)
        return OK;
    AUTO_FREE char *foreign = foreign_file(dir);
    if (!foreign)
        return OK;
    *out_why = mem_printf("%s/%s: belongs to another program's store; give Postern a directory of "
                          "its own",
                          dir, foreign);
    return ERR_VERSION;
}

/* One process at a time: a second one would give the same versions out again. */
static enum err take_lock(struct sqlite_history *h, const char *dir, char **out_why)
{
    AUTO_FREE char *lock = mem_printf("%s/databroker.lock", dir);
    h->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (h->lock_fd < 0) {
        *out_why = mem_printf("%s: %s", lock, strerror(errno));
        return errno == EACCES ? ERR_PERMISSION : ERR_IO;
    }
    if (flock(h->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    *out_why = mem_printf("%s: in use by another process", h->path);
    return ERR_BUSY;
}

/* --- the file --- */

/* Makes it with its mode, or looks at its first bytes. *out_new: empty. */
static enum err prepare_file(const char *path, bool *out_new, char **out_why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        *out_why = mem_printf("%s: %s", path, strerror(errno));
        return errno == EACCES || errno == EPERM ? ERR_PERMISSION : ERR_IO;
    }
    static const char magic[16] = "SQLite format 3";
    char head[16] = {0};
    struct stat st = {0};
    ssize_t n = pread(fd, head, sizeof(head), 0);
    bool regular = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    bool tight = (st.st_mode & 077) == 0 || fchmod(fd, 0600) == 0;
    close(fd);
    if (!regular || !tight || n < 0) {
        *out_why = mem_printf("%s: must be a regular file of its user alone (0600)", path);
        return ERR_PERMISSION;
    }
    *out_new = n == 0;
    if (n != 0 && view_cmp(view_of(head, sizeof(head)), view_of(magic, sizeof(magic))) != 0) {
        *out_why = mem_printf("%s: is not a store of Postern, or its beginning is damaged", path);
        return ERR_VERSION;
    }
    return OK;
}

static enum err fail(struct sqlite_history *h, enum err e, char **out_why)
{
    *out_why = e == ERR_DAMAGED ? mem_printf("%s: is damaged (%s); restore it from a backup",
                                             h->path, sqlite3_errmsg(h->writer.db))
                                : mem_printf("%s: %s", h->path, sqlite3_errmsg(h->writer.db));
    return e;
}

static enum err exec(struct sqlite_side *side, const char *sql)
{
    return sqlite_err(sqlite3_exec(side->db, sql, NULL, NULL, NULL));
}

static enum err pragma(struct sqlite_history *h, const char *sql, char **out_text)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(h->writer.db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    char *text = rc == SQLITE_ROW ? mem_strdup((const char *)sqlite3_column_text(s, 0)) : NULL;
    sqlite3_finalize(s);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? ERR_INTERNAL : sqlite_err(rc);
    *out_text = text;
    return OK;
}

static enum err pragma_number(struct sqlite_history *h, const char *sql, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(h->writer.db, sql, -1, &s, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(s);
    int64_t value = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? ERR_INTERNAL : sqlite_err(rc);
    *out = value;
    return OK;
}

static enum err open_side(struct sqlite_history *h, struct sqlite_side *side)
{
    int rc =
        sqlite3_open_v2(h->path, &side->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (rc != SQLITE_OK)
        return sqlite_err(rc);
    sqlite3_busy_timeout(side->db, 10000);
    sqlite3_limit(side->db, SQLITE_LIMIT_LENGTH, 16 << 20);
    sqlite3_db_config(side->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    return exec(side, "PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
                      "PRAGMA temp_store=MEMORY; PRAGMA cache_size=-16000; PRAGMA mmap_size=0");
}

/* A file of ours that was never finished has no tables and no mark: it counts as empty. */
static enum err whose(struct sqlite_history *h, bool *out_new, char **out_why)
{
    int64_t id = 0;
    int64_t version = 0;
    int64_t tables = 0;
    enum err e = pragma_number(h, "PRAGMA application_id", &id);
    if (e == OK)
        e = pragma_number(h, "PRAGMA user_version", &version);
    if (e == OK)
        e = pragma_number(h, "SELECT count(*) FROM sqlite_master", &tables);
    if (e != OK)
        return fail(h, e, out_why);
    *out_new = id == 0 && version == 0 && tables == 0;
    if (*out_new)
        return OK;
    if (id != FILE_APPLICATION_ID) {
        *out_why = mem_printf("%s: is a SQLite file of another program", h->path);
        return ERR_VERSION;
    }
    if (version > FILE_SCHEMA || version < 1) {
        *out_why = mem_printf("%s: was written by a newer Postern (schema %lld, this one knows %d)",
                              h->path, (long long)version, FILE_SCHEMA);
        return ERR_VERSION;
    }
    return OK;
}

static enum err make(struct sqlite_history *h, uint64_t server_version)
{
    AUTO_FREE char *marks =
        mem_printf("INSERT INTO meta VALUES('server_version', %lld), ('record_version', 0),"
                   " ('trimmed_version', 0);"
                   "PRAGMA application_id=%d; PRAGMA user_version=%d; COMMIT",
                   (long long)server_version, FILE_APPLICATION_ID, FILE_SCHEMA);
    enum err e = exec(&h->writer, schema);
    return e == OK ? exec(&h->writer, marks) : e;
}

static enum err check_whole(struct sqlite_history *h, char **out_why)
{
    AUTO_FREE char *verdict = NULL;
    enum err e = pragma(h, "PRAGMA quick_check(1)", &verdict);
    if (e != OK)
        return fail(h, e, out_why);
    if (verdict && strcmp(verdict, "ok") == 0)
        return OK;
    *out_why = mem_printf("%s: is damaged (%s); restore it from a backup", h->path,
                          verdict ? verdict : "unreadable");
    return ERR_DAMAGED;
}

static int on_wal(void *ctx, sqlite3 *db, const char *name, int pages)
{
    struct sqlite_history *h = ctx;
    (void)db;
    (void)name;
    h->wal_pages = (size_t)pages;
    return SQLITE_OK;
}

static enum err read_state(struct sqlite_history *h, char **out_why)
{
    uint64_t newest = 0;
    enum err e = sqlite_meta(&h->writer, "server_version", &h->server_version);
    if (e == OK)
        e = sqlite_meta(&h->writer, "record_version", &h->committed_version);
    if (e == OK) {
        int64_t max = 0;
        e = pragma_number(h, "SELECT ifnull(max(version), 0) FROM records", &max);
        newest = e == OK ? (uint64_t)max : 0;
    }
    if (e != OK)
        return fail(h, e, out_why);
    if (h->server_version && newest <= h->committed_version)
        return OK;
    *out_why =
        mem_printf("%s: is damaged (versions do not fit); restore it from a backup", h->path);
    return ERR_DAMAGED;
}

static enum err prepare_sides(struct sqlite_history *h, char **out_why)
{
    enum err e = sqlite_prepare(&h->writer);
    if (e == OK)
        e = open_side(h, &h->reader);
    if (e == OK)
        e = exec(&h->reader, "PRAGMA query_only=ON");
    if (e == OK)
        e = sqlite_prepare(&h->reader);
    if (e != OK)
        return fail(h, e, out_why);
    sqlite3_wal_hook(h->writer.db, on_wal, h);
    return OK;
}

static enum err open_file(struct sqlite_history *h, uint64_t server_version, char **out_why)
{
    bool is_new;
    TRY(prepare_file(h->path, &is_new, out_why));
    enum err e = open_side(h, &h->writer);
    if (e != OK)
        return fail(h, e, out_why);
    TRY(whose(h, &is_new, out_why));
    if (!is_new)
        TRY(check_whole(h, out_why));
    AUTO_FREE char *mode = NULL;
    e = pragma(h, "PRAGMA journal_mode=WAL", &mode);
    if (e == OK)
        e = exec(&h->writer, "PRAGMA synchronous=FULL");
    if (e == OK && is_new)
        e = make(h, server_version);
    if (e != OK)
        return fail(h, e, out_why);
    if (!mode || strcmp(mode, "wal") != 0) {
        *out_why = mem_printf("%s: this file system cannot hold a write-ahead log", h->path);
        return ERR_IO;
    }
    TRY(prepare_sides(h, out_why));
    return read_state(h, out_why);
}

enum err history_sqlite_open(const char *dir, uint64_t server_version, struct history **out,
                             char **out_why)
{
    struct sqlite_history *h = mem_zalloc(sizeof(*h));
    h->base.ops = &sqlite_ops;
    h->lock_fd = -1;
    h->path = mem_printf("%s/" FILE_NAME, dir);
    char *why = NULL;
    enum err e = prepare_dir(dir, h->path, &why);
    if (e == OK)
        e = take_lock(h, dir, &why);
    if (e == OK)
        e = open_file(h, server_version, &why);
    if (e != OK) {
        sqlite_ops.free(&h->base);
        *out_why = why;
        return e;
    }
    *out = &h->base;
    return OK;
}

void history_sqlite_limit(struct history *base, uint64_t pages)
{
    struct sqlite_history *h = sqlite_of(base);
    AUTO_FREE char *sql = mem_printf("PRAGMA max_page_count=%llu", (unsigned long long)pages);
    CHECK(exec(&h->writer, sql) == OK);
}
