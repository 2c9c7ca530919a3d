#include "common/http/masque.h"

#include "common/base/mem.h"
#include "common/base/text.h"

enum { HOST_MAX = 255 };

static enum err decode_host(struct view text, struct buf *out)
{
    if (!text.len || text.len > 3 * HOST_MAX)
        return ERR_SYNTAX;
    TRY(url_decode(text, out));
    uint8_t *p = buf_ptr(out);
    for (size_t i = 0; i < out->len; i++)
        p[i] = text_lower(p[i]);
    return OK;
}

/* A colon makes it an IPv6 address: a port has its own place in the path. */
static enum err check_host(struct view host, bool *out_is_ipv6)
{
    struct authority a;
    bool is_ipv6 = view_find(host, ':') >= 0;
    AUTO(buf_fini) struct buf text;
    buf_init(&text, 3 * HOST_MAX + 2);
    TRY(buf_append_str(&text, is_ipv6 ? "[" : ""));
    TRY(buf_append(&text, host));
    TRY(buf_append_str(&text, is_ipv6 ? "]" : ""));
    TRY(authority_parse(buf_view(&text), &a));
    if (a.is_ipv6 != is_ipv6)
        return ERR_SYNTAX;
    *out_is_ipv6 = is_ipv6;
    return OK;
}

enum err masque_parse(struct view path, struct buf *host, struct authority *out)
{
    struct view rest = view_skip(path, sizeof MASQUE_PREFIX - 1);
    struct view name;
    struct view port_text;
    uint64_t port;
    struct authority a = {0};
    AUTO(buf_fini) struct buf decoded;
    buf_init(&decoded, 3 * HOST_MAX);
    if (!view_starts_with(path, VIEW(MASQUE_PREFIX)) || !rest.len)
        return ERR_SYNTAX;
    if (!view_next(&rest, '/', &name) || !view_next(&rest, '/', &port_text) || !rest.ptr ||
        rest.len)
        return ERR_SYNTAX;
    TRY(decode_host(name, &decoded));
    TRY(check_host(buf_view(&decoded), &a.is_ipv6));
    if (text_u64(port_text, UINT16_MAX, &port) != OK || !port)
        return ERR_SYNTAX;
    if (decoded.len > host->max)
        return ERR_LIMIT;
    buf_clear(host);
    TRY(buf_append(host, buf_view(&decoded)));
    a.host = buf_view(host);
    a.port = (uint16_t)port;
    *out = a;
    return OK;
}

enum err masque_write(const struct authority *target, struct buf *out)
{
    TRY(buf_append_str(out, MASQUE_PREFIX));
    TRY(url_encode(target->host, out));
    return buf_printf(out, "/%u/", (unsigned)target->port);
}
