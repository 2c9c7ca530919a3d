#include "common/io/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>

#include "common/base/text.h"

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* ::ffff:1.2.3.4 is 1.2.3.4. */
static void normalise(struct address *a)
{
    if (a->family != ADDRESS_V6 || memcmp(a->ip, mapped_prefix, sizeof mapped_prefix) != 0)
        return;
    memmove(a->ip, a->ip + 12, 4);
    memset(a->ip + 4, 0, 12);
    a->family = ADDRESS_V4;
    a->scope = 0;
}

static size_t ip_len(const struct address *a)
{
    return a->family == ADDRESS_V4 ? 4 : 16;
}

static enum err parse_zone(struct view zone, uint32_t *out)
{
    char name[IF_NAMESIZE];
    if (zone.len == 0 || zone.len >= sizeof name)
        return ERR_SYNTAX;
    uint64_t number;
    if (text_u64(zone, UINT32_MAX, &number) == OK) {
        *out = (uint32_t)number;
        return OK;
    }
    memcpy(name, zone.ptr, zone.len);
    name[zone.len] = '\0';
    *out = if_nametoindex(name);
    return *out ? OK : ERR_SYNTAX;
}

enum err address_parse_ip(struct view text, struct address *out)
{
    struct address a = {0};
    char ip[INET6_ADDRSTRLEN];
    ptrdiff_t percent = view_find(text, '%');
    struct view host = percent < 0 ? text : view_take(text, (size_t)percent);
    if (host.len == 0 || host.len >= sizeof ip || view_find(host, 0) >= 0)
        return ERR_SYNTAX;
    memcpy(ip, host.ptr, host.len);
    ip[host.len] = '\0';
    if (percent < 0 && inet_pton(AF_INET, ip, a.ip) == 1)
        a.family = ADDRESS_V4;
    else if (inet_pton(AF_INET6, ip, a.ip) == 1)
        a.family = ADDRESS_V6;
    else
        return ERR_SYNTAX;
    if (percent >= 0)
        TRY(parse_zone(view_skip(text, (size_t)percent + 1), &a.scope));
    normalise(&a);
    *out = a;
    return OK;
}

enum err address_parse(struct view text, struct address *out)
{
    struct view host;
    uint16_t port;
    TRY(address_split(text, 0, &host, &port));
    struct address a;
    TRY(address_parse_ip(host, &a));
    a.port = port;
    *out = a;
    return OK;
}

void address_ip_text(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
    if (a->family == ADDRESS_NONE) {
        (void)snprintf(out, ADDRESS_TEXT_MAX, "unknown");
        return;
    }
    (void)inet_ntop(a->family == ADDRESS_V4 ? AF_INET : AF_INET6, a->ip, out, ADDRESS_TEXT_MAX);
    if (a->scope) {
        size_t len = strlen(out);
        (void)snprintf(out + len, ADDRESS_TEXT_MAX - len, "%%%u", a->scope);
    }
}

void address_text(const struct address *a, char out[ADDRESS_TEXT_MAX])
{
    char ip[ADDRESS_TEXT_MAX];
    address_ip_text(a, ip);
    if (a->family == ADDRESS_V6)
        (void)snprintf(out, ADDRESS_TEXT_MAX, "[%.53s]:%u", ip, a->port);
    else if (a->family == ADDRESS_V4)
        (void)snprintf(out, ADDRESS_TEXT_MAX, "%.53s:%u", ip, a->port);
    else
        (void)snprintf(out, ADDRESS_TEXT_MAX, "%.53s", ip);
}

bool address_eq_ip(const struct address *a, const struct address *b)
{
    return a->family == b->family && a->scope == b->scope &&
           (a->family == ADDRESS_NONE || memcmp(a->ip, b->ip, ip_len(a)) == 0);
}

bool address_eq(const struct address *a, const struct address *b)
{
    return address_eq_ip(a, b) && a->port == b->port;
}

bool address_is_loopback(const struct address *a)
{
    static const uint8_t one[16] = {[15] = 1};
    return (a->family == ADDRESS_V4 && a->ip[0] == 127) ||
           (a->family == ADDRESS_V6 && memcmp(a->ip, one, sizeof one) == 0);
}

struct address address_of_sockaddr(const struct sockaddr *sa)
{
    struct address a = {0};
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        a.family = ADDRESS_V4;
        memcpy(a.ip, &in->sin_addr, 4);
        a.port = ntohs(in->sin_port);
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        a.family = ADDRESS_V6;
        memcpy(a.ip, &in6->sin6_addr, 16);
        a.port = ntohs(in6->sin6_port);
        a.scope = in6->sin6_scope_id;
    }
    normalise(&a);
    return a;
}

socklen_t address_to_sockaddr(const struct address *a, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (a->family == ADDRESS_V4) {
        struct sockaddr_in *in = (void *)out;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->ip, 4);
        return sizeof *in;
    }
    if (a->family == ADDRESS_V6) {
        struct sockaddr_in6 *in6 = (void *)out;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->ip, 16);
        return sizeof *in6;
    }
    return 0;
}

static enum err split_brackets(struct view text, struct view *out_host, struct view *out_rest)
{
    ptrdiff_t close = view_find(text, ']');
    if (close < 0)
        return ERR_SYNTAX;
    struct view host = view_of(text.ptr + 1, (size_t)close - 1);
    struct address ip;
    TRY(address_parse_ip(host, &ip));
    *out_host = host;
    *out_rest = view_skip(text, (size_t)close + 1);
    return OK;
}

/* One colon separates a port; several without brackets are an IPv6 address alone. */
static enum err split_plain(struct view text, struct view *out_host, struct view *out_rest)
{
    ptrdiff_t colon = view_find(text, ':');
    if (colon >= 0 && colon != view_rfind(text, ':')) {
        struct address ip;
        TRY(address_parse_ip(text, &ip));
        colon = -1;
    }
    size_t len = colon < 0 ? text.len : (size_t)colon;
    if (len > ADDRESS_HOST_MAX)
        return ERR_SYNTAX;
    for (size_t i = 0; i < len; i++) {
        if (text.ptr[i] <= ' ' || text.ptr[i] == '[' || text.ptr[i] == ']' || text.ptr[i] == '/')
            return ERR_SYNTAX;
    }
    *out_host = view_take(text, len);
    *out_rest = view_skip(text, len);
    return OK;
}

enum err address_split(struct view text, uint16_t default_port, struct view *out_host,
                       uint16_t *out_port)
{
    struct view host;
    struct view rest;
    if (text.len > 0 && text.ptr[0] == '[')
        TRY(split_brackets(text, &host, &rest));
    else
        TRY(split_plain(text, &host, &rest));
    if (rest.len == 0) {
        if (default_port == 0 || host.len == 0)
            return ERR_SYNTAX;
        *out_host = host;
        *out_port = default_port;
        return OK;
    }
    uint64_t port;
    if (rest.ptr[0] != ':')
        return ERR_SYNTAX;
    TRY(text_u64(view_skip(rest, 1), UINT16_MAX, &port));
    if (port == 0)
        return ERR_RANGE;
    *out_host = host;
    *out_port = (uint16_t)port;
    return OK;
}

struct ip address_to_ip(const struct address *a)
{
    struct ip ip = {.len = a->family == ADDRESS_NONE ? 0 : (uint8_t)ip_len(a)};
    memcpy(ip.bytes, a->ip, ip.len);
    return ip;
}

struct address address_of_ip(const struct ip *ip, uint16_t port)
{
    struct address a = {.family = ip->len == 4    ? ADDRESS_V4
                                  : ip->len == 16 ? ADDRESS_V6
                                                  : ADDRESS_NONE,
                        .port = port};
    memcpy(a.ip, ip->bytes, ip->len);
    normalise(&a);
    return a;
}
