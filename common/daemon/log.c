#include "common/daemon/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/daemon/json_text.h"

enum {
    PIECE = 4096,  /* PIPE_BUF: a writable pipe takes that much without blocking */
    POLL_MS = 100, /* how soon a stuck writer sees that it has to end */
    FINI_MS = 1000,
    TAIL_ROOM = 32, /* for "truncated":true and the closing brace */
};

struct line {
    struct line *next;
    size_t len;
    char text[];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* there are lines, or the end is wanted */
    pthread_cond_t drained; /* nothing is waiting and nothing is being written */
    pthread_t thread;
    struct line *first;
    struct line **last;
    size_t bytes; /* waiting */
    bool writing;
    bool running;
    uint64_t unreported; /* dropped, not yet told */
    char *service;
    int fd;
} ring = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .filled = PTHREAD_COND_INITIALIZER,
          .drained = PTHREAD_COND_INITIALIZER};

static _Atomic int threshold = CONFIG_LOG_INFO;
static _Atomic uint64_t dropped;
static _Atomic bool quit;
static _Atomic bool is_open;

/* --- one line --- */

static uint64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static enum err write_texts(const struct log_field *f, struct buf *out)
{
    TRY(buf_append_u8(out, '['));
    for (size_t i = 0; i < f->texts.count; i++) {
        if (i)
            TRY(buf_append_u8(out, ','));
        TRY(json_text_write(view_take(view_str(f->texts.items[i]), LOG_VALUE_MAX), out));
    }
    return buf_append_u8(out, ']');
}

static enum err write_value(const struct log_field *f, struct buf *out)
{
    switch (f->type) {
    case LOG_TYPE_TEXT:
        return json_text_write(view_take(f->text, LOG_VALUE_MAX), out);
    case LOG_TYPE_U64:
    case LOG_TYPE_MS:
        return buf_printf(out, "%llu", (unsigned long long)f->u64);
    case LOG_TYPE_I64:
        return buf_printf(out, "%lld", (long long)f->i64);
    case LOG_TYPE_BOOL:
        return buf_append_str(out, f->boolean ? "true" : "false");
    case LOG_TYPE_TEXTS:
        return write_texts(f, out);
    case LOG_TYPE_END:
        break;
    }
    return ERR_INTERNAL;
}

static enum err write_field(const struct log_field *f, struct buf *out)
{
    TRY(buf_append_u8(out, ','));
    TRY(json_text_write(view_str(f->name), out));
    TRY(buf_append_u8(out, ':'));
    return write_value(f, out);
}

static void write_line(enum config_log_level level, const char *message,
                       const struct log_field *fields, struct buf *out)
{
    static const char *const names[] = {"trace", "debug", "info", "warn", "error", "error"};
    IGNORE(buf_printf(out, "{\"level\":\"%s\",\"time\":\"", names[level]), "fits");
    IGNORE(text_rfc3339(wall_ms(), out), "fits");
    IGNORE(buf_printf(out, "\",\"service\":\"%s\",\"message\":", ring.service), "fits");
    IGNORE(json_text_write(view_take(view_str(message), LOG_VALUE_MAX), out), "fits");
    bool truncated = false;
    for (; fields->type != LOG_TYPE_END; fields++) {
        size_t before = out->len;
        if (fields->type == LOG_TYPE_TEXT && !fields->text.ptr)
            continue;
        if (write_field(fields, out) != OK) {
            buf_truncate(out, before);
            truncated = true;
        }
    }
    out->max += TAIL_ROOM;
    IGNORE(buf_append_str(out, truncated ? ",\"truncated\":true}\n" : "}\n"), "has its own room");
}

/* --- the ring --- */

static void push(struct view text)
{
    struct line *l = mem_zalloc(sizeof *l + text.len);
    l->len = text.len;
    memcpy(l->text, text.ptr, text.len);
    pthread_mutex_lock(&ring.lock);
    bool taken = ring.running && ring.bytes + text.len <= LOG_RING_MAX;
    if (taken) {
        *ring.last = l;
        ring.last = &l->next;
        ring.bytes += text.len;
        pthread_cond_signal(&ring.filled);
    } else {
        ring.unreported++;
        (void)atomic_fetch_add(&dropped, 1);
    }
    pthread_mutex_unlock(&ring.lock);
    if (!taken)
        mem_free(l);
}

void log_write(enum config_log_level level, const char *message, const struct log_field *fields)
{
    if (!log_enabled(level))
        return;
    AUTO(buf_fini) struct buf b;
    buf_init(&b, LOG_LINE_MAX - TAIL_ROOM);
    write_line(level, message, fields, &b);
    push(buf_view(&b));
}

bool log_enabled(enum config_log_level level)
{
    return atomic_load(&is_open) && (int)level >= atomic_load(&threshold);
}

void log_set_level(enum config_log_level level)
{
    atomic_store(&threshold, (int)level);
}

uint64_t log_dropped(void)
{
    return atomic_load(&dropped);
}

/* --- the writer thread --- */

/* False when the end is wanted or the reader is gone. */
static bool write_bytes(const char *p, size_t len)
{
    while (len) {
        struct pollfd fd = {.fd = ring.fd, .events = POLLOUT};
        bool last = atomic_load(&quit);
        if (poll(&fd, 1, last ? 0 : POLL_MS) <= 0) {
            if (last)
                return false;
            continue;
        }
        ssize_t n = write(ring.fd, p, len < PIECE ? len : PIECE);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        }
    }
    return true;
}

static void report_dropped(uint64_t count)
{
    const struct log_field fields[] = {LOG_U64("count", count), {.type = LOG_TYPE_END}};
    AUTO(buf_fini) struct buf b;
    buf_init(&b, LOG_LINE_MAX);
    write_line(CONFIG_LOG_WARN, "log lines dropped", fields, &b);
    (void)write_bytes((const char *)b.data + b.start, b.len);
}

/* Takes what is waiting; NULL when the end is wanted and nothing is. */
static struct line *take(uint64_t *out_dropped)
{
    pthread_mutex_lock(&ring.lock);
    ring.writing = false;
    if (!ring.first)
        pthread_cond_broadcast(&ring.drained);
    while (!ring.first && !atomic_load(&quit))
        pthread_cond_wait(&ring.filled, &ring.lock);
    struct line *lines = ring.first;
    ring.first = NULL;
    ring.last = &ring.first;
    ring.writing = lines != NULL;
    *out_dropped = ring.unreported;
    ring.unreported = 0;
    pthread_mutex_unlock(&ring.lock);
    return lines;
}

/* The bytes count until they are written: a stuck pipe fills the ring and no more. */
static void written(size_t len)
{
    pthread_mutex_lock(&ring.lock);
    ring.bytes -= len;
    pthread_mutex_unlock(&ring.lock);
}

static void *run(void *ctx)
{
    (void)ctx;
    uint64_t lost;
    for (struct line *l; (l = take(&lost));) {
        if (lost)
            report_dropped(lost);
        while (l) {
            struct line *next = l->next;
            if (!write_bytes(l->text, l->len))
                (void)atomic_fetch_add(&dropped, 1);
            written(l->len);
            mem_free(l);
            l = next;
        }
    }
    return NULL;
}

void log_init(const char *service, int fd)
{
    CHECK(!ring.running);
    ring.service = mem_strdup(service);
    ring.fd = fd;
    ring.last = &ring.first;
    ring.running = true;
    atomic_store(&quit, false);
    CHECK(pthread_create(&ring.thread, NULL, run, NULL) == 0);
    atomic_store(&is_open, true);
}

static struct timespec deadline(uint32_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    uint64_t ns = (uint64_t)t.tv_nsec + (uint64_t)ms * 1000000;
    t.tv_sec += (time_t)(ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

bool log_flush(uint32_t timeout_ms)
{
    struct timespec end = deadline(timeout_ms);
    pthread_mutex_lock(&ring.lock);
    int waited = 0;
    while (ring.running && (ring.first || ring.writing) && waited == 0)
        waited = pthread_cond_timedwait(&ring.drained, &ring.lock, &end);
    bool done = !ring.first && !ring.writing;
    pthread_mutex_unlock(&ring.lock);
    return done;
}

void log_fini(void)
{
    if (!ring.running)
        return;
    atomic_store(&is_open, false);
    (void)log_flush(FINI_MS);
    pthread_mutex_lock(&ring.lock);
    ring.running = false;
    atomic_store(&quit, true);
    pthread_cond_signal(&ring.filled);
    pthread_mutex_unlock(&ring.lock);
    /* Other writers of the same pipe may have filled it after the poll: then leave the thread. */
    struct timespec end = deadline(5 * POLL_MS);
    if (pthread_timedjoin_np(ring.thread, NULL, &end) != 0) {
        (void)pthread_detach(ring.thread);
        return;
    }
    mem_free(ring.service);
    ring.service = NULL;
}
