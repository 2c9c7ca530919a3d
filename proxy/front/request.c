#include "proxy/front/request.h"

#include "common/base/check.h"
#include "common/http/masque.h"
#include "common/http/url.h"

#define API "/.pomerium/api/v1/"

struct view request_file(struct view path)
{
    ptrdiff_t query = view_find(path, '?');
    return query < 0 ? path : view_take(path, (size_t)query);
}

static struct request refused(uint16_t status)
{
    return (struct request){.kind = REQUEST_REFUSED, .status = status};
}

static struct request tunnel(enum request_kind kind, const struct authority *a)
{
    struct request r = {.kind = kind};
    struct buf text;
    buf_init(&text, sizeof r.destination - 1);
    bool fits = a->host.len <= REQUEST_HOST_MAX && a->port && authority_write(a, &text) == OK;
    if (fits)
        memcpy(r.destination, buf_ptr(&text), text.len);
    buf_fini(&text);
    return fits ? r : refused(400);
}

/* RFC 9110 §9.3.6, RFC 9113 §8.5: host and port, and nothing else. */
static struct request read_connect(const struct request_head *h)
{
    struct authority a;
    if (h->path.len || authority_parse(h->authority, &a) != OK)
        return refused(400);
    return tunnel(REQUEST_TCP, &a);
}

static struct request read_udp(const struct request_head *h)
{
    struct authority a;
    struct authority host;
    struct buf name;
    buf_init(&name, REQUEST_HOST_MAX);
    struct request r = {.kind = REQUEST_NOT_FOUND};
    if (masque_parse(request_file(h->path), &name, &a) == OK)
        r = tunnel(REQUEST_UDP, &a);
    if (r.kind == REQUEST_UDP && authority_parse(h->authority, &host) == OK)
        r.host_is_destination = !h->is_h2 && host.port == a.port && view_eq_case(host.host, a.host);
    buf_fini(&name);
    return r;
}

/* RFC 8441 §4, RFC 9298 §3.4. A client that is done before it begins has nothing to send. */
static struct request read_extended(const struct request_head *h)
{
    if (!view_eq_str(h->method, "CONNECT"))
        return refused(400);
    if (!view_eq_str(h->protocol, "connect-udp"))
        return refused(501);
    return h->has_body ? read_udp(h) : refused(400);
}

/* RFC 9298 §3.2. What follows an upgrade is no body. */
static struct request read_upgrade(const struct request_head *h)
{
    if (!view_eq_str(h->method, "GET") || h->has_body)
        return refused(400);
    return read_udp(h);
}

static bool is_below(struct view file, struct view folder)
{
    return view_starts_with(file, folder) &&
           (file.len == folder.len || file.ptr[folder.len] == '/');
}

static struct request read_path(const struct request_head *h, const char *authenticate_host)
{
    struct view file = request_file(h->path);
    struct authority a;
    /* HTTP/1 cannot get here so. */
    if (h->is_h2 && authority_parse(h->authority, &a) != OK)
        return refused(400);
    if (view_eq(file, VIEW("/ping")) || view_eq(file, VIEW("/healthz")))
        return (struct request){.kind = REQUEST_ALIVE};
    if (view_eq(file, VIEW(API "routes")))
        return (struct request){.kind = REQUEST_ROUTES};
    if (view_starts_with(file, VIEW(API "tunnels/")))
        return (struct request){.kind = REQUEST_REASON,
                                .id = view_skip(file, sizeof API "tunnels/" - 1)};
    if (is_below(file, VIEW("/.pomerium")) || is_below(file, VIEW("/.well-known/pomerium")))
        return (struct request){.kind = REQUEST_FORWARD};
    if (!file.len || file.ptr[0] != '/' || authority_parse(h->authority, &a) != OK ||
        !view_eq_case(a.host, view_str(authenticate_host)))
        return (struct request){.kind = REQUEST_NOT_FOUND};
    return (struct request){.kind = REQUEST_FORWARD};
}

struct request request_read(const struct request_head *h, const char *authenticate_host)
{
    if (h->protocol.len)
        return read_extended(h);
    if (view_eq_str(h->method, "CONNECT"))
        return read_connect(h);
    /* RFC 9110 §7.8: another Upgrade may be ignored, as curl's offer of h2c is. */
    if (h->upgrade && fields_has_token(h->fields, "Upgrade", "connect-udp"))
        return read_upgrade(h);
    return read_path(h, authenticate_host);
}
