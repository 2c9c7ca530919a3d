#include "common/io/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/io/poller.h"
#include "common/io/timer.h"

enum { DIAL_STAGGER_MS = 250, DIAL_WHY_MAX = 200 };

/* Outlives a cancelled dial until the resolver's thread is done. */
struct resolve {
    uv_getaddrinfo_t req;
    struct dial *dial;
};

struct attempt {
    struct poller *poller;
    int fd;
    struct dial *dial;
    struct address peer;
};

struct dial {
    struct loop *loop;
    struct timer overall;
    struct timer step;
    struct resolve *resolve;
    struct address addresses[DIAL_ADDRESSES_MAX];
    size_t count;
    size_t next;
    struct attempt *attempts[DIAL_ADDRESSES_MAX];
    uint16_t port;
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    char *host;
    enum err err;
    dial_fn on_done;
    void *ctx;
    char why[DIAL_WHY_MAX];
};

static void note(struct dial *d, enum err e, const char *what, const char *why)
{
    d->err = e;
    (void)snprintf(d->why, sizeof d->why, "%s: %s", what, why);
}

/* The descriptor is the caller's. */
static int end_attempt(struct dial *d, struct attempt *a)
{
    int fd = a->fd;
    for (size_t i = 0; i < DIAL_ADDRESSES_MAX; i++) {
        if (d->attempts[i] == a)
            d->attempts[i] = NULL;
    }
    poller_close(a->poller);
    mem_free(a);
    return fd;
}

static void free_dial(struct dial *d)
{
    timer_fini(&d->overall);
    timer_fini(&d->step);
    for (size_t i = 0; i < DIAL_ADDRESSES_MAX; i++) {
        if (d->attempts[i])
            (void)close(end_attempt(d, d->attempts[i]));
    }
    if (d->resolve) {
        d->resolve->dial = NULL;
        (void)uv_cancel((uv_req_t *)&d->resolve->req);
    }
    mem_free(d->host);
    mem_free(d);
}

static void finish(struct dial *d, int fd, const struct address *peer)
{
    struct dial_result r = {.err = fd >= 0 ? OK : d->err, .fd = fd, .why = fd >= 0 ? "" : d->why};
    if (peer)
        r.peer = *peer;
    if (fd >= 0 && d->type == SOCK_DGRAM) {
        (void)close(fd);
        r.fd = -1;
    }
    char why[DIAL_WHY_MAX];
    (void)snprintf(why, sizeof why, "%s", r.why);
    r.why = why;
    dial_fn fn = d->on_done;
    void *ctx = d->ctx;
    free_dial(d);
    fn(ctx, &r);
}

static bool is_trying(const struct dial *d)
{
    for (size_t i = 0; i < DIAL_ADDRESSES_MAX; i++) {
        if (d->attempts[i])
            return true;
    }
    return false;
}

static void attempt_failed(struct dial *d, const struct address *peer, int error)
{
    char text[ADDRESS_TEXT_MAX];
    address_text(peer, text);
    note(d, ERR_UNAVAILABLE, text, strerror(error));
    timer_after(&d->step, 0);
}

static void on_connected(void *ctx, int status, int events)
{
    (void)events;
    struct attempt *a = ctx;
    struct dial *d = a->dial;
    struct address peer = a->peer;
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(a->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0 && status < 0)
        error = -status;
    int fd = end_attempt(d, a);
    if (error == 0) {
        finish(d, fd, &peer);
        return;
    }
    (void)close(fd);
    attempt_failed(d, &peer, error);
}

/*
 * 0: connected, EALREADY: not yet, else what is wrong. A host is connected to itself before the
 * first call returns, which only a second one tells.
 */
static int connect_to(int fd, const struct address *peer)
{
    struct sockaddr_storage sa;
    socklen_t len = address_to_sockaddr(peer, &sa);
    int error = connect(fd, (const struct sockaddr *)&sa, len) == 0 ? 0 : errno;
    if (error == EINPROGRESS)
        error = connect(fd, (const struct sockaddr *)&sa, len) == 0 ? 0 : errno;
    return error;
}

static void try_address(struct dial *d, size_t index)
{
    struct address peer = d->addresses[index];
    int family = peer.family == ADDRESS_V4 ? AF_INET : AF_INET6;
    int fd = socket(family, d->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = fd < 0 ? errno : connect_to(fd, &peer);
    if (error == 0) {
        finish(d, fd, &peer);
        return;
    }
    if (error != EALREADY) {
        if (fd >= 0)
            (void)close(fd);
        attempt_failed(d, &peer, error);
        return;
    }
    struct attempt *a = mem_zalloc(sizeof *a);
    a->fd = fd;
    a->dial = d;
    a->peer = peer;
    a->poller = poller_open(d->loop, fd, on_connected, a);
    poller_set(a->poller, UV_WRITABLE);
    d->attempts[index] = a;
    timer_after(&d->step, DIAL_STAGGER_MS);
}

static void add_address(struct dial *d, const struct address *a)
{
    if (d->count < DIAL_ADDRESSES_MAX)
        d->addresses[d->count++] = *a;
}

/* RFC 8305 §4: families take turns, beginning with the resolver's first. */
static void take_turns(struct dial *d)
{
    struct address sorted[DIAL_ADDRESSES_MAX];
    bool used[DIAL_ADDRESSES_MAX] = {false};
    enum address_family want = d->count ? d->addresses[0].family : ADDRESS_NONE;
    for (size_t n = 0; n < d->count; n++) {
        size_t pick = DIAL_ADDRESSES_MAX;
        for (size_t i = 0; i < d->count; i++) {
            if (used[i])
                continue;
            if (pick == DIAL_ADDRESSES_MAX ||
                (d->addresses[pick].family != want && d->addresses[i].family == want))
                pick = i;
        }
        used[pick] = true;
        sorted[n] = d->addresses[pick];
        want = sorted[n].family == ADDRESS_V4 ? ADDRESS_V6 : ADDRESS_V4;
    }
    memcpy(d->addresses, sorted, d->count * sizeof sorted[0]);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct resolve *r = req->data;
    struct dial *d = r->dial;
    mem_free(r);
    if (d) {
        d->resolve = NULL;
        for (const struct addrinfo *ai = list; status == 0 && ai; ai = ai->ai_next) {
            struct address a = address_of_sockaddr(ai->ai_addr);
            a.port = d->port;
            if (a.family != ADDRESS_NONE)
                add_address(d, &a);
        }
        take_turns(d);
        if (status != 0)
            note(d, ERR_NOT_FOUND, d->host, uv_strerror(status));
        timer_after(&d->step, 0);
    }
    uv_freeaddrinfo(list);
}

static void start_resolve(struct dial *d)
{
    static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct resolve *r = mem_zalloc(sizeof *r);
    r->dial = d;
    r->req.data = r;
    int e = uv_getaddrinfo(&d->loop->uv, &r->req, on_resolved, d->host, NULL, &hints);
    if (e == 0) {
        d->resolve = r;
        return;
    }
    mem_free(r);
    note(d, ERR_NOT_FOUND, d->host, uv_strerror(e));
    timer_after(&d->step, 0);
}

/* The next thing to do: another address, or the end when there is none and none is under way. */
static void on_step(void *ctx)
{
    struct dial *d = ctx;
    if (d->next < d->count)
        try_address(d, d->next++);
    else if (!is_trying(d))
        finish(d, -1, NULL);
}

static void on_overall(void *ctx)
{
    struct dial *d = ctx;
    note(d, ERR_TIMEOUT, d->host, "timed out");
    finish(d, -1, NULL);
}

static struct dial *start(struct loop *l, const char *target, uint32_t timeout_ms, dial_fn on_done,
                          void *ctx)
{
    struct dial *d = mem_zalloc(sizeof *d);
    d->type = SOCK_STREAM;
    d->loop = l;
    d->on_done = on_done;
    d->ctx = ctx;
    timer_init(&d->overall, l, on_overall, d);
    timer_init(&d->step, l, on_step, d);
    timer_after(&d->overall, timeout_ms ? timeout_ms : DIAL_TIMEOUT_MS);
    struct view host;
    struct address a;
    enum err e = address_split(view_str(target), 0, &host, &d->port);
    if (e != OK || host.len == 0) {
        note(d, ERR_SYNTAX, target, "is not of the form host:port");
        timer_after(&d->step, 0);
    } else if (address_parse_ip(host, &a) == OK) {
        d->host = mem_strndup(host.ptr, host.len);
        a.port = d->port;
        add_address(d, &a);
        timer_after(&d->step, 0);
    } else {
        d->host = mem_strndup(host.ptr, host.len);
        start_resolve(d);
    }
    return d;
}

struct dial *dial_open(struct loop *l, const char *target, uint32_t timeout_ms, dial_fn on_done,
                       void *ctx)
{
    return start(l, target, timeout_ms, on_done, ctx);
}

struct dial *dial_datagram(struct loop *l, const char *target, uint32_t timeout_ms, dial_fn on_done,
                           void *ctx)
{
    struct dial *d = start(l, target, timeout_ms, on_done, ctx);
    d->type = SOCK_DGRAM; /* no socket is made before the next turn */
    return d;
}

void dial_cancel(struct dial *d)
{
    if (d)
        free_dial(d);
}
