/*
 * One history: records with one counter of versions, under one server_version. Two kinds stand
 * behind it, a SQLite file and memory, and one conformance suite tests both.
 *
 * Writing is done by one thread, in groups: begin, for each request mark … (keep or undo), then
 * commit. Nothing of a group is visible to readers before commit has returned OK. Reading is
 * done by one other thread. Every deletion leaves a tombstone, which keeps its version until
 * `trim`, so that whoever follows the changes learns of it.
 */
#ifndef DATABROKER_STORE_HISTORY_H
#define DATABROKER_STORE_HISTORY_H

#include "common/base/err.h"
#include "databroker/store/record.h"

struct history_options {
    uint64_t capacity; /* 0: without */
    uint64_t ttl_ms;   /* 0: without */
    char *fields;      /* indexable fields, one per line; may be NULL */
};

struct history_query {
    const char *type;
    uint64_t offset;
    uint64_t limit;
    size_t bytes_max; /* of the answer; it ends early, `total` is right nevertheless */
    bool (*match)(void *ctx, const struct record_row *r); /* NULL: all */
    void *ctx;
};

struct history_changes {
    const char *type; /* NULL: all */
    uint64_t after;   /* versions greater than this */
    bool alive;       /* no tombstones, and `after` may be anything */
    size_t count_max;
    size_t bytes_max; /* at least one row is given */
};

struct history;

struct history_ops {
    void (*free)(struct history *h);

    /* --- the writer --- */
    enum err (*begin)(struct history *h);
    enum err (*mark)(struct history *h);
    enum err (*keep)(struct history *h);
    /* Back to the mark. An error means that the group is lost: abort. */
    enum err (*undo)(struct history *h);
    /* The version of a live record, 0 when there is none; sees what the group has written. */
    enum err (*find)(struct history *h, const char *type, const char *id, uint64_t *out_version);
    /*
     * Writes a row under the next version, deletes when deleted_ms is set. Deleting what is not
     * there changes nothing and gives version 0.
     */
    enum err (*put)(struct history *h, const struct record_row *r, uint64_t *out_version);
    /* Applies the capacities of the types that were written, then makes the group last. */
    enum err (*commit)(struct history *h, uint64_t now_ms);
    void (*abort)(struct history *h);
    /* Deletes what is older than its type's ttl; between groups. Says how many. */
    enum err (*expire)(struct history *h, uint64_t now_ms, size_t *out_count);
    /* Forgets tombstones older than `before_ms`; between groups. */
    enum err (*trim)(struct history *h, uint64_t before_ms);
    /* Between groups: gives the log's space back. `last`: wholly, before the end. */
    enum err (*checkpoint)(struct history *h, bool last);
    enum err (*set_options)(struct history *h, const char *type, const struct history_options *o);

    /* --- the reader --- */
    /* ERR_NOT_FOUND. */
    enum err (*get)(struct history *h, const char *type, const char *id, struct record_page *out);
    /* Rows in the order of their ids. */
    enum err (*query)(struct history *h, const struct history_query *q, struct record_page *out);
    /*
     * Rows in the order of their versions. ERR_MISMATCH: `after` is older than the trimmed
     * tombstones or newer than the history; the page has the history's versions nevertheless.
     */
    enum err (*changes)(struct history *h, const struct history_changes *c,
                        struct record_page *out);
    /* server_version, record_version, and in `cursor` the newest version that was trimmed. */
    enum err (*versions)(struct history *h, struct record_page *out);
    /* One row per type that has a live record; only `type` is set. */
    enum err (*types)(struct history *h, struct record_page *out);
    /* Live records of a type. */
    enum err (*count)(struct history *h, const char *type, uint64_t *out);
    /* The caller frees fields. A type without options gives zeroes. */
    enum err (*get_options)(struct history *h, const char *type, struct history_options *out);
};

struct history {
    const struct history_ops *ops;
};

/* --- the kinds --- */

enum {
    /* Of a history in memory: beyond it writes are ERR_LIMIT, tombstones are forgotten early. */
    HISTORY_MEMORY_MAX = 256 << 20,
    HISTORY_TOMBSTONES_MAX = 200000,
};

/* `server_version` is random: another one after every start. */
struct history *history_memory_new(uint64_t server_version);

/*
 * DIR/databroker.sqlite3, made (0600, DIR 0700) when there is none, under `server_version` then.
 * Refused with a sentence in fresh memory: ERR_VERSION (of a newer Postern, of another program),
 * ERR_DAMAGED, ERR_BUSY (open in another process), ERR_IO, ERR_PERMISSION.
 */
enum err history_sqlite_open(const char *dir, uint64_t server_version, struct history **out,
                             char **out_why);

/* For tests: the file may not grow beyond so many pages. */
void history_sqlite_limit(struct history *h, uint64_t pages);

#endif
