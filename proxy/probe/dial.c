#include "proxy/probe/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/mem.h"

enum {
    SLICE_MS = 100,  /* how soon a cancelled probe ends */
    PAUSE_MS = 20,   /* between two looks at a line that is not complete */
    PEEK_MAX = 4096, /* lines before the identification are legal (RFC 4253 §4.2) */
    HOST_MAX = 255,
    SHOWN_MAX = 80, /* of what is no SSH */
};

uint64_t dial_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

bool dial_wait(const struct probe_order *order, int fd, short events, uint64_t at)
{
    for (;;) {
        uint64_t now = dial_now();
        if (now >= at || atomic_load(&order->cancelled))
            return false;
        struct pollfd p = {.fd = fd, .events = events};
        int slice = (int)(at - now < SLICE_MS ? at - now : SLICE_MS);
        if (poll(&p, 1, slice) > 0)
            return true;
    }
}

/* --- resolve --- */

static bool split(const char *address, char host[HOST_MAX + 1], const char **out_port)
{
    struct view v = view_str(address);
    ptrdiff_t colon = view_rfind(v, ':');
    if (colon <= 0)
        return false;
    struct view name = view_take(v, (size_t)colon);
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
        name = view_of(name.ptr + 1, name.len - 2);
    if (name.len == 0 || name.len > HOST_MAX)
        return false;
    memcpy(host, name.ptr, name.len);
    host[name.len] = 0;
    *out_port = address + colon + 1;
    return true;
}

static void numeric(const struct sockaddr *sa, socklen_t len, char *out, size_t max)
{
    char host[64];
    char port[8];
    if (getnameinfo(sa, len, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        (void)snprintf(out, max, "?");
    else
        (void)snprintf(out, max, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static void describe(const struct addrinfo *list, char *out, size_t max)
{
    size_t used = 0;
    out[0] = 0;
    for (const struct addrinfo *a = list; a && used + 60 < max; a = a->ai_next) {
        char one[80];
        numeric(a->ai_addr, a->ai_addrlen, one, sizeof one);
        used += (size_t)snprintf(out + used, max - used, "%s%s", used ? ", " : "", one);
    }
}

static struct addrinfo *resolve(const struct probe_order *order, bool quiet,
                                struct probe_result *result)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char host[HOST_MAX + 1];
    char text[PROBE_TEXT_MAX];
    const char *port;
    uint64_t from = dial_now();
    int e =
        split(order->address, host, &port) ? getaddrinfo(host, port, &hints, &list) : EAI_NONAME;
    if (e == 0) {
        describe(list, text, sizeof text);
        if (!quiet)
            probe_step_add(result, PROBE_STEP_RESOLVE, PROBE_FINE, dial_now() - from,
                           view_str(text));
        return list;
    }
    bool unknown = e == EAI_NONAME || e == EAI_NODATA || e == EAI_ADDRFAMILY;
    probe_step_add(result, PROBE_STEP_RESOLVE, unknown ? PROBE_UNKNOWN_NAME : PROBE_RESOLVER,
                   dial_now() - from, view_str(gai_strerror(e)));
    return NULL;
}

/* --- connect --- */

static enum probe_fault fault_of(int e)
{
    switch (e) {
    case ECONNREFUSED:
        return PROBE_REFUSED;
    case ETIMEDOUT:
        return PROBE_TIMEOUT;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
        return PROBE_UNREACHABLE;
    default:
        return PROBE_OTHER;
    }
}

static int connect_one(const struct probe_order *order, const struct addrinfo *a, int *out_error)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int e = fd < 0 ? errno : 0;
    if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
        socklen_t len = sizeof e;
        e = errno;
        if (e == EINPROGRESS && !dial_wait(order, fd, POLLOUT, dial_now() + PROBE_CONNECT_MS))
            e = ETIMEDOUT;
        else if (e == EINPROGRESS)
            (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len);
    }
    *out_error = e;
    if (e == 0)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static int connect_any(const struct probe_order *order, const struct addrinfo *list, bool quiet,
                       struct probe_result *result)
{
    uint64_t from = dial_now();
    char at[80] = "";
    char text[PROBE_TEXT_MAX];
    int e = 0, fd = -1, tried = 0;
    for (const struct addrinfo *a = list; a && fd < 0 && tried < PROBE_ADDRESSES_MAX;
         a = a->ai_next, tried++) {
        numeric(a->ai_addr, a->ai_addrlen, at, sizeof at);
        fd = connect_one(order, a, &e);
    }
    if (fd >= 0 && !quiet)
        probe_step_add(result, PROBE_STEP_CONNECT, PROBE_FINE, dial_now() - from, view_str(at));
    if (fd < 0) {
        (void)snprintf(text, sizeof text, "%s: %s", at, strerror(e));
        probe_step_add(result, PROBE_STEP_CONNECT, fault_of(e), dial_now() - from, view_str(text));
    }
    return fd;
}

/* --- the identification line --- */

/* A line that begins with "SSH-", without its end. */
static bool find_ident(struct view text, struct view *out)
{
    struct view line;
    while (view_next(&text, '\n', &line)) {
        if (!text.ptr)
            return false; /* the last part has no end yet */
        if (view_starts_with(line, VIEW("SSH-"))) {
            *out =
                line.len && line.ptr[line.len - 1] == '\r' ? view_take(line, line.len - 1) : line;
            return true;
        }
    }
    return false;
}

static bool await_ident(const struct probe_order *order, int fd, bool quiet,
                        struct probe_result *result)
{
    uint8_t bytes[PEEK_MAX];
    uint64_t from = dial_now();
    enum probe_fault fault = PROBE_TIMEOUT;
    struct view seen = {0};
    while (dial_wait(order, fd, POLLIN, from + PROBE_BANNER_MS)) {
        struct view ident;
        ssize_t n = recv(fd, bytes, sizeof bytes, MSG_PEEK);
        if (n < 0 && errno == EAGAIN)
            continue;
        size_t before = seen.len;
        seen = view_of(bytes, n > 0 ? (size_t)n : 0);
        if (find_ident(seen, &ident)) {
            if (!quiet)
                probe_step_add(result, PROBE_STEP_BANNER, PROBE_FINE, dial_now() - from, ident);
            return true;
        }
        if (n <= 0 || seen.len == sizeof bytes) {
            fault = n > 0 ? PROBE_NOT_SSH : PROBE_ENDED;
            break;
        }
        fault = PROBE_NOT_SSH;
        /* The same bytes are readable until they are taken: wait for the end, or look again. */
        struct pollfd end = {.fd = fd, .events = POLLRDHUP};
        if (seen.len == before && poll(&end, 1, PAUSE_MS) > 0)
            break;
    }
    struct view line = view_take(seen, SHOWN_MAX);
    ptrdiff_t first = view_find(line, '\n');
    if (first >= 0)
        line = view_take(line, (size_t)first);
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    probe_step_add(result, PROBE_STEP_BANNER, fault, dial_now() - from, line);
    return false;
}

int dial_ssh(const struct probe_order *order, bool quiet, struct probe_result *result)
{
    struct addrinfo *list = resolve(order, quiet, result);
    if (!list)
        return -1;
    int fd = connect_any(order, list, quiet, result);
    freeaddrinfo(list);
    if (fd >= 0 && !await_ident(order, fd, quiet, result)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}
