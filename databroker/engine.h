/*
 * The store's two threads. The writer drains its queue into one transaction, answers after the
 * commit and gives the log's space back between groups; the reader does one read after the other.
 * Results and the news of changes come on the loop. Without a network: used on the loop's thread.
 */
#ifndef DATABROKER_ENGINE_H
#define DATABROKER_ENGINE_H

#include "common/io/loop.h"
#include "databroker/store/store.h"

enum {
    ENGINE_PUTS_MAX = 10000,     /* waiting; more are refused */
    ENGINE_BYTES_MAX = 64 << 20, /* of those */
    ENGINE_READS_MAX = 10000,
};

struct engine;

enum engine_kind { ENGINE_WORK, ENGINE_PUT, ENGINE_READ };

/* Work for one of the threads: `run` there, then `done` on the loop, which frees it. */
struct engine_job {
    enum engine_kind kind; /* set by the engine */
    void (*run)(struct engine_job *job, struct store *store);
    void (*done)(struct engine_job *job);
    struct engine_job *next;
};

/* A request to write, part of a group; base.run is not used. */
struct engine_put {
    struct engine_job base;
    struct store_put put;
    struct record_page rows; /* what put.rows points at */
    uint64_t server_version; /* result: of the durable history when it was touched */
};

struct engine_config {
    struct loop *loop;
    struct store *store; /* taken over */
    void *ctx;
    /* After a commit: whoever follows the changes of a history reads on. */
    void (*on_changed)(void *ctx, struct store_changed changed);
    /* The storage failed (ERR_…) or works again (OK); each once. */
    void (*on_storage)(void *ctx, enum err e);
};

struct engine *engine_open(const struct engine_config *config);

/*
 * Does what is queued, answers it, ends the threads, closes the store, then calls `closed` on the
 * loop.
 */
void engine_close(struct engine *e, loop_fn closed, void *ctx);

/* The store's constants: which history a type lives in. Reads go through engine_read. */
struct store *engine_store(struct engine *e);

/* Takes the request over: put.rows, count, expected, versions and rows are filled. ERR_BUSY: not.
 */
enum err engine_put(struct engine *e, struct engine_put *put);

/* Takes the job over. ERR_BUSY: not. */
enum err engine_read(struct engine *e, struct engine_job *job);

/* Sets the gauges of what waits. */
void engine_measure(const struct engine *e);

/* A job for the writer, between groups. */
void engine_write(struct engine *e, struct engine_job *job);

#endif
