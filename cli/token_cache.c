#include "cli/token_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/tunnel/reply.h"
#include "common/base/mem.h"
#include "common/http/url.h"
#include "common/jose/jws.h"

enum { LEEWAY_MS = 5000, URL_TEXT_MAX = 1024 };

#define LAST_NAME "last-url"

/* The folder of the cache, made when it is missing; NULL where there is no home. */
static char *folder(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    AUTO_FREE char *base = cache && cache[0] == '/' ? mem_strdup(cache)
                           : home && home[0] == '/' ? mem_printf("%s/.cache", home)
                                                    : NULL;
    if (!base)
        return NULL;
    (void)mkdir(base, 0700);
    AUTO_FREE char *postern = mem_printf("%s/postern", base);
    (void)mkdir(postern, 0700);
    char *jwts = mem_printf("%s/jwts", postern);
    (void)mkdir(jwts, 0700);
    return jwts;
}

static void complain(const char *path, const char *why)
{
    static bool said;
    if (!said)
        (void)cli_fail("tokens are not kept: %s: %s", path, why);
    said = true;
}

/* The folder, ours alone; -1 after saying why not. */
static int open_folder(void)
{
    AUTO_FREE char *path = folder();
    if (!path) {
        complain("HOME", "not set");
        return -1;
    }
    struct stat st;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        complain(path,
                 errno == ENOTDIR || errno == ELOOP ? "a link or no folder" : strerror(errno));
    } else if (st.st_uid != geteuid()) {
        complain(path, "it belongs to somebody else");
    } else if ((st.st_mode & 077) != 0 && fchmod(fd, 0700) != 0) {
        complain(path, strerror(errno));
    } else {
        return fd;
    }
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static void close_folder(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* A regular file of ours that nobody else may read. */
static bool is_ours(int fd, const char *name)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        complain(name, "no regular file");
    } else if (st.st_uid != geteuid()) {
        complain(name, "it belongs to somebody else");
    } else if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) != 0) {
        complain(name, strerror(errno));
    } else {
        return true;
    }
    return false;
}

/* What a small file holds, without a newline at its end; "" when there is none. Fresh. */
static char *read_text(int dir, const char *name)
{
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        if (errno != ENOENT)
            complain(name, errno == ELOOP ? "a link" : strerror(errno));
        return mem_strdup("");
    }
    char *text = mem_zalloc(JWS_MAX + 1);
    ssize_t n = is_ours(fd, name) ? read(fd, text, JWS_MAX) : 0;
    (void)close(fd);
    if (n < 0)
        n = 0;
    text[n] = '\0';
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

static bool write_all(int fd, const char *text)
{
    size_t len = strlen(text);
    return write(fd, text, len) == (ssize_t)len && write(fd, "\n", 1) == 1;
}

static void write_text(int dir, const char *name, const char *text)
{
    AUTO_FREE char *part = mem_printf(".%s.%ld", name, (long)getpid());
    (void)unlinkat(dir, part, 0);
    int fd = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && write_all(fd, text);
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && renameat(dir, part, dir, name) == 0;
    if (!ok) {
        complain(name, strerror(errno));
        (void)unlinkat(dir, part, 0);
    }
}

static void free_secret(char **text)
{
    if (*text)
        mem_wipe(*text, strlen(*text));
    mem_free(*text);
}

char *token_cache_read(const struct endpoint *at, uint64_t now_ms)
{
    AUTO(close_folder) int dir = open_folder();
    if (dir < 0)
        return mem_strdup("");
    AUTO_FREE char *name = endpoint_file_name(at);
    AUTO(free_secret) char *text = read_text(dir, name);
    uint64_t ends_ms = 0;
    if (!*text || token_expiry(view_str(text), &ends_ms) != OK ||
        (ends_ms && ends_ms <= now_ms + LEEWAY_MS))
        return mem_strdup("");
    return mem_strdup(text);
}

void token_cache_write(const struct endpoint *at, const char *token)
{
    AUTO(close_folder) int dir = open_folder();
    AUTO_FREE char *name = endpoint_file_name(at);
    if (dir >= 0)
        write_text(dir, name, token);
}

void token_cache_remove(const struct endpoint *at, const char *token)
{
    AUTO(close_folder) int dir = open_folder();
    if (dir < 0)
        return;
    AUTO_FREE char *name = endpoint_file_name(at);
    AUTO(free_secret) char *text = read_text(dir, name);
    if (*text && (!token || strcmp(text, token) == 0))
        (void)unlinkat(dir, name, 0);
}

int token_cache_lock(const struct endpoint *at)
{
    AUTO(close_folder) int dir = open_folder();
    if (dir < 0)
        return -2;
    AUTO_FREE char *name = endpoint_file_name(at);
    AUTO_FREE char *lock = mem_printf("%s.lock", name);
    int fd = openat(dir, lock, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -2;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int number = errno;
    (void)close(fd);
    return number == EWOULDBLOCK ? -1 : -2;
}

void token_cache_unlock(int lock)
{
    if (lock >= 0)
        (void)close(lock);
}

char *token_cache_last(void)
{
    AUTO(close_folder) int dir = open_folder();
    return dir < 0 ? mem_strdup("") : read_text(dir, LAST_NAME);
}

void token_cache_set_last(const char *url)
{
    AUTO(close_folder) int dir = open_folder();
    if (dir >= 0)
        write_text(dir, LAST_NAME, url);
}

/* The inverse of endpoint_file_name; NULL for another file. */
static char *url_of(struct view name)
{
    static const struct view suffix = {(const uint8_t *)".jwt", 4};
    ptrdiff_t first = view_find(name, '_'), last = view_rfind(name, '_');
    if (!view_ends_with(name, suffix) || first < 0 || last <= first)
        return NULL;
    AUTO(buf_fini) struct buf host;
    buf_init(&host, URL_TEXT_MAX);
    struct view encoded = view_take(view_skip(name, (size_t)first + 1), (size_t)(last - first - 1));
    if (url_decode(encoded, &host) != OK)
        return NULL;
    struct view port =
        view_take(view_skip(name, (size_t)last + 1), name.len - (size_t)last - 1 - suffix.len);
    bool v6 = view_find(buf_view(&host), ':') >= 0;
    return mem_printf("%.*s://%s%.*s%s:%.*s", (int)first, (const char *)name.ptr, v6 ? "[" : "",
                      VIEW_FMT(buf_view(&host)), v6 ? "]" : "", VIEW_FMT(port));
}

void token_cache_each(void (*fn)(void *ctx, const char *url), void *ctx)
{
    int fd = open_folder();
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        AUTO_FREE char *url = e->d_name[0] == '.' ? NULL : url_of(view_str(e->d_name));
        if (url)
            fn(ctx, url);
    }
    (void)closedir(dir);
}
