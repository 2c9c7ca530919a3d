#include "authorize/whoami.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"

enum { VALUE_SHOWN_MAX = 1024, CLAIM_TEXT_MAX = 64 << 10 };

/* --- times --- */

/* As Go prints durations, to the second: "13h59m12s". */
static void write_duration(uint64_t seconds, struct buf *out)
{
    unsigned long long h = seconds / 3600;
    unsigned long long m = seconds / 60 % 60;
    unsigned long long s = seconds % 60;
    if (h)
        IGNORE(buf_printf(out, "%lluh%llum%llus", h, m, s), "cut");
    else if (m)
        IGNORE(buf_printf(out, "%llum%llus", m, s), "cut");
    else
        IGNORE(buf_printf(out, "%llus", s), "cut");
}

/* " (in 5s)", " (5s ago)". */
static void write_distance(uint64_t at_s, uint64_t now_s, struct buf *out)
{
    IGNORE(buf_append_str(out, at_s >= now_s ? " (in " : " ("), "cut");
    write_duration(at_s >= now_s ? at_s - now_s : now_s - at_s, out);
    IGNORE(buf_append_str(out, at_s >= now_s ? ")" : " ago)"), "cut");
}

static void write_expiry(const struct whoami *w, struct buf *out)
{
    time_t t = (time_t)(w->expires_ms / 1000);
    struct tm tm;
    char text[40];
    if (w->expires_ms == UINT64_MAX || !gmtime_r(&t, &tm) ||
        !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm)) {
        IGNORE(buf_append_str(out, "Expires at: never\n"), "cut");
        return;
    }
    IGNORE(buf_printf(out, "Expires at: %s", text), "cut");
    write_distance(w->expires_ms / 1000, w->now_ms / 1000, out);
    IGNORE(buf_append_u8(out, '\n'), "cut");
}

/* --- claims --- */

/* Seconds since 1970 in these: RFC 7519 §4.1, OpenID Connect Core §2 and §5.1. */
static bool is_time(const char *name)
{
    static const char *const names[] = {"iat", "exp", "nbf", "auth_time", "updated_at"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(name, names[i]) == 0)
            return true;
    }
    return false;
}

/* What a provider said ends up in a terminal. */
static void write_plain(const char *text, struct buf *out)
{
    AUTO(buf_fini) struct buf clean;
    struct view v = view_take(view_str(text), VALUE_SHOWN_MAX);
    buf_init(&clean, 4 * VALUE_SHOWN_MAX);
    IGNORE(text_printable(v, &clean), "fits");
    for (size_t i = 0; i < clean.len; i++) {
        uint8_t c = buf_ptr(&clean)[i];
        if (c == '"' || c == '\\')
            IGNORE(buf_append_u8(out, '\\'), "cut");
        IGNORE(buf_append_u8(out, c), "cut");
    }
    if (strlen(text) > VALUE_SHOWN_MAX)
        IGNORE(buf_append_str(out, "…"), "cut");
}

static void write_value(const struct claim *c, const char *value, uint64_t now_s, struct buf *out)
{
    uint64_t at;
    if (is_time(c->name) && text_u64(view_str(value), UINT64_MAX, &at) == OK) {
        IGNORE(buf_append_str(out, value), "cut");
        write_distance(at, now_s, out);
    } else if (strcmp(value, "true") == 0 || strcmp(value, "false") == 0) {
        IGNORE(buf_append_str(out, value), "cut");
    } else {
        IGNORE(buf_append_u8(out, '"'), "cut");
        write_plain(value, out);
        IGNORE(buf_append_u8(out, '"'), "cut");
    }
}

static void write_claim(const struct claim *c, uint64_t now_s, struct buf *out)
{
    IGNORE(buf_append_str(out, "  "), "cut");
    write_plain(c->name, out);
    IGNORE(buf_append_str(out, c->count == 1 ? ": " : ": ["), "cut");
    for (size_t i = 0; i < c->count; i++) {
        if (i)
            IGNORE(buf_append_str(out, ", "), "cut");
        write_value(c, c->values[i], now_s, out);
    }
    IGNORE(buf_append_str(out, c->count == 1 ? "\n" : "]\n"), "cut");
}

static int by_name(const void *a, const void *b)
{
    const struct claim *const *x = a;
    const struct claim *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static bool has(const struct claims *claims, const char *name)
{
    for (size_t i = 0; i < claims->count; i++) {
        if (strcmp(claims->items[i].name, name) == 0)
            return true;
    }
    return false;
}

static void write_claims(const struct whoami *w, struct buf *out)
{
    AUTO_FREE const struct claim **all =
        mem_zalloc_array(w->session.count + w->user.count + 1, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < w->session.count; i++)
        all[n++] = &w->session.items[i];
    for (size_t i = 0; i < w->user.count; i++) {
        if (!has(&w->session, w->user.items[i].name))
            all[n++] = &w->user.items[i];
    }
    if (n)
        IGNORE(buf_append_str(out, "Claims:\n"), "cut");
    qsort((void *)all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n; i++) {
        AUTO(buf_fini) struct buf line;
        buf_init(&line, CLAIM_TEXT_MAX);
        write_claim(all[i], w->now_ms / 1000, &line);
        /* A claim is there as a whole or not at all. */
        if (buf_append(out, buf_view(&line)) != OK)
            return;
    }
}

void whoami_write(const struct whoami *w, struct buf *out)
{
    IGNORE(buf_printf(out, "User ID:    %s\nSession ID: %s\n", w->user_id, w->session_id), "cut");
    write_expiry(w, out);
    IGNORE(buf_printf(out, "SSH key:    %s\nClient IP:  %s\n", w->fingerprint, w->source), "cut");
    write_claims(w, out);
}
