#include "cli/udp_socket.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

enum { RECEIVE_BUFFER = 4 << 20 }; /* asked for: what comes while this program does not run */

struct udp_socket {
    uv_udp_t uv;
    struct loop *loop;
    udp_socket_fn on_packet;
    void *ctx;
    bool is_v6;
};

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

void udp_socket_close(struct udp_socket *u)
{
    if (u)
        uv_close((uv_handle_t *)&u->uv, on_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    (void)suggested;
    struct udp_socket *u = handle->data;
    *out = uv_buf_init((char *)u->loop->scratch, LOOP_SCRATCH);
}

static void on_recv(uv_udp_t *uv, ssize_t n, const uv_buf_t *bytes, const struct sockaddr *from,
                    unsigned flags)
{
    struct udp_socket *u = uv->data;
    if (n < 0 || !from || (flags & UV_UDP_PARTIAL))
        return;
    struct address a = address_of_sockaddr(from);
    u->on_packet(u->ctx, &a, view_of(bytes->base, (size_t)n));
}

/* Splits at the last colon; brackets around an IPv6 literal go. */
static bool split(const char *text, char **out_host, const char **out_port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || !colon[1])
        return false;
    struct view host = view_of(text, (size_t)(colon - text));
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = view_of(host.ptr + 1, host.len - 2);
    *out_host = mem_strndup(host.ptr, host.len);
    *out_port = colon + 1;
    return true;
}

/* Without a host: both families where there is IPv6. */
static int bind_to(struct udp_socket *u, const char *host, const char *port)
{
    const char *const any[] = {"::", "0.0.0.0"};
    int error = UV_EADDRNOTAVAIL;
    for (size_t i = 0; i < (*host ? 1 : 2); i++) {
        const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM,
                                       .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
        struct addrinfo *found = NULL;
        if (getaddrinfo(*host ? host : any[i], port, &hints, &found) != 0)
            continue;
        error = uv_udp_bind(&u->uv, found->ai_addr, 0);
        u->is_v6 = found->ai_family == AF_INET6;
        freeaddrinfo(found);
        if (error == 0)
            return 0;
    }
    return error;
}

enum err udp_socket_open(struct loop *l, const char *address, udp_socket_fn on_packet, void *ctx,
                         struct udp_socket **out, char **out_why)
{
    AUTO_FREE char *host = NULL;
    const char *port = NULL;
    if (!split(address, &host, &port)) {
        *out_why = mem_printf("%s is not HOST:PORT", address);
        return ERR_CONFIG;
    }
    struct udp_socket *u = mem_zalloc(sizeof *u);
    *u = (struct udp_socket){.loop = l, .on_packet = on_packet, .ctx = ctx};
    u->uv.data = u;
    int error = uv_udp_init(&l->uv, &u->uv);
    u->uv.data = u;
    if (error == 0)
        error = bind_to(u, host, port);
    int size = RECEIVE_BUFFER;
    if (error == 0)
        (void)uv_recv_buffer_size((uv_handle_t *)&u->uv, &size); /* as much as the kernel allows */
    if (error == 0)
        error = uv_udp_recv_start(&u->uv, on_alloc, on_recv);
    if (error == 0) {
        *out = u;
        return OK;
    }
    *out_why = mem_printf("%s: %s", address, uv_strerror(error));
    udp_socket_close(u);
    return ERR_IO;
}

struct address udp_socket_local(const struct udp_socket *u)
{
    struct sockaddr_storage at = {0};
    int len = sizeof at;
    if (uv_udp_getsockname(&u->uv, (struct sockaddr *)&at, &len) != 0)
        return (struct address){0};
    return address_of_sockaddr((const struct sockaddr *)&at);
}

void udp_socket_send(struct udp_socket *u, const struct address *to, struct view payload)
{
    struct sockaddr_storage at;
    socklen_t size = address_to_sockaddr(to, &at);
    /* On a socket of both families an IPv4 sender has an IPv4-mapped address. */
    if (size && u->is_v6 && at.ss_family == AF_INET) {
        char text[ADDRESS_TEXT_MAX], mapped[ADDRESS_TEXT_MAX + 8];
        address_ip_text(to, text);
        (void)snprintf(mapped, sizeof mapped, "::ffff:%s", text);
        if (uv_ip6_addr(mapped, to->port, (struct sockaddr_in6 *)&at) != 0)
            return;
    }
    uv_buf_t bytes = uv_buf_init((char *)payload.ptr, (unsigned)payload.len);
    (void)uv_udp_try_send(&u->uv, &bytes, 1, (const struct sockaddr *)&at);
}
