#include "common/base/diag.h"

#include <stdarg.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

enum { DIAG_TEXT_MAX = 4096 };

void diag_fini(struct diag *d)
{
    for (size_t i = 0; i < d->count; i++) {
        mem_free(d->items[i].text);
        mem_free(d->items[i].key);
    }
    mem_free(d->items);
    *d = (struct diag){0};
}

[[gnu::format(printf, 5, 0)]] static void add(struct diag *d, struct diag_place at, const char *key,
                                              bool warning, const char *format, va_list args)
{
    d->errors += !warning;
    if (d->count == DIAG_MAX)
        return;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, DIAG_TEXT_MAX);
    /* What does not fit is cut off: the place and the key come first. */
    if (at.file)
        IGNORE(buf_printf(&b, "%s:", at.file), "cut");
    if (at.line)
        IGNORE(buf_printf(&b, "%u:%u:", at.line, at.column), "cut");
    if (key && *key)
        IGNORE(buf_printf(&b, "%s%s:", b.len ? " " : "", key), "cut");
    IGNORE(buf_append_str(&b, b.len ? " " : ""), "cut");
    IGNORE(buf_vprintf(&b, format, args), "cut");
    d->items = mem_realloc(d->items, (d->count + 1) * sizeof *d->items);
    d->items[d->count++] =
        (struct diag_item){.text = buf_to_str(&b), .key = mem_strdup(key), .warning = warning};
}

void diag_error(struct diag *d, struct diag_place at, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(d, at, key, false, format, args);
    va_end(args);
}

void diag_warn(struct diag *d, struct diag_place at, const char *key, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add(d, at, key, true, format, args);
    va_end(args);
}
