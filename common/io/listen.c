#include "common/io/listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/io/socket.h"
#include "common/io/stream.h"
#include "common/io/timer.h"

enum {
    LISTEN_BACKLOG = 1024,
    LISTEN_BATCH = 64,    /* accepted per turn, so that nobody else starves */
    LISTEN_REST_MS = 100, /* after EMFILE and the like */
};

struct listener {
    struct loop *loop;
    uv_poll_t poll;
    struct timer rest;
    int fd;
    uint64_t turn; /* of the loop, when there was something last */
    bool paused;
    bool closing;
    listen_fn on_accept;
    void *ctx;
};

static enum err bind_one(const struct addrinfo *ai, bool dual, int *out_fd)
{
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_IO;
    int on = 1;
    int v6only = !dual;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (ai->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
    socket_set_options(fd, STREAM_KEEPALIVE_S);
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return ERR_IO;
    }
    *out_fd = fd;
    return OK;
}

/* "host:port" where, unlike everywhere else, port 0 is allowed. */
static enum err split(struct view text, struct view *out_host, char port[8])
{
    uint16_t number = 0;
    if (view_ends_with(text, VIEW(":0"))) {
        struct view head = view_take(text, text.len - 2);
        if (head.len == 0)
            *out_host = head;
        else if (head.ptr[0] == '[' && head.ptr[head.len - 1] == ']')
            *out_host = view_of(head.ptr + 1, head.len - 2);
        else if (view_find(head, ':') < 0)
            *out_host = head;
        else
            return ERR_SYNTAX;
    } else {
        TRY(address_split(text, 0, out_host, &number));
    }
    int n = snprintf(port, 8, "%u", number);
    return n > 0 ? OK : ERR_INTERNAL;
}

static enum err bind_any(const struct addrinfo *list, bool dual, int *out_fd)
{
    enum err e = ERR_IO;
    /* With an empty host, IPv6 first: its socket takes IPv4 as well. */
    for (int want6 = 1; want6 >= 0 && e != OK; want6--) {
        for (const struct addrinfo *ai = list; ai && e != OK; ai = ai->ai_next) {
            if ((ai->ai_family == AF_INET6) == (want6 != 0))
                e = bind_one(ai, dual, out_fd);
        }
    }
    return e;
}

/* "", "::", and the mapped form of an IPv4 address: a socket of IPv6 that takes IPv4. */
static bool is_dual(struct view host)
{
    static const uint8_t any[16] = {0};
    struct address a;
    if (host.len == 0)
        return true;
    if (address_parse_ip(host, &a) != OK || view_find(host, ':') < 0)
        return false;
    return a.family == ADDRESS_V4 || memcmp(a.ip, any, sizeof any) == 0;
}

enum err listen_bind(const char *address, int *out_fd, char **out_why)
{
    struct view host;
    char port[8];
    if (split(view_str(address), &host, port) != OK) {
        *out_why = mem_printf("%s is not an address of the form host:port", address);
        return ERR_CONFIG;
    }
    AUTO_FREE char *name = mem_strndup(host.ptr, host.len);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                             .ai_family = AF_UNSPEC};
    struct addrinfo *list = NULL;
    int gai = getaddrinfo(host.len ? name : NULL, port, &hints, &list);
    if (gai != 0) {
        *out_why = mem_printf("%s: %s", address, gai_strerror(gai));
        return ERR_CONFIG;
    }
    enum err e = bind_any(list, is_dual(host), out_fd);
    if (e != OK)
        *out_why = mem_printf("cannot listen on %s: %s", address, strerror(errno));
    freeaddrinfo(list);
    return e;
}

struct address listen_address(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    memset(&sa, 0, sizeof sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return (struct address){0};
    return address_of_sockaddr((const struct sockaddr *)&sa);
}

static void free_listener(struct listener *ls)
{
    timer_fini(&ls->rest);
    (void)close(ls->fd);
    mem_free(ls);
}

static void on_closed(uv_handle_t *handle)
{
    free_listener(handle->data);
}

static bool is_of_one_connection(int error)
{
    return error == ECONNABORTED || error == EINTR || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == ENOPROTOOPT || error == EHOSTDOWN || error == ENONET ||
           error == EHOSTUNREACH || error == EOPNOTSUPP || error == ENETUNREACH;
}

/*
 * One connection alone is taken without asking for a second, which the next turn would tell of;
 * once two turns in a row had some, all that wait are.
 */
static int batch_of(struct listener *ls)
{
    bool is_burst = ls->turn + 1 >= ls->loop->turns;
    ls->turn = ls->loop->turns;
    return is_burst ? LISTEN_BATCH : 1;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct listener *ls = poll->data;
    int batch = batch_of(ls);
    if (status < 0) /* libuv has stopped the handle */
        timer_after(&ls->rest, LISTEN_REST_MS);
    for (int i = 0; i < batch && !ls->paused && !ls->closing; i++) {
        struct sockaddr_storage sa;
        socklen_t len = sizeof sa;
        memset(&sa, 0, sizeof sa);
        int fd = accept4(ls->fd, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            struct address peer = address_of_sockaddr((const struct sockaddr *)&sa);
            ls->on_accept(ls->ctx, fd, &peer);
            continue;
        }
        if (is_of_one_connection(errno))
            continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            (void)uv_poll_stop(&ls->poll);
            timer_after(&ls->rest, LISTEN_REST_MS);
        }
        break;
    }
}

static void on_rested(void *ctx)
{
    struct listener *ls = ctx;
    if (!ls->paused)
        CHECK(uv_poll_start(&ls->poll, UV_READABLE, on_readable) == 0);
}

struct listener *listener_open(struct loop *l, int fd, listen_fn on_accept, void *ctx)
{
    struct listener *ls = mem_zalloc(sizeof *ls);
    ls->loop = l;
    ls->fd = fd;
    ls->on_accept = on_accept;
    ls->ctx = ctx;
    timer_init(&ls->rest, l, on_rested, ls);
    CHECK(uv_poll_init(&l->uv, &ls->poll, fd) == 0);
    ls->poll.data = ls;
    CHECK(uv_poll_start(&ls->poll, UV_READABLE, on_readable) == 0);
    return ls;
}

void listener_pause(struct listener *ls)
{
    ls->paused = true;
    timer_clear(&ls->rest);
    (void)uv_poll_stop(&ls->poll);
}

void listener_resume(struct listener *ls)
{
    if (!ls->paused)
        return;
    ls->paused = false;
    CHECK(uv_poll_start(&ls->poll, UV_READABLE, on_readable) == 0);
}

void listener_close(struct listener *ls)
{
    if (!ls)
        return;
    ls->closing = true;
    timer_clear(&ls->rest);
    (void)uv_poll_stop(&ls->poll);
    uv_close((uv_handle_t *)&ls->poll, on_closed);
}
