#include "common/daemon/metrics.h"

#include "common/base/mem.h"
#include "common/daemon/metrics_parts.h"
#include "tests/support/test.h"

static const struct metrics_row sample[] = {
    {"things_total", METRICS_COUNTER, METRICS_ONE, CONFIG_PROXY, "result=good|bad;way=in|out",
     "Things \\ and\nmore"},
    {"queue", METRICS_GAUGE, METRICS_ONE, CONFIG_PROXY, "", "Waiting"},
    {"others_total", METRICS_COUNTER, METRICS_ONE, CONFIG_AUTHORIZE, "", "Of another service"},
    {"wait_seconds", METRICS_HISTOGRAM, METRICS_US, CONFIG_PROXY, "way=in", "How long"},
    {"group_size", METRICS_HISTOGRAM, METRICS_ONE, CONFIG_PROXY, "", "How many"},
    {"info", METRICS_INFO, METRICS_ONE, CONFIG_PROXY, "", "What"},
    {"past_seconds", METRICS_GAUGE, METRICS_MS, CONFIG_PROXY, "", "When"},
};

static const struct metrics_page page = {.rows = sample,
                                         .count = ARRAY_LEN(sample),
                                         .services = CONFIG_PROXY,
                                         .service = "pro\"xy",
                                         .version = "1\\2"};

static char *render(const struct metrics_cells *cells)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1 << 20);
    CHECK_OK(metrics_write(&page, cells, &b));
    return buf_to_str(&b);
}

static void expect(const char *text, const char *line)
{
    AUTO_FREE char *whole = mem_printf("\n%s\n", line);
    AUTO_FREE char *padded = mem_printf("\n%s", text);
    if (!strstr(padded, whole))
        fail_msg("no line \"%s\" in:\n%s", line, text);
}

static void refuse(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in:\n%s", part, text);
}

static void test_page(void **state)
{
    (void)state;
    AUTO_FREE struct metrics_cells *cells = mem_zalloc(sizeof *cells);
    AUTO_FREE char *zero = render(cells);
    /* Counters and histograms are there from the start, a gauge when somebody sets it. */
    expect(zero, "# HELP things_total Things \\\\ and\\nmore");
    expect(zero, "# TYPE things_total counter");
    expect(zero, "things_total{result=\"good\",way=\"in\"} 0");
    expect(zero, "things_total{result=\"bad\",way=\"out\"} 0");
    expect(zero, "group_size_count 0");
    expect(zero, "info{service=\"pro\\\"xy\",version=\"1\\\\2\"} 1");
    expect(zero, "# TYPE info gauge");
    refuse(zero, "queue");
    refuse(zero, "others");
    size_t queue = metrics_row_cells(&sample[0]);
    assert_int_equal(queue, 4);
    cells->values[2] = 7; /* bad, in */
    cells->values[queue] = -3;
    cells->touched[queue] = true;
    AUTO_FREE char *text = render(cells);
    expect(text, "things_total{result=\"bad\",way=\"in\"} 7");
    expect(text, "queue -3");
}

static void test_histogram(void **state)
{
    (void)state;
    AUTO_FREE struct metrics_cells *cells = mem_zalloc(sizeof *cells);
    size_t at = metrics_row_cells(&sample[0]) + 2;
    static const uint64_t values[] = {0, 100, 101, 1000, 9999999, 10000000, 10000001, 3000000};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        cells->values[at + metrics_bucket(METRICS_US, values[i])]++;
        cells->values[at + METRICS_BUCKETS + 1] += (int64_t)values[i];
    }
    size_t sizes = at + METRICS_HISTOGRAM_CELLS;
    cells->values[sizes + metrics_bucket(METRICS_ONE, 5)] = 1;
    cells->values[sizes + METRICS_BUCKETS + 1] = 5;
    size_t past = sizes + METRICS_HISTOGRAM_CELLS + 1;
    cells->values[past] = 1700000000250;
    cells->touched[past] = true;
    AUTO_FREE char *text = render(cells);
    expect(text, "# TYPE wait_seconds histogram");
    expect(text, "wait_seconds_bucket{way=\"in\",le=\"0.0001\"} 2");
    expect(text, "wait_seconds_bucket{way=\"in\",le=\"0.00025\"} 3");
    expect(text, "wait_seconds_bucket{way=\"in\",le=\"0.001\"} 4");
    expect(text, "wait_seconds_bucket{way=\"in\",le=\"5\"} 5");
    expect(text, "wait_seconds_bucket{way=\"in\",le=\"10\"} 7");
    expect(text, "wait_seconds_bucket{way=\"in\",le=\"+Inf\"} 8");
    expect(text, "wait_seconds_sum{way=\"in\"} 33.001201");
    expect(text, "wait_seconds_count{way=\"in\"} 8");
    expect(text, "group_size_bucket{le=\"4\"} 0");
    expect(text, "group_size_bucket{le=\"6\"} 1");
    expect(text, "group_size_bucket{le=\"+Inf\"} 1");
    expect(text, "group_size_sum 5");
    expect(text, "past_seconds 1700000000.25");
    assert_int_equal(metrics_bucket(METRICS_MS, UINT64_MAX), METRICS_BUCKETS);
    assert_int_equal(metrics_bucket(METRICS_MS, 1), 3);
}

static void test_full(void **state)
{
    (void)state;
    AUTO_FREE struct metrics_cells *cells = mem_zalloc(sizeof *cells);
    AUTO_FREE char *text = render(cells);
    for (size_t max = 0; max < strlen(text); max += 7) {
        AUTO(buf_fini) struct buf b;
        buf_init(&b, max);
        assert_int_equal(metrics_write(&page, cells, &b), ERR_LIMIT);
    }
}

/* --- the registry --- */

static void test_registry(void **state)
{
    (void)state;
    metrics_add(METRIC_CONFIG_RELOADS, 2, "taken");
    metrics_add(METRIC_CONFIG_RELOADS, 1, "refused");
    assert_int_equal(metrics_get(METRIC_CONFIG_RELOADS, "taken"), 2);
    assert_int_equal(metrics_get(METRIC_CONFIG_RELOADS, "refused"), 1);
    /* What is no member counts as the last one. */
    metrics_set(METRIC_HEALTH, 1, "of a peer's\"} making");
    assert_int_equal(metrics_get(METRIC_HEALTH, "other"), 1);
    assert_int_equal(metrics_get(METRIC_HEALTH, "config"), 0);
    metrics_set(METRIC_HEALTH, -1, "config");
    assert_int_equal(metrics_get(METRIC_HEALTH, "config"), -1);
    uint64_t before = metrics_clock_us();
    assert_true(metrics_clock_us() >= before);
}

static void test_pack(void **state)
{
    (void)state;
    AUTO_FREE struct metrics_cells *mine = mem_zalloc(sizeof *mine);
    AUTO_FREE struct metrics_cells *sum = mem_zalloc(sizeof *sum);
    AUTO(buf_fini) struct buf b;
    buf_init(&b, 1 << 20);
    mine->values[3] = -5;
    mine->values[METRICS_CELLS_MAX - 1] = INT64_MAX;
    mine->touched[3] = mine->touched[METRICS_CELLS_MAX - 1] = true;
    CHECK_OK(metrics_pack(mine, &b));
    assert_int_equal(b.len, 24);
    sum->values[3] = 7;
    CHECK_OK(metrics_unpack(buf_view(&b), sum));
    assert_int_equal(sum->values[3], 2);
    assert_true(sum->touched[3] && !sum->touched[4]);
    assert_true(sum->values[METRICS_CELLS_MAX - 1] == INT64_MAX);
    /* Sums wrap; a cell that is not there and half an entry change nothing. */
    CHECK_OK(metrics_unpack(buf_view(&b), sum));
    assert_int_equal(sum->values[3], -3);
    for (size_t len = 1; len < b.len; len++) {
        if (len % 12)
            assert_int_equal(metrics_unpack(view_take(buf_view(&b), len), sum), ERR_SYNTAX);
    }
    uint8_t bad[24] = {0};
    bad[11] = 1;
    bad[13] = 1; /* cell 0x10000 */
    assert_int_equal(metrics_unpack(view_of(bad, sizeof bad), sum), ERR_SYNTAX);
    assert_int_equal(sum->values[0], 0);
    CHECK_OK(metrics_unpack(VIEW(""), sum));
}

/* --- the table --- */

static bool ends_with(const char *s, const char *end)
{
    return view_ends_with(view_str(s), view_of(end, strlen(end)));
}

static bool is_name(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        if (!(c >= 'a' && c <= 'z') && c != '_' && !(i && c >= '0' && c <= '9'))
            return false;
    }
    return v.len > 0;
}

static void test_table(void **state)
{
    (void)state;
    size_t count, cells = 0;
    const struct metrics_row *rows = metrics_rows(&count);
    for (size_t i = 0; i < count; i++) {
        const struct metrics_row *r = &rows[i];
        bool is_time = r->unit == METRICS_US || r->unit == METRICS_MS || r->unit == METRICS_SECONDS;
        bool timestamp = ends_with(r->name, "_timestamp"); /* Pomerium's */
        if (!is_name(view_str(r->name)) || !*r->help || !(r->services & CONFIG_DAEMONS))
            fail_msg("row %s is not complete", r->name);
        if ((r->kind == METRICS_COUNTER) != ends_with(r->name, "_total"))
            fail_msg("%s: _total is for counters", r->name);
        if (is_time && !timestamp && !strstr(r->name, "_seconds"))
            fail_msg("%s: no _seconds in it", r->name);
        if ((r->unit == METRICS_BYTES) != (strstr(r->name, "_bytes") != NULL))
            fail_msg("%s: _bytes is for bytes", r->name);
        struct view rest = view_str(r->labels), values, word;
        struct metrics_label label;
        size_t labels = 0;
        while (metrics_next_label(&rest, &label)) {
            assert_true(is_name(label.name));
            values = label.values;
            while (view_next(&values, '|', &word))
                assert_true(word.len > 0 && word.len < 40);
            labels++;
        }
        assert_true(labels <= METRICS_LABELS_MAX);
        cells += metrics_row_cells(r);
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(rows[k].name, r->name);
    }
    assert_true(cells <= METRICS_CELLS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page), cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_full), cmocka_unit_test(test_registry),
        cmocka_unit_test(test_pack), cmocka_unit_test(test_table),
    };
    return RUN(tests);
}
