/* From cells to Prometheus' text format 0.0.4. Pure. */
#include <stdio.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/metrics_parts.h"

enum { LABELS_TEXT_MAX = 512 };

/* What a histogram's buckets end with: microseconds, or a number of things. */
static const struct {
    uint64_t bound;
    const char *text;
} durations[METRICS_BUCKETS] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},
    {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};
static const uint16_t sizes[METRICS_BUCKETS] = {1,  2,  3,  4,  6,   8,   12,  16,
                                                24, 32, 64, 96, 128, 256, 512, 1000};

static bool is_time(enum metrics_unit unit)
{
    return unit == METRICS_US || unit == METRICS_MS;
}

size_t metrics_bucket(enum metrics_unit unit, uint64_t value)
{
    if (unit == METRICS_MS)
        value = value > UINT64_MAX / 1000 ? UINT64_MAX : value * 1000;
    size_t i = 0;
    while (i < METRICS_BUCKETS && value > (is_time(unit) ? durations[i].bound : sizes[i]))
        i++;
    return i;
}

/* Help texts escape backslash and newline, label values the double quote as well. */
static enum err write_escaped(struct view text, bool quotes, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (c == '\n') {
            TRY(buf_append_str(out, "\\n"));
            continue;
        }
        if (c == '\\' || (quotes && c == '"'))
            TRY(buf_append_u8(out, '\\'));
        TRY(buf_append_u8(out, c));
    }
    return OK;
}

/* An exact decimal: no binary fraction is in between. */
static enum err write_value(int64_t value, enum metrics_unit unit, struct buf *out)
{
    uint64_t scale = unit == METRICS_US ? 1000000 : unit == METRICS_MS ? 1000 : 1;
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    TRY(buf_printf(out, " %s%llu", value < 0 ? "-" : "", (unsigned long long)(size / scale)));
    uint64_t part = size % scale;
    if (part) {
        TRY(buf_append_u8(out, '.'));
        for (uint64_t digit = scale / 10; digit && part; digit /= 10) {
            TRY(buf_append_u8(out, (uint8_t)('0' + part / digit)));
            part %= digit;
        }
    }
    return buf_append_u8(out, '\n');
}

static enum err write_label(struct view name, struct view value, struct buf *out)
{
    TRY(buf_printf(out, "%s%.*s=\"", out->len ? "," : "", VIEW_FMT(name)));
    TRY(write_escaped(value, true, out));
    return buf_append_u8(out, '"');
}

/* The labels of a row's combination `index`, the last label varying fastest. */
static enum err write_labels(const struct metrics_row *row, size_t index, struct buf *out)
{
    struct metrics_label labels[METRICS_LABELS_MAX];
    struct view rest = view_str(row->labels);
    size_t count = 0, chosen[METRICS_LABELS_MAX];
    while (count < METRICS_LABELS_MAX && metrics_next_label(&rest, &labels[count]))
        count++;
    for (size_t i = count; i-- > 0;) {
        chosen[i] = index % labels[i].count;
        index /= labels[i].count;
    }
    for (size_t i = 0; i < count; i++) {
        struct view values = labels[i].values, word = {0};
        for (size_t k = 0; k <= chosen[i]; k++)
            CHECK(view_next(&values, '|', &word));
        TRY(write_label(labels[i].name, word, out));
    }
    return OK;
}

/* "NAME SUFFIX {LABELS}": `more` is one label more, such as le. */
static enum err write_name(const char *name, const char *suffix, struct view labels,
                           const char *more, struct buf *out)
{
    TRY(buf_printf(out, "%s%s", name, suffix));
    if (!labels.len && !*more)
        return OK;
    return buf_printf(out, "{%.*s%s%s}", VIEW_FMT(labels), labels.len && *more ? "," : "", more);
}

static enum err write_histogram(const struct metrics_row *row, const int64_t *cells,
                                struct view labels, struct buf *out)
{
    int64_t total = 0;
    for (size_t i = 0; i <= METRICS_BUCKETS; i++) {
        char le[32];
        total += cells[i];
        if (i == METRICS_BUCKETS)
            (void)snprintf(le, sizeof le, "le=\"+Inf\"");
        else if (is_time(row->unit))
            (void)snprintf(le, sizeof le, "le=\"%s\"", durations[i].text);
        else
            (void)snprintf(le, sizeof le, "le=\"%u\"", sizes[i]);
        TRY(write_name(row->name, "_bucket", labels, le, out));
        TRY(write_value(total, METRICS_ONE, out));
    }
    TRY(write_name(row->name, "_sum", labels, "", out));
    TRY(write_value(cells[METRICS_BUCKETS + 1], row->unit, out));
    TRY(write_name(row->name, "_count", labels, "", out));
    return write_value(total, METRICS_ONE, out);
}

static enum err write_info(const struct metrics_page *page, const struct metrics_row *row,
                           struct buf *out)
{
    AUTO(buf_fini) struct buf labels;
    buf_init(&labels, LABELS_TEXT_MAX);
    TRY(write_label(VIEW("service"), view_str(page->service), &labels));
    TRY(write_label(VIEW("version"), view_str(page->version), &labels));
    TRY(write_name(row->name, "", buf_view(&labels), "", out));
    return write_value(1, METRICS_ONE, out);
}

static bool is_touched(const bool *touched, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= touched[i];
    return any;
}

/* Counters begin at 0, so that their first step is seen; a gauge that nobody sets is not there. */
static bool shows_untouched(const struct metrics_row *row)
{
    if (row->kind == METRICS_GAUGE)
        return false;
    return metrics_row_cells(row) <= METRICS_DENSE_MAX;
}

static enum err write_row(const struct metrics_page *page, const struct metrics_row *row,
                          const struct metrics_cells *cells, size_t first, struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram", "gauge"};
    size_t each = row->kind == METRICS_HISTOGRAM ? METRICS_HISTOGRAM_CELLS : 1;
    size_t count = metrics_row_cells(row);
    if (row->kind == METRICS_GAUGE && !is_touched(cells->touched + first, count))
        return OK;
    TRY(buf_printf(out, "# HELP %s ", row->name));
    TRY(write_escaped(view_str(row->help), false, out));
    TRY(buf_printf(out, "\n# TYPE %s %s\n", row->name, types[row->kind]));
    if (row->kind == METRICS_INFO)
        return write_info(page, row, out);
    for (size_t i = 0; i < count; i += each) {
        if (!shows_untouched(row) && !is_touched(cells->touched + first + i, each))
            continue;
        AUTO(buf_fini) struct buf labels;
        buf_init(&labels, LABELS_TEXT_MAX);
        TRY(write_labels(row, i / each, &labels));
        if (row->kind == METRICS_HISTOGRAM) {
            TRY(write_histogram(row, cells->values + first + i, buf_view(&labels), out));
            continue;
        }
        TRY(write_name(row->name, "", buf_view(&labels), "", out));
        TRY(write_value(cells->values[first + i], row->unit, out));
    }
    return OK;
}

enum err metrics_write(const struct metrics_page *page, const struct metrics_cells *cells,
                       struct buf *out)
{
    size_t first = 0;
    for (size_t i = 0; i < page->count; i++) {
        const struct metrics_row *row = &page->rows[i];
        if (row->services & page->services)
            TRY(write_row(page, row, cells, first, out));
        first += metrics_row_cells(row);
    }
    return OK;
}
