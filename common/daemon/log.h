/*
 * One JSON line per thing that happened, on standard output:
 *
 *     log_info("authorize check", LOG_STR("user", id), LOG_U64("bytes-in", n), LOG_BOOL("allow",
 * a));
 *     {"level":"info","time":"2026-01-02T03:04:05.678Z","service":"authorize","message":…,…}
 *
 * Any thread may log and never waits: lines go through a bounded ring to one writer thread; what
 * does not fit is dropped and counted, and the count is logged once there is room again. Values may
 * hold any bytes. Never a token, cookie, key or password. Field names: docs, configuration §4.
 */
#ifndef COMMON_DAEMON_LOG_H
#define COMMON_DAEMON_LOG_H

#include "common/base/view.h"
#include "common/config/config.h"

enum {
    LOG_RING_MAX = 4 << 20,
    LOG_LINE_MAX = 64 << 10, /* what does not fit a line is left out, marked "truncated":true */
    LOG_VALUE_MAX = 8 << 10, /* longer texts are cut */
};

enum log_type {
    LOG_TYPE_END,
    LOG_TYPE_TEXT,
    LOG_TYPE_U64,
    LOG_TYPE_I64,
    LOG_TYPE_BOOL,
    LOG_TYPE_TEXTS, /* array of count strings */
    LOG_TYPE_MS,    /* number of milliseconds */
};

struct log_field {
    const char *name;
    enum log_type type;
    union {
        struct view text;
        uint64_t u64;
        int64_t i64;
        bool boolean;
        struct {
            const char *const *items;
            size_t count;
        } texts;
    };
};

/* NULL texts are left out of the line, empty ones are kept. */
#define LOG_STR(field, value)                                                                      \
    ((struct log_field){.name = (field), .type = LOG_TYPE_TEXT, .text = view_str(value)})
#define LOG_VIEW(field, value)                                                                     \
    ((struct log_field){.name = (field), .type = LOG_TYPE_TEXT, .text = (value)})
#define LOG_U64(field, value)                                                                      \
    ((struct log_field){.name = (field), .type = LOG_TYPE_U64, .u64 = (value)})
#define LOG_I64(field, value)                                                                      \
    ((struct log_field){.name = (field), .type = LOG_TYPE_I64, .i64 = (value)})
#define LOG_BOOL(field, value)                                                                     \
    ((struct log_field){.name = (field), .type = LOG_TYPE_BOOL, .boolean = (value)})
#define LOG_STRS(field, list, n)                                                                   \
    ((struct log_field){.name = (field), .type = LOG_TYPE_TEXTS, .texts = {(list), (n)}})
#define LOG_MS(field, value)                                                                       \
    ((struct log_field){.name = (field), .type = LOG_TYPE_MS, .u64 = (value)})
/* {"error": "not reachable"} */
#define LOG_ERR(value)                                                                             \
    ((struct log_field){.name = "error", .type = LOG_TYPE_TEXT, .text = view_str(err_text(value))})

#define log_at(level, message, ...)                                                                \
    log_write((level), (message),                                                                  \
              (const struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){.type = LOG_TYPE_END}})
#define log_debug(...) log_at(CONFIG_LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(CONFIG_LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(CONFIG_LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(CONFIG_LOG_ERROR, __VA_ARGS__)

/* `fields` ends with LOG_TYPE_END. Before log_init nothing is written. */
void log_write(enum config_log_level level, const char *message, const struct log_field *fields);

/* Would a line of this level be written? For fields that cost something. */
bool log_enabled(enum config_log_level level);

/*
 * Starts the writer thread on `fd`, which stays the caller's. `service` is the field of each line.
 * daemon_run does it; the proxy's worker for itself.
 */
void log_init(const char *service, int fd);

/* Any thread. The default is info. */
void log_set_level(enum config_log_level level);

/* Waits until everything is written or `timeout_ms` have passed; false then. */
bool log_flush(uint32_t timeout_ms);

/* Flushes for at most a second and ends the thread; lines of other threads are dropped then. */
void log_fini(void);

/* Lines dropped since the start. */
uint64_t log_dropped(void);

#endif
