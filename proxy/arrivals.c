#include "proxy/arrivals.h"

#include <errno.h>
#include <unistd.h>

#include "common/base/check.h"
#include "common/base/mem.h"
#include "common/daemon/log.h"
#include "common/io/timer.h"
#include "proxy/edge/proxy_protocol.h"

enum { PEEK_MAX = 1024 };

/* Waits for the rest of its header. */
struct arrival {
    struct arrivals *arrivals;
    struct arrival *next; /* a younger one */
    struct arrival *previous;
    uv_poll_t poll;
    int fd;
    struct timer deadline;
    struct address peer;
    struct proxy_protocol header;
};

struct arrivals {
    struct loop *loop;
    struct listener *listener;
    const char *name;
    bool has_header;
    struct ip_net *trusted;
    size_t trusted_count;
    struct arrival *oldest;
    struct arrival *youngest;
    size_t count;
    uint64_t warn_at; /* when the next warning is due */
    uint64_t unsaid;  /* closed since the last one */
    listen_fn on_arrival;
    void *ctx;
};

static void say_closed(struct arrivals *as, const struct address *peer, const char *reason)
{
    char ip[ADDRESS_TEXT_MAX];
    uint64_t now = loop_now_ms(as->loop);
    bool due = now >= as->warn_at;
    address_ip_text(peer, ip);
    log_at(due ? CONFIG_LOG_WARN : CONFIG_LOG_DEBUG, "connection closed before its PROXY header",
           LOG_STR("listener", as->name), LOG_STR("ip", ip), LOG_STR("reason", reason),
           LOG_U64("not-logged", as->unsaid));
    as->unsaid = due ? 0 : as->unsaid + 1;
    if (due)
        as->warn_at = now + ARRIVALS_WARN_MS;
}

static bool is_trusted(const struct arrivals *as, const struct address *peer)
{
    struct ip ip = address_to_ip(peer);
    for (size_t i = 0; i < as->trusted_count; i++) {
        if (ip_net_has(&as->trusted[i], &ip))
            return true;
    }
    return false;
}

/* --- one that waits --- */

static void on_poll_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* Forgets it; the descriptor is the caller's. */
static int let_go(struct arrival *a)
{
    struct arrivals *as = a->arrivals;
    int fd = a->fd;
    *(a->previous ? &a->previous->next : &as->oldest) = a->next;
    *(a->next ? &a->next->previous : &as->youngest) = a->previous;
    as->count--;
    timer_fini(&a->deadline);
    proxy_protocol_fini(&a->header);
    (void)uv_poll_stop(&a->poll);
    uv_close((uv_handle_t *)&a->poll, on_poll_closed);
    return fd;
}

static void end(struct arrival *a, const char *reason)
{
    if (reason)
        say_closed(a->arrivals, &a->peer, reason);
    (void)close(let_go(a));
}

static void arrived(struct arrival *a, const struct proxy_protocol_header *h)
{
    struct arrivals *as = a->arrivals;
    struct address client = h->has_addresses ? address_of_ip(&h->source, h->source_port) : a->peer;
    int fd = let_go(a);
    as->on_arrival(as->ctx, fd, &client);
}

/* Takes no byte behind the header out of the socket. */
static void step(struct arrival *a)
{
    uint8_t bytes[PEEK_MAX];
    struct proxy_protocol_header h;
    enum err e = ERR_MORE;
    while (e == ERR_MORE) {
        size_t used = 0;
        ssize_t n = recv(a->fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n <= 0) { /* a health check, or a client that has left */
            end(a, NULL);
            return;
        }
        e = proxy_protocol_feed(&a->header, view_of(bytes, (size_t)n), &used, &h);
        if (used && recv(a->fd, bytes, used, MSG_DONTWAIT) != (ssize_t)used)
            e = ERR_IO;
    }
    if (e == OK)
        arrived(a, &h);
    else
        end(a, e == ERR_IO ? err_text(e) : proxy_protocol_why(&a->header));
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    if (status < 0)
        end(poll->data, NULL);
    else
        step(poll->data);
}

static void on_deadline(void *ctx)
{
    end(ctx, "no header came in time");
}

static void wait_for_header(struct arrivals *as, int fd, const struct address *peer)
{
    if (as->count >= ARRIVALS_MAX)
        end(as->oldest, "too many connections wait for their header");
    struct arrival *a = mem_zalloc(sizeof *a);
    a->arrivals = as;
    a->fd = fd;
    a->peer = *peer;
    a->previous = as->youngest;
    *(a->previous ? &a->previous->next : &as->oldest) = a;
    as->youngest = a;
    as->count++;
    proxy_protocol_init(&a->header);
    timer_init(&a->deadline, as->loop, on_deadline, a);
    timer_after(&a->deadline, ARRIVALS_HEADER_MS);
    CHECK(uv_poll_init(&as->loop->uv, &a->poll, fd) == 0);
    a->poll.data = a;
    CHECK(uv_poll_start(&a->poll, UV_READABLE, on_readable) == 0);
    /* It has mostly come with the connection. */
    step(a);
}

static void on_accept(void *ctx, int fd, const struct address *peer)
{
    struct arrivals *as = ctx;
    if (!as->has_header) {
        as->on_arrival(as->ctx, fd, peer);
    } else if (!is_trusted(as, peer)) {
        say_closed(as, peer, "the address is not in proxy_protocol_trusted");
        (void)close(fd);
    } else {
        wait_for_header(as, fd, peer);
    }
}

/* --- the list --- */

struct arrivals *arrivals_open(struct loop *l, int fd, const char *name,
                               const struct arrivals_settings *settings, listen_fn on_arrival,
                               void *ctx)
{
    struct arrivals *as = mem_zalloc(sizeof *as);
    as->loop = l;
    as->name = name;
    as->on_arrival = on_arrival;
    as->ctx = ctx;
    arrivals_set(as, settings);
    as->listener = listener_open(l, fd, on_accept, as);
    return as;
}

void arrivals_set(struct arrivals *as, const struct arrivals_settings *settings)
{
    mem_free(as->trusted);
    as->has_header = settings->has_header;
    as->trusted = mem_zalloc_array(settings->trusted_count, sizeof *as->trusted);
    as->trusted_count = 0;
    for (size_t i = 0; i < settings->trusted_count; i++) {
        /* What cannot be read trusts nobody. */
        if (ip_net_parse(view_str(settings->trusted[i]), &as->trusted[as->trusted_count]) == OK)
            as->trusted_count++;
    }
}

void arrivals_pause(struct arrivals *as)
{
    listener_pause(as->listener);
}

void arrivals_resume(struct arrivals *as)
{
    listener_resume(as->listener);
}

void arrivals_close(struct arrivals *as)
{
    if (!as)
        return;
    listener_close(as->listener);
    while (as->oldest)
        end(as->oldest, NULL);
    mem_free(as->trusted);
    mem_free(as);
}

size_t arrivals_count(const struct arrivals *as)
{
    return as->count;
}
