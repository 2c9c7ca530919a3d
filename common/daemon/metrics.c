#include "common/daemon/metrics.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/wire.h"
#include "common/daemon/metrics_parts.h"

static const struct metrics_row rows[METRIC_COUNT_] = {
#define M(id, kind, unit, services, name, labels, help)                                            \
    [METRIC_##id] = {name, METRICS_##kind, METRICS_##unit, services, labels, help},
#include "common/daemon/metrics.def"
#undef M
};

static size_t first[METRIC_COUNT_ + 1]; /* cell of each row */
static pthread_once_t placed = PTHREAD_ONCE_INIT;
static _Atomic int64_t values[METRICS_CELLS_MAX];
static _Atomic bool touched[METRICS_CELLS_MAX];

const struct metrics_row *metrics_rows(size_t *out_count)
{
    *out_count = ARRAY_LEN(rows);
    return rows;
}

/* --- rows --- */

bool metrics_next_label(struct view *rest, struct metrics_label *out)
{
    struct view label;
    if (!rest->len || !view_next(rest, ';', &label))
        return false;
    ptrdiff_t at = view_find(label, '=');
    CHECK(at > 0);
    out->name = view_take(label, (size_t)at);
    out->values = view_skip(label, (size_t)at + 1);
    out->count = 1;
    for (size_t i = 0; i < out->values.len; i++)
        out->count += out->values.ptr[i] == '|';
    return true;
}

size_t metrics_row_cells(const struct metrics_row *row)
{
    struct view rest = view_str(row->labels);
    struct metrics_label label;
    size_t count = row->kind == METRICS_HISTOGRAM ? METRICS_HISTOGRAM_CELLS : 1;
    while (metrics_next_label(&rest, &label))
        count *= label.count;
    return count;
}

static void place(void)
{
    for (size_t i = 0; i < METRIC_COUNT_; i++)
        first[i + 1] = first[i] + metrics_row_cells(&rows[i]);
    CHECK(first[METRIC_COUNT_] <= METRICS_CELLS_MAX);
}

/* The position of a value; the last one for what is not there. */
static size_t position(const struct metrics_label *label, const char *value)
{
    struct view rest = label->values, word;
    struct view wanted = view_str(value);
    size_t i = 0;
    while (i + 1 < label->count && view_next(&rest, '|', &word) && !view_eq(word, wanted))
        i++;
    return i;
}

/* The first cell of these values. */
static size_t find(enum metric m, const char *const *given)
{
    CHECK(m < METRIC_COUNT_);
    CHECK(pthread_once(&placed, place) == 0);
    struct view rest = view_str(rows[m].labels);
    struct metrics_label label;
    size_t at = 0;
    for (size_t i = 0; metrics_next_label(&rest, &label); i++)
        at = at * label.count + position(&label, given[i]);
    return first[m] + at * (rows[m].kind == METRICS_HISTOGRAM ? METRICS_HISTOGRAM_CELLS : 1);
}

static void bump(size_t cell, int64_t n)
{
    (void)atomic_fetch_add_explicit(&values[cell], n, memory_order_relaxed);
    if (!atomic_load_explicit(&touched[cell], memory_order_relaxed))
        atomic_store_explicit(&touched[cell], true, memory_order_relaxed);
}

/* --- counting --- */

void metrics_add_at(enum metric m, uint64_t n, const char *const *given)
{
    bump(find(m, given), (int64_t)n);
}

void metrics_set_at(enum metric m, int64_t value, const char *const *given)
{
    size_t cell = find(m, given);
    atomic_store_explicit(&values[cell], value, memory_order_relaxed);
    atomic_store_explicit(&touched[cell], true, memory_order_relaxed);
}

void metrics_observe_at(enum metric m, uint64_t value, const char *const *given)
{
    size_t cell = find(m, given);
    CHECK(rows[m].kind == METRICS_HISTOGRAM);
    bump(cell + metrics_bucket(rows[m].unit, value), 1);
    bump(cell + METRICS_BUCKETS + 1, (int64_t)value);
}

int64_t metrics_get_at(enum metric m, const char *const *given)
{
    size_t cell = find(m, given);
    if (rows[m].kind != METRICS_HISTOGRAM)
        return atomic_load_explicit(&values[cell], memory_order_relaxed);
    int64_t count = 0;
    for (size_t i = 0; i <= METRICS_BUCKETS; i++)
        count += atomic_load_explicit(&values[cell + i], memory_order_relaxed);
    return count;
}

uint64_t metrics_clock_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

void metrics_collect(struct metrics_cells *out)
{
    CHECK(pthread_once(&placed, place) == 0);
    for (size_t i = 0; i < first[METRIC_COUNT_]; i++) {
        out->values[i] += atomic_load_explicit(&values[i], memory_order_relaxed);
        out->touched[i] |= atomic_load_explicit(&touched[i], memory_order_relaxed);
    }
}

void metrics_merge(const struct metrics_cells *from, struct metrics_cells *into)
{
    for (size_t i = 0; i < METRICS_CELLS_MAX; i++) {
        into->values[i] = (int64_t)((uint64_t)into->values[i] + (uint64_t)from->values[i]);
        into->touched[i] |= from->touched[i];
    }
}

/* --- from one process to another: u32 cell, u64 value --- */

enum { PACKED = 12 };

enum err metrics_pack(const struct metrics_cells *cells, struct buf *out)
{
    struct writer w = writer_to(out);
    for (size_t i = 0; i < METRICS_CELLS_MAX; i++) {
        if (!cells->touched[i])
            continue;
        write_u32(&w, (uint32_t)i);
        write_u64(&w, (uint64_t)cells->values[i]);
    }
    return writer_done(&w);
}

enum err metrics_unpack(struct view bytes, struct metrics_cells *out)
{
    if (bytes.len % PACKED)
        return ERR_SYNTAX;
    for (size_t at = 0; at < bytes.len; at += PACKED) {
        if (load_u32(bytes.ptr + at) >= METRICS_CELLS_MAX)
            return ERR_SYNTAX;
    }
    for (size_t at = 0; at < bytes.len; at += PACKED) {
        size_t cell = load_u32(bytes.ptr + at);
        uint64_t sum = (uint64_t)out->values[cell] + load_u64(bytes.ptr + at + 4);
        out->values[cell] = (int64_t)sum;
        out->touched[cell] = true;
    }
    return OK;
}
