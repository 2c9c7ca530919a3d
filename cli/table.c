#include "cli/table.h"

#include <stdio.h>

#include "common/base/mem.h"

enum { TABLE_TEXT_MAX = 8 << 20, TABLE_COLUMNS_MAX = 12 };

void table_print_json(const struct json *object)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, TABLE_TEXT_MAX);
    IGNORE(json_write(object, JSON_ORDER_INSERTED, &b), "a record has at most 1 MiB");
    printf("%.*s\n", VIEW_FMT(buf_view(&b)));
}

static void cell(const struct json *row, const char *path, struct buf *out)
{
    const struct json *v = json_get(row, path);
    if (json_kind(v) != JSON_KIND_ARRAY) {
        IGNORE(json_text(v, out), "nothing to show");
    } else {
        for (size_t i = 0; i < json_len(v); i++) {
            IGNORE(buf_append_str(out, i ? "," : ""), "cut");
            IGNORE(json_text(json_at(v, i), out), "nothing to show");
        }
    }
    if (out->len == 0)
        IGNORE(buf_append_str(out, "-"), "room for one");
}

/* How wide the text is on a terminal: code points, near enough. */
static size_t width(struct view v)
{
    size_t n = 0;
    for (size_t i = 0; i < v.len; i++)
        n += (v.ptr[i] & 0xc0) != 0x80;
    return n;
}

static void print_cell(struct view text, size_t wide, bool last)
{
    printf("%.*s", VIEW_FMT(text));
    if (!last)
        printf("%*s", (int)(wide - width(text)) + 2, "");
}

void table_print(const struct cli *cli, const struct column *columns, const struct json *rows)
{
    size_t widths[TABLE_COLUMNS_MAX] = {0}, count = 0;
    if (cli->json) {
        for (size_t r = 0; r < json_len(rows); r++)
            table_print_json(json_at(rows, r));
        return;
    }
    AUTO(buf_fini) struct buf b;
    buf_init(&b, TABLE_TEXT_MAX);
    for (; columns[count].title; count++) {
        widths[count] = width(view_str(columns[count].title));
        for (size_t r = 0; r < json_len(rows); r++) {
            buf_clear(&b);
            cell(json_at(rows, r), columns[count].path, &b);
            size_t n = width(buf_view(&b));
            widths[count] = n > widths[count] ? n : widths[count];
        }
    }
    for (size_t c = 0; c < count; c++)
        print_cell(view_str(columns[c].title), widths[c], c + 1 == count);
    printf("\n");
    for (size_t r = 0; r < json_len(rows); r++) {
        for (size_t c = 0; c < count; c++) {
            buf_clear(&b);
            cell(json_at(rows, r), columns[c].path, &b);
            print_cell(buf_view(&b), widths[c], c + 1 == count);
        }
        printf("\n");
    }
}
