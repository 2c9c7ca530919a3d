/*
 * What a process counts. The rows are in metrics.def and nowhere else; labels have closed sets of
 * values that stand there too, so what a peer sends can never become a label.
 *
 *     metrics_add(METRIC_SSH_LOGINS, 1, "denied");
 *     metrics_set(METRIC_SIGN_INS_WAITING, n);
 *     metrics_observe(METRIC_DECIDE_DURATION, metrics_clock_us() - asked_at_us);
 *
 * Any thread, at any time, never waits: cells are atomics. The registry is one per process, as the
 * log is, because what is counted happens everywhere in a daemon; pure folders keep plain numbers
 * in their structs, which their owner adds here.
 *
 * A value that is no member of the set counts as the set's last one, "other" in sets where that
 * can happen.
 */
#ifndef COMMON_DAEMON_METRICS_H
#define COMMON_DAEMON_METRICS_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/config/config.h"

enum metric {
#define M(id, ...) METRIC_##id,
#include "common/daemon/metrics.def"
#undef M
    METRIC_COUNT_,
};

enum {
    METRICS_CELLS_MAX = 8192,
    METRICS_LABELS_MAX = 2,
    METRICS_BUCKETS = 16,                          /* besides +Inf */
    METRICS_HISTOGRAM_CELLS = METRICS_BUCKETS + 2, /* cells: each bucket, +Inf, sum */
    METRICS_DENSE_MAX = 64, /* a row with more cells shows only those that were ever touched */
};

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE, METRICS_HISTOGRAM, METRICS_INFO };

/* What one step of a cell means; times are shown in seconds. */
enum metrics_unit { METRICS_ONE, METRICS_BYTES, METRICS_SECONDS, METRICS_MS, METRICS_US };

struct metrics_row {
    const char *name;
    enum metrics_kind kind;
    enum metrics_unit unit;
    unsigned services;  /* enum config_service bits: who shows it */
    const char *labels; /* "", "result=a|b" or "result=a|b;protocol=ssh|tcp" */
    const char *help;
};

#define METRICS_VALUES(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL, NULL})
#define metrics_add(metric, n, ...) metrics_add_at((metric), (n), METRICS_VALUES(__VA_ARGS__))
#define metrics_set(metric, value, ...)                                                            \
    metrics_set_at((metric), (value), METRICS_VALUES(__VA_ARGS__))
#define metrics_observe(metric, value, ...)                                                        \
    metrics_observe_at((metric), (value), METRICS_VALUES(__VA_ARGS__))
#define metrics_get(metric, ...) metrics_get_at((metric), METRICS_VALUES(__VA_ARGS__))

/* `values` has METRICS_LABELS_MAX entries, in the order of the row's labels. */
void metrics_add_at(enum metric m, uint64_t n, const char *const *values);
void metrics_set_at(enum metric m, int64_t value, const char *const *values);
void metrics_observe_at(enum metric m, uint64_t value, const char *const *values);

/* A counter or gauge as it is; of a histogram, how many were observed. */
int64_t metrics_get_at(enum metric m, const char *const *values);

/* Monotonic microseconds of this moment, for what is observed. */
uint64_t metrics_clock_us(void);

/* --- for the endpoint --- */

/* Cells in the order of the rows: values, and which were ever touched. */
struct metrics_cells {
    int64_t values[METRICS_CELLS_MAX];
    bool touched[METRICS_CELLS_MAX];
};

/* Adds what this process has counted to *out. */
void metrics_collect(struct metrics_cells *out);

/* Adds `from` to *into. */
void metrics_merge(const struct metrics_cells *from, struct metrics_cells *into);

const struct metrics_row *metrics_rows(size_t *out_count);

/* How many cells a row has. */
size_t metrics_row_cells(const struct metrics_row *row);

struct metrics_page {
    const struct metrics_row *rows;
    size_t count;
    unsigned services; /* rows of others are left out */
    const char *service;
    const char *version;
};

/* Prometheus' text format 0.0.4. Pure. ERR_LIMIT when `out` is full. */
enum err metrics_write(const struct metrics_page *page, const struct metrics_cells *cells,
                       struct buf *out);

/*
 * The touched cells as bytes, from one process to another of the same program. Appends to `out`;
 * parse adds to *out (and leaves it as it was on ERR_SYNTAX, the only error).
 */
enum err metrics_pack(const struct metrics_cells *cells, struct buf *out);
enum err metrics_unpack(struct view bytes, struct metrics_cells *out);

#endif
