/*
 * A history in a SQLite file: WAL, synchronous=FULL, one connection that writes and one that reads.
 * The version of a record is its rowid, so that changes are read in the order of the table.
 */
#include "databroker/store/sqlite.h"

#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"

enum { WAL_PAGES_MAX = 1000, EXPIRE_BATCH = 1000 };

static const char *const sql_texts[] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_COMMIT] = "COMMIT",
    [SQL_ROLLBACK] = "ROLLBACK",
    [SQL_MARK] = "SAVEPOINT request",
    [SQL_UNDO] = "ROLLBACK TO request",
    [SQL_KEEP] = "RELEASE request",
    [SQL_FIND] = "SELECT version FROM records WHERE type = ?1 AND id = ?2 AND deleted_ms = 0",
    [SQL_PUT] = "INSERT OR REPLACE INTO records(version, type, id, modified_ms, deleted_ms, data) "
                "VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [SQL_META_GET] = "SELECT value FROM meta WHERE name = ?1",
    [SQL_META_SET] = "INSERT OR REPLACE INTO meta(name, value) VALUES(?1, ?2)",
    [SQL_COUNT_ALIVE] = "SELECT count(*) FROM records WHERE type = ?1 AND deleted_ms = 0",
    [SQL_OLDEST_ALIVE] = "SELECT id FROM records WHERE type = ?1 AND deleted_ms = 0 "
                         "ORDER BY version LIMIT 1",
    [SQL_EXPIRED] = "SELECT r.type, r.id FROM options o JOIN records r ON r.type = o.type "
                    "WHERE o.ttl_ms > 0 AND r.deleted_ms = 0 AND r.modified_ms + o.ttl_ms <= ?1 "
                    "ORDER BY r.version LIMIT ?2",
    [SQL_TRIMMED] = "SELECT max(version) FROM records WHERE deleted_ms > 0 AND deleted_ms < ?1",
    [SQL_TRIM] = "DELETE FROM records WHERE deleted_ms > 0 AND deleted_ms < ?1",
    [SQL_SET_OPTIONS] = "INSERT OR REPLACE INTO options(type, capacity, ttl_ms, fields) "
                        "VALUES(?1, ?2, ?3, ?4)",
    [SQL_CAPACITY] = "SELECT capacity FROM options WHERE type = ?1",
    [SQL_READ_BEGIN] = "BEGIN",
    [SQL_GET] = "SELECT version, type, id, modified_ms, deleted_ms, data FROM records "
                "WHERE type = ?1 AND id = ?2 AND deleted_ms = 0",
    [SQL_QUERY] = "SELECT version, type, id, modified_ms, deleted_ms, data FROM records "
                  "WHERE type = ?1 AND deleted_ms = 0 ORDER BY id",
    [SQL_CHANGES] = "SELECT version, type, id, modified_ms, deleted_ms, data FROM records "
                    "WHERE version > ?1 AND (?2 = 0 OR deleted_ms = 0) ORDER BY version",
    [SQL_CHANGES_TYPE] = "SELECT version, type, id, modified_ms, deleted_ms, data FROM records "
                         "WHERE version > ?1 AND (?2 = 0 OR deleted_ms = 0) AND type = ?3 "
                         "ORDER BY version",
    [SQL_TYPES] = "SELECT DISTINCT type FROM records WHERE deleted_ms = 0",
    [SQL_GET_OPTIONS] = "SELECT capacity, ttl_ms, fields FROM options WHERE type = ?1",
};

struct sqlite_history *sqlite_of(struct history *h)
{
    return CONTAINER_OF(h, struct sqlite_history, base);
}

enum err sqlite_err(int rc)
{
    static const struct {
        int code;
        enum err err;
    } rows[] = {
        {SQLITE_OK, OK},
        {SQLITE_DONE, OK},
        {SQLITE_FULL, ERR_FULL},
        {SQLITE_TOOBIG, ERR_LIMIT},
        {SQLITE_BUSY, ERR_BUSY},
        {SQLITE_LOCKED, ERR_BUSY},
        {SQLITE_CORRUPT, ERR_DAMAGED},
        {SQLITE_NOTADB, ERR_DAMAGED},
        {SQLITE_PERM, ERR_PERMISSION},
        {SQLITE_READONLY, ERR_PERMISSION},
        {SQLITE_CANTOPEN, ERR_IO},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].code == (rc & 0xff))
            return rows[i].err;
    return ERR_IO;
}

enum err sqlite_prepare(struct sqlite_side *side)
{
    side->statements = mem_zalloc_array(SQL_COUNT, sizeof(sqlite3_stmt *));
    for (size_t i = 0; i < SQL_COUNT; i++) {
        int rc = sqlite3_prepare_v3(side->db, sql_texts[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &side->statements[i], NULL);
        if (rc != SQLITE_OK)
            return rc == SQLITE_ERROR ? ERR_VERSION : sqlite_err(rc);
    }
    return OK;
}

void sqlite_finalize(struct sqlite_side *side)
{
    for (size_t i = 0; side->statements && i < SQL_COUNT; i++)
        sqlite3_finalize(side->statements[i]);
    mem_free(side->statements);
    if (side->db)
        CHECK(sqlite3_close(side->db) == SQLITE_OK);
    *side = (struct sqlite_side){0};
}

sqlite3_stmt *sqlite_get(struct sqlite_side *side, enum sqlite_sql sql)
{
    sqlite3_stmt *s = side->statements[sql];
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return s;
}

void sqlite_bind_text(sqlite3_stmt *s, int index, const char *text)
{
    CHECK(sqlite3_bind_text(s, index, text, -1, SQLITE_STATIC) == SQLITE_OK);
}

void sqlite_bind_u64(sqlite3_stmt *s, int index, uint64_t value)
{
    CHECK(sqlite3_bind_int64(s, index, (sqlite3_int64)value) == SQLITE_OK);
}

enum err sqlite_run(sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? ERR_INTERNAL : sqlite_err(rc);
}

/* One number, or `none` when there is no row; the statement is bound already. */
static enum err read_number(sqlite3_stmt *s, uint64_t none, uint64_t *out)
{
    int rc = sqlite3_step(s);
    uint64_t value = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : none;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sqlite_err(rc);
    *out = value;
    return OK;
}

enum err sqlite_meta(struct sqlite_side *side, const char *name, uint64_t *out)
{
    sqlite3_stmt *s = sqlite_get(side, SQL_META_GET);
    sqlite_bind_text(s, 1, name);
    return read_number(s, 0, out);
}

static enum err set_meta(struct sqlite_history *h, const char *name, uint64_t value)
{
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_META_SET);
    sqlite_bind_text(s, 1, name);
    sqlite_bind_u64(s, 2, value);
    return sqlite_run(s);
}

/* --- groups --- */

static enum err run(struct sqlite_history *h, enum sqlite_sql sql)
{
    return sqlite_run(sqlite_get(&h->writer, sql));
}

static enum err on_begin(struct history *base)
{
    struct sqlite_history *h = sqlite_of(base);
    TRY(run(h, SQL_BEGIN));
    h->record_version = h->committed_version;
    return OK;
}

static void on_abort(struct history *base)
{
    struct sqlite_history *h = sqlite_of(base);
    /* SQLITE_FULL and I/O errors may have rolled everything back already. */
    if (!sqlite3_get_autocommit(h->writer.db))
        IGNORE(run(h, SQL_ROLLBACK), "nothing was acknowledged; closing the file rolls back too");
    h->record_version = h->committed_version;
    record_page_fini(&h->touched);
}

static enum err on_mark(struct history *base)
{
    struct sqlite_history *h = sqlite_of(base);
    h->mark_version = h->record_version;
    return run(h, SQL_MARK);
}

static enum err on_keep(struct history *base)
{
    struct sqlite_history *h = sqlite_of(base);
    return run(h, SQL_KEEP);
}

static enum err on_undo(struct history *base)
{
    struct sqlite_history *h = sqlite_of(base);
    if (sqlite3_get_autocommit(h->writer.db))
        return ERR_IO;
    TRY(run(h, SQL_UNDO));
    h->record_version = h->mark_version;
    return run(h, SQL_KEEP);
}

static enum err on_find(struct history *base, const char *type, const char *id,
                        uint64_t *out_version)
{
    struct sqlite_history *h = sqlite_of(base);
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_FIND);
    sqlite_bind_text(s, 1, type);
    sqlite_bind_text(s, 2, id);
    return read_number(s, 0, out_version);
}

static enum err capacity_of(struct sqlite_history *h, const char *type, uint64_t *out)
{
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_CAPACITY);
    sqlite_bind_text(s, 1, type);
    return read_number(s, 0, out);
}

static enum err touch(struct sqlite_history *h, const char *type)
{
    for (size_t i = 0; i < h->touched.count; i++)
        if (strcmp(h->touched.items[i].type, type) == 0)
            return OK;
    uint64_t capacity = 0;
    TRY(capacity_of(h, type, &capacity));
    struct record_row r = {.type = type, .id = "", .version = capacity};
    record_page_add(&h->touched, &r);
    return OK;
}

static enum err on_put(struct history *base, const struct record_row *r, uint64_t *out_version)
{
    struct sqlite_history *h = sqlite_of(base);
    if (r->deleted_ms) {
        uint64_t before = 0;
        TRY(on_find(base, r->type, r->id, &before));
        if (!before) {
            *out_version = 0;
            return OK;
        }
    }
    uint64_t version = h->record_version + 1;
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_PUT);
    sqlite_bind_u64(s, 1, version);
    sqlite_bind_text(s, 2, r->type);
    sqlite_bind_text(s, 3, r->id);
    sqlite_bind_u64(s, 4, r->modified_ms);
    sqlite_bind_u64(s, 5, r->deleted_ms);
    if (!r->deleted_ms)
        CHECK(sqlite3_bind_blob(s, 6, r->data.len ? (const void *)r->data.ptr : "",
                                (int)r->data.len, SQLITE_STATIC) == SQLITE_OK);
    TRY(sqlite_run(s));
    h->record_version = version;
    *out_version = version;
    return touch(h, r->type);
}

static enum err bury_oldest(struct sqlite_history *h, const char *type, uint64_t now_ms)
{
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_OLDEST_ALIVE);
    sqlite_bind_text(s, 1, type);
    int rc = sqlite3_step(s);
    AUTO_FREE char *id =
        rc == SQLITE_ROW ? mem_strdup((const char *)sqlite3_column_text(s, 0)) : NULL;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW)
        return rc == SQLITE_DONE ? ERR_INTERNAL : sqlite_err(rc);
    struct record_row r = {.type = type, .id = id, .modified_ms = now_ms, .deleted_ms = now_ms};
    uint64_t version;
    return on_put(&h->base, &r, &version);
}

static enum err apply_capacities(struct sqlite_history *h, uint64_t now_ms)
{
    for (size_t i = 0; i < h->touched.count; i++) {
        uint64_t capacity = h->touched.items[i].version;
        uint64_t alive = 0;
        if (!capacity)
            continue;
        sqlite3_stmt *s = sqlite_get(&h->writer, SQL_COUNT_ALIVE);
        sqlite_bind_text(s, 1, h->touched.items[i].type);
        TRY(read_number(s, 0, &alive));
        for (; alive > capacity; alive--)
            TRY(bury_oldest(h, h->touched.items[i].type, now_ms));
    }
    return OK;
}

static enum err commit(struct sqlite_history *h, uint64_t now_ms)
{
    TRY(apply_capacities(h, now_ms));
    if (h->record_version != h->committed_version)
        TRY(set_meta(h, "record_version", h->record_version));
    return run(h, SQL_COMMIT);
}

static enum err on_commit(struct history *base, uint64_t now_ms)
{
    struct sqlite_history *h = sqlite_of(base);
    enum err e = commit(h, now_ms);
    if (e != OK) {
        on_abort(base);
        return e;
    }
    h->committed_version = h->record_version;
    record_page_fini(&h->touched);
    return OK;
}

/* --- between groups --- */

/* The expired records as a page of types and ids. */
static enum err list_expired(struct sqlite_history *h, uint64_t now_ms, struct record_page *out)
{
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_EXPIRED);
    sqlite_bind_u64(s, 1, now_ms);
    sqlite_bind_u64(s, 2, EXPIRE_BATCH);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct record_row r = {.type = (const char *)sqlite3_column_text(s, 0),
                               .id = (const char *)sqlite3_column_text(s, 1),
                               .modified_ms = now_ms,
                               .deleted_ms = now_ms};
        record_page_add(out, &r);
    }
    sqlite3_reset(s);
    return sqlite_err(rc);
}

static enum err bury_all(struct sqlite_history *h, const struct record_page *rows)
{
    uint64_t version;
    for (size_t i = 0; i < rows->count; i++)
        TRY(on_put(&h->base, &rows->items[i], &version));
    return OK;
}

static enum err on_expire(struct history *base, uint64_t now_ms, size_t *out_count)
{
    struct sqlite_history *h = sqlite_of(base);
    AUTO(record_page_fini) struct record_page rows = {0};
    TRY(list_expired(h, now_ms, &rows));
    *out_count = rows.count;
    if (rows.count == 0)
        return OK;
    TRY(on_begin(base));
    enum err e = bury_all(h, &rows);
    if (e != OK) {
        on_abort(base);
        return e;
    }
    return on_commit(base, now_ms);
}

static enum err trim(struct sqlite_history *h, uint64_t before_ms, uint64_t newest)
{
    uint64_t trimmed = 0;
    TRY(sqlite_meta(&h->writer, "trimmed_version", &trimmed));
    if (newest > trimmed)
        TRY(set_meta(h, "trimmed_version", newest));
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_TRIM);
    sqlite_bind_u64(s, 1, before_ms);
    return sqlite_run(s);
}

static enum err on_trim(struct history *base, uint64_t before_ms)
{
    struct sqlite_history *h = sqlite_of(base);
    uint64_t newest = 0;
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_TRIMMED);
    sqlite_bind_u64(s, 1, before_ms);
    TRY(read_number(s, 0, &newest));
    if (newest == 0)
        return OK;
    TRY(on_begin(base));
    enum err e = trim(h, before_ms, newest);
    if (e != OK) {
        on_abort(base);
        return e;
    }
    return on_commit(base, before_ms);
}

static enum err on_checkpoint(struct history *base, bool last)
{
    struct sqlite_history *h = sqlite_of(base);
    int log = 0;
    int done = 0;
    if (!last && h->wal_pages < WAL_PAGES_MAX)
        return OK;
    h->wal_pages = 0;
    int rc = sqlite3_wal_checkpoint_v2(
        h->writer.db, NULL, last ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE, &log,
        &done);
    /* A reader in the middle of a page: the next one gets further. */
    return rc == SQLITE_BUSY && !last ? OK : sqlite_err(rc);
}

static enum err on_set_options(struct history *base, const char *type,
                               const struct history_options *o)
{
    struct sqlite_history *h = sqlite_of(base);
    sqlite3_stmt *s = sqlite_get(&h->writer, SQL_SET_OPTIONS);
    sqlite_bind_text(s, 1, type);
    sqlite_bind_u64(s, 2, o->capacity);
    sqlite_bind_u64(s, 3, o->ttl_ms);
    sqlite_bind_text(s, 4, o->fields ? o->fields : "");
    return sqlite_run(s);
}

static void on_free(struct history *base)
{
    struct sqlite_history *h = sqlite_of(base);
    sqlite_finalize(&h->reader);
    sqlite_finalize(&h->writer);
    record_page_fini(&h->touched);
    if (h->lock_fd >= 0)
        close(h->lock_fd);
    mem_free(h->path);
    mem_free(h);
}

const struct history_ops sqlite_ops = {.free = on_free,
                                       .begin = on_begin,
                                       .mark = on_mark,
                                       .keep = on_keep,
                                       .undo = on_undo,
                                       .find = on_find,
                                       .put = on_put,
                                       .commit = on_commit,
                                       .abort = on_abort,
                                       .expire = on_expire,
                                       .trim = on_trim,
                                       .checkpoint = on_checkpoint,
                                       .set_options = on_set_options,
                                       .get = sqlite_on_get,
                                       .query = sqlite_on_query,
                                       .changes = sqlite_on_changes,
                                       .versions = sqlite_on_versions,
                                       .types = sqlite_on_types,
                                       .count = sqlite_on_count,
                                       .get_options = sqlite_on_get_options};
