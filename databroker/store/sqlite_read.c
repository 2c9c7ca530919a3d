#include "common/base/mem.h"
#include "databroker/store/sqlite.h"

/* Ends the reader's transaction, which a read cannot fail on any more. */
static void end_read(struct sqlite_history *h)
{
    IGNORE(sqlite_run(sqlite_get(&h->reader, SQL_COMMIT)), "nothing was written");
}

/* Opens a snapshot and says of which version it is. */
static enum err begin_read(struct sqlite_history *h, struct record_page *out)
{
    TRY(sqlite_run(sqlite_get(&h->reader, SQL_READ_BEGIN)));
    uint64_t version = 0;
    enum err e = sqlite_meta(&h->reader, "record_version", &version);
    if (e != OK) {
        end_read(h);
        return e;
    }
    out->server_version = h->server_version;
    out->record_version = version;
    return OK;
}

static struct record_row row_of(sqlite3_stmt *s)
{
    return (struct record_row){
        .version = (uint64_t)sqlite3_column_int64(s, 0),
        .type = (const char *)sqlite3_column_text(s, 1),
        .id = (const char *)sqlite3_column_text(s, 2),
        .modified_ms = (uint64_t)sqlite3_column_int64(s, 3),
        .deleted_ms = (uint64_t)sqlite3_column_int64(s, 4),
        .data = view_of(sqlite3_column_blob(s, 5), (size_t)sqlite3_column_bytes(s, 5)),
    };
}

static enum err read_one(struct sqlite_history *h, const char *type, const char *id,
                         struct record_page *out)
{
    sqlite3_stmt *s = sqlite_get(&h->reader, SQL_GET);
    sqlite_bind_text(s, 1, type);
    sqlite_bind_text(s, 2, id);
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW) {
        struct record_row r = row_of(s);
        record_page_add(out, &r);
    }
    sqlite3_reset(s);
    return rc == SQLITE_DONE ? ERR_NOT_FOUND : rc == SQLITE_ROW ? OK : sqlite_err(rc);
}

enum err sqlite_on_get(struct history *base, const char *type, const char *id,
                       struct record_page *out)
{
    struct sqlite_history *h = sqlite_of(base);
    TRY(begin_read(h, out));
    enum err e = read_one(h, type, id, out);
    end_read(h);
    return e;
}

static enum err read_query(struct sqlite_history *h, const struct history_query *q,
                           struct record_page *out)
{
    sqlite3_stmt *s = sqlite_get(&h->reader, SQL_QUERY);
    sqlite_bind_text(s, 1, q->type);
    bool full = false;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct record_row r = row_of(s);
        if (q->match && !q->match(q->ctx, &r))
            continue;
        uint64_t index = out->total++;
        if (index < q->offset || out->count >= q->limit || full)
            continue;
        full = out->count && out->bytes + record_size(&r) > q->bytes_max;
        if (!full)
            record_page_add(out, &r);
    }
    sqlite3_reset(s);
    return sqlite_err(rc);
}

enum err sqlite_on_query(struct history *base, const struct history_query *q,
                         struct record_page *out)
{
    struct sqlite_history *h = sqlite_of(base);
    TRY(begin_read(h, out));
    enum err e = read_query(h, q, out);
    end_read(h);
    return e;
}

static enum err read_changes(struct sqlite_history *h, const struct history_changes *c,
                             struct record_page *out)
{
    uint64_t trimmed = 0;
    TRY(sqlite_meta(&h->reader, "trimmed_version", &trimmed));
    if (!c->alive && (c->after < trimmed || c->after > out->record_version))
        return ERR_MISMATCH;
    sqlite3_stmt *s = sqlite_get(&h->reader, c->type ? SQL_CHANGES_TYPE : SQL_CHANGES);
    sqlite_bind_u64(s, 1, c->after);
    sqlite_bind_u64(s, 2, c->alive);
    if (c->type)
        sqlite_bind_text(s, 3, c->type);
    out->cursor = c->after;
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct record_row r = row_of(s);
        out->more = out->count == c->count_max ||
                    (out->count && out->bytes + record_size(&r) > c->bytes_max);
        if (out->more)
            break;
        record_page_add(out, &r);
        out->cursor = r.version;
    }
    sqlite3_reset(s);
    if (rc == SQLITE_DONE)
        out->cursor = out->record_version;
    return rc == SQLITE_ROW ? OK : sqlite_err(rc);
}

enum err sqlite_on_changes(struct history *base, const struct history_changes *c,
                           struct record_page *out)
{
    struct sqlite_history *h = sqlite_of(base);
    TRY(begin_read(h, out));
    enum err e = read_changes(h, c, out);
    end_read(h);
    return e;
}

enum err sqlite_on_versions(struct history *base, struct record_page *out)
{
    struct sqlite_history *h = sqlite_of(base);
    TRY(begin_read(h, out));
    enum err e = sqlite_meta(&h->reader, "trimmed_version", &out->cursor);
    end_read(h);
    return e;
}

enum err sqlite_on_types(struct history *base, struct record_page *out)
{
    struct sqlite_history *h = sqlite_of(base);
    sqlite3_stmt *s = sqlite_get(&h->reader, SQL_TYPES);
    int rc;
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct record_row r = {.type = (const char *)sqlite3_column_text(s, 0), .id = ""};
        record_page_add(out, &r);
    }
    sqlite3_reset(s);
    return sqlite_err(rc);
}

enum err sqlite_on_count(struct history *base, const char *type, uint64_t *out)
{
    struct sqlite_history *h = sqlite_of(base);
    sqlite3_stmt *s = sqlite_get(&h->reader, SQL_COUNT_ALIVE);
    sqlite_bind_text(s, 1, type);
    int rc = sqlite3_step(s);
    uint64_t count = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(s, 0) : 0;
    sqlite3_reset(s);
    if (rc != SQLITE_ROW)
        return sqlite_err(rc);
    *out = count;
    return OK;
}

enum err sqlite_on_get_options(struct history *base, const char *type, struct history_options *out)
{
    struct sqlite_history *h = sqlite_of(base);
    sqlite3_stmt *s = sqlite_get(&h->reader, SQL_GET_OPTIONS);
    sqlite_bind_text(s, 1, type);
    int rc = sqlite3_step(s);
    struct history_options o = {0};
    if (rc == SQLITE_ROW) {
        o.capacity = (uint64_t)sqlite3_column_int64(s, 0);
        o.ttl_ms = (uint64_t)sqlite3_column_int64(s, 1);
        o.fields = mem_strdup((const char *)sqlite3_column_text(s, 2));
    }
    sqlite3_reset(s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return sqlite_err(rc);
    *out = o;
    return OK;
}
