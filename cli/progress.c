#include "cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"

enum { EVERY_MS = 1000, LINE_MAX_BYTES = 200 };

static enum err add_size(struct buf *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    uint64_t tenths = bytes * 10;
    if (bytes < 1000)
        return buf_printf(out, "%u B", (unsigned)bytes);
    while (tenths >= 10000 && unit + 1 < ARRAY_LEN(units)) {
        tenths /= 1000;
        unit++;
    }
    return buf_printf(out, "%u.%u %s", (unsigned)(tenths / 10), (unsigned)(tenths % 10),
                      units[unit]);
}

static enum err add_way(struct buf *out, const char *name, const uint64_t bytes[2],
                        uint64_t elapsed_ms)
{
    TRY(buf_printf(out, ", %s ", name));
    TRY(add_size(out, bytes[0]));
    TRY(buf_append_str(out, " ("));
    TRY(add_size(out, elapsed_ms ? (bytes[0] - bytes[1]) * 1000 / elapsed_ms : 0));
    return buf_append_str(out, "/s)");
}

enum err progress_line(const struct progress_counts *now, const struct progress_counts *before,
                       uint64_t elapsed_ms, struct buf *out)
{
    const uint64_t up[2] = {now->bytes_up, before->bytes_up};
    const uint64_t down[2] = {now->bytes_down, before->bytes_down};
    TRY(buf_printf(out, "%zu tunnel%s", now->tunnels, now->tunnels == 1 ? "" : "s"));
    TRY(add_way(out, "up", up, elapsed_ms));
    return add_way(out, "down", down, elapsed_ms);
}

static void wipe(struct progress *p)
{
    if (p->shown)
        (void)fputs("\r\033[K", stderr);
    p->shown = false;
}

static void on_timer(void *ctx)
{
    struct progress *p = ctx;
    struct progress_counts now = p->count(p->ctx);
    uint64_t now_ms = loop_now_ms(p->loop);
    AUTO(buf_fini) struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    if (progress_line(&now, &p->last, now_ms - p->last_ms, &line) == OK) {
        (void)fprintf(stderr, "\r\033[K%.*s", VIEW_FMT(buf_view(&line)));
        (void)fflush(stderr);
        p->shown = true;
    }
    p->last = now;
    p->last_ms = now_ms;
    timer_after(&p->timer, EVERY_MS);
}

void progress_init(struct progress *p, struct loop *l, bool enabled,
                   struct progress_counts (*count)(void *ctx), void *ctx)
{
    *p = (struct progress){.count = count, .ctx = ctx, .loop = l, .last_ms = loop_now_ms(l)};
    timer_init(&p->timer, l, on_timer, p);
    if (enabled && isatty(STDERR_FILENO))
        timer_after(&p->timer, EVERY_MS);
}

void progress_fini(struct progress *p)
{
    timer_fini(&p->timer);
    if (p->shown)
        (void)fputc('\n', stderr);
    p->shown = false;
}

void progress_say(struct progress *p, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    wipe(p);
    (void)fputs("postern: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    (void)fflush(stderr);
    va_end(args);
}
