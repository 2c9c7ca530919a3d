#include "common/daemon/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/crypto/digest.h"
#include "common/daemon/identity.h"

enum { NAMED_FILE_MAX = 4 << 20, PIECE = 16 << 10 };

const char *config_file_path(const char *given)
{
    const char *env = getenv("POSTERN_CONFIG");
    if (given)
        return given;
    return env && *env ? env : CONFIG_FILE_DEFAULT;
}

struct reader {
    struct config_reading *reading;
    struct digest digest;
};

static void note_path(struct reader *r, const char *path)
{
    struct config_reading *g = r->reading;
    g->paths = mem_realloc(g->paths, (g->count + 1) * sizeof(char *));
    g->paths[g->count++] = mem_strdup(path);
}

/* Lengths before texts, so that no two readings run together. */
static void note_text(struct reader *r, struct view text)
{
    uint64_t len = text.len;
    digest_update(&r->digest, view_of(&len, sizeof len));
    digest_update(&r->digest, text);
}

/* `hint` is the size that the file says it has: one allocation, so that no copy stays behind. */
static enum err read_all(int fd, size_t hint, size_t max, struct secret *out,
                         const char **out_reason)
{
    AUTO(buf_wipe) struct buf b;
    uint8_t *p;
    buf_init(&b, max + 1);
    for (;;) {
        size_t piece = !b.cap ? hint + 1 : b.len < b.cap ? b.cap - b.len : PIECE;
        piece = piece < buf_room(&b) ? piece : buf_room(&b);
        IGNORE(buf_reserve(&b, piece, &p), "within the room");
        ssize_t n = read(fd, p, piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            *out_reason = strerror(errno);
            return ERR_IO;
        }
        if (n == 0)
            break;
        buf_commit(&b, (size_t)n);
        if (b.len > max) {
            *out_reason = "the file is too large";
            return ERR_LIMIT;
        }
    }
    secret_set(out, buf_view(&b));
    return OK;
}

/*
 * systemd gives a service its credentials in a folder that no other user enters, and where that is
 * a tmpfs the ACL which lets the service in shows as a group's right to read.
 */
static bool is_too_open(const char *path, mode_t mode)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    size_t len = folder ? strlen(folder) : 0;
    bool is_credential = len > 1 && strncmp(path, folder, len) == 0 && path[len] == '/' &&
                         !strstr(path + len, "/..");
    return mode & (is_credential ? 037 : 077);
}

/* The mode is asked of what is open, so nothing can be exchanged in between. */
static enum err read_file(const char *path, bool tight, size_t max, struct secret *out,
                          const char **out_reason)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) != 0) {
        *out_reason = strerror(errno);
        if (fd >= 0)
            (void)close(fd);
        return ERR_NOT_FOUND;
    }
    enum err e = S_ISDIR(st.st_mode) ? ERR_IO : OK;
    *out_reason = "it is a directory";
    if (e == OK && tight && is_too_open(path, st.st_mode))
        e = ERR_PERMISSION;
    if (e == OK)
        e = read_all(fd, st.st_size > 0 ? (size_t)st.st_size : PIECE, max, out, out_reason);
    (void)close(fd);
    return e;
}

static const char *on_env(void *ctx, const char *name)
{
    const char *value = getenv(name);
    if (value) {
        note_text(ctx, view_str(name));
        note_text(ctx, view_str(value));
    }
    return value;
}

static enum err on_read(void *ctx, const char *path, bool tight, struct secret *out,
                        const char **out_reason)
{
    note_path(ctx, path);
    note_text(ctx, view_str(path));
    TRY(read_file(path, tight, NAMED_FILE_MAX, out, out_reason));
    note_text(ctx, secret_view(out));
    return OK;
}

static uint64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void set_hashes(struct config *c, const struct config_reading *r)
{
    uint8_t sum[DIGEST_SHA256_LEN];
    AUTO(buf_fini) struct buf hex;
    buf_init(&hex, sizeof c->hash - 1);
    digest(DIGEST_SHA256, config_canonical(c), sum);
    IGNORE(text_hex(view_of(sum, sizeof sum), &hex), "fits");
    memcpy(c->hash, buf_ptr(&hex), hex.len);
    c->hash[hex.len] = 0;
    memcpy(c->content_hash, r->hash, sizeof c->content_hash);
}

static enum err load(struct reader *r, const char *path, struct config_source *source,
                     struct diag *d, struct config **out)
{
    AUTO(secret_fini) struct secret yaml = {0};
    const char *reason = "";
    note_path(r, path);
    if (read_file(path, false, CONFIG_FILE_MAX, &yaml, &reason) != OK) {
        diag_error(d, (struct diag_place){.file = path}, "", "cannot be read: %s", reason);
        return ERR_CONFIG;
    }
    note_text(r, secret_view(&yaml));
    source->file = path;
    source->yaml = secret_view(&yaml);
    source->ctx = r;
    source->env = on_env;
    struct config *c;
    TRY(config_parse(source, d, &c));
    size_t errors = d->errors;
    if (source->read)
        identity_complete(c, wall_ms(), d);
    if (d->errors > errors) {
        config_unref(c);
        return ERR_CONFIG;
    }
    *out = c;
    return OK;
}

static enum err load_hashed(const char *path, struct config_source *source, struct diag *d,
                            struct config_reading *reading, struct config **out)
{
    struct reader r = {.reading = reading};
    struct config *c = NULL;
    *reading = (struct config_reading){0};
    digest_init(&r.digest, DIGEST_SHA256);
    enum err e = load(&r, path, source, d, &c);
    digest_final(&r.digest, reading->hash);
    TRY(e);
    set_hashes(c, reading);
    *out = c;
    return OK;
}

enum err config_file_read(const char *path, enum config_service service, struct diag *d,
                          struct config_reading *out_reading, struct config **out)
{
    struct config_source source = {.service = service, .read = on_read};
    return load_hashed(path, &source, d, out_reading, out);
}

enum err config_file_load(const char *path, enum config_service service, struct diag *d,
                          struct config **out)
{
    AUTO(config_reading_fini) struct config_reading reading;
    return config_file_read(path, service, d, &reading, out);
}

enum err config_file_load_shallow(const char *path, enum config_service service, struct diag *d,
                                  struct config **out)
{
    AUTO(config_reading_fini) struct config_reading reading;
    struct config_source source = {.service = service};
    return load_hashed(path, &source, d, &reading, out);
}

void config_reading_fini(struct config_reading *r)
{
    for (size_t i = 0; i < r->count; i++)
        mem_free(r->paths[i]);
    mem_free(r->paths);
    *r = (struct config_reading){0};
}

void config_file_print(const struct diag *d, int fd)
{
    for (size_t i = 0; i < d->count; i++)
        (void)dprintf(fd, "%s%s\n", d->items[i].warning ? "warning: " : "", d->items[i].text);
    if (d->errors > DIAG_MAX)
        (void)dprintf(fd, "and more: %zu errors in all\n", d->errors);
}
