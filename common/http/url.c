#include "common/http/url.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/text.h"

static bool is_hex(uint8_t c)
{
    return text_is_digit(c) || (text_lower(c) >= 'a' && text_lower(c) <= 'f');
}

static bool is_unreserved(uint8_t c)
{
    return text_is_alpha(c) || text_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Printable ASCII but " < > \ ^ ` { | } and with every % complete (RFC 3986 §2). */
static bool is_url_text(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        if (c <= ' ' || c >= 0x7f || view_find(VIEW("\"<>\\^`{|}"), c) >= 0)
            return false;
        if (c == '%' && (v.len - i < 3 || !is_hex(v.ptr[i + 1]) || !is_hex(v.ptr[i + 2])))
            return false;
    }
    return true;
}

/* RFC 3986 §3.1 */
static bool is_scheme_text(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.ptr[i];
        if (!text_is_alpha(c) &&
            (i == 0 || (!text_is_digit(c) && c != '+' && c != '-' && c != '.')))
            return false;
    }
    return v.len > 0;
}

static bool is_address(int family, struct view v)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[16];
    if (v.len >= sizeof text)
        return false;
    memcpy(text, v.ptr, v.len);
    text[v.len] = 0;
    return inet_pton(family, text, address) == 1;
}

/*
 * RFC 3986 §3.2.2 knows more bytes in a name; what is no letter, digit or one of "-._~" appears in
 * no name that resolves.
 */
static bool is_host_name(struct view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (!is_unreserved(v.ptr[i]))
            return false;
    }
    return v.len > 0 && v.len <= 255;
}

static enum err parse_port(struct view text, uint16_t *out)
{
    uint64_t port;
    if (text_u64(text, UINT16_MAX, &port) != OK || port == 0)
        return ERR_SYNTAX;
    *out = (uint16_t)port;
    return OK;
}

enum err authority_parse(struct view text, struct authority *out)
{
    struct authority a = {0};
    struct view rest;
    if (text.len && text.ptr[0] == '[') {
        ptrdiff_t end = view_find(text, ']');
        if (end < 0)
            return ERR_SYNTAX;
        a.host = view_skip(view_take(text, (size_t)end), 1);
        a.is_ipv6 = true;
        rest = view_skip(text, (size_t)end + 1);
        if (!is_address(AF_INET6, a.host))
            return ERR_SYNTAX;
    } else {
        ptrdiff_t colon = view_find(text, ':');
        a.host = colon < 0 ? text : view_take(text, (size_t)colon);
        rest = view_skip(text, a.host.len);
        if (!is_host_name(a.host))
            return ERR_SYNTAX;
    }
    if (rest.len) {
        if (rest.ptr[0] != ':')
            return ERR_SYNTAX;
        TRY(parse_port(view_skip(rest, 1), &a.port));
    }
    *out = a;
    return OK;
}

static enum err write_lower(struct view v, struct buf *out)
{
    for (size_t i = 0; i < v.len; i++)
        TRY(buf_append_u8(out, text_lower(v.ptr[i])));
    return OK;
}

enum err authority_write(const struct authority *a, struct buf *out)
{
    TRY(buf_append_str(out, a->is_ipv6 ? "[" : ""));
    TRY(write_lower(a->host, out));
    TRY(buf_append_str(out, a->is_ipv6 ? "]" : ""));
    return a->port ? buf_printf(out, ":%u", (unsigned)a->port) : OK;
}

bool authority_is_loopback(const struct authority *a)
{
    if (a->is_ipv6) {
        unsigned char address[16];
        static const unsigned char loopback[16] = {[15] = 1};
        char text[INET6_ADDRSTRLEN];
        (void)snprintf(text, sizeof text, "%.*s", VIEW_FMT(a->host));
        return inet_pton(AF_INET6, text, address) == 1 &&
               memcmp(address, loopback, sizeof loopback) == 0;
    }
    struct view suffix = VIEW(".localhost");
    if (view_eq_case(a->host, VIEW("localhost")))
        return true;
    if (a->host.len > suffix.len &&
        view_eq_case(view_skip(a->host, a->host.len - suffix.len), suffix))
        return true;
    return view_starts_with(a->host, VIEW("127.")) && is_address(AF_INET, a->host);
}

/* Cuts at the first `mark`; false when there is none. */
static bool cut(struct view *whole, uint8_t mark, struct view *out_rest)
{
    ptrdiff_t at = view_find(*whole, mark);
    if (at < 0)
        return false;
    *out_rest = view_skip(*whole, (size_t)at + 1);
    *whole = view_take(*whole, (size_t)at);
    return true;
}

enum err url_parse(struct view text, struct url *out)
{
    struct url u = {0};
    if (text.len > URL_MAX)
        return ERR_LIMIT;
    if (!text.ptr || !is_url_text(text))
        return ERR_SYNTAX;
    struct view rest = text;
    u.has_fragment = cut(&rest, '#', &u.fragment);
    u.has_query = cut(&rest, '?', &u.query);
    ptrdiff_t colon = view_search(rest, VIEW("://"));
    if (colon < 0)
        return ERR_SYNTAX;
    u.scheme = view_take(rest, (size_t)colon);
    rest = view_skip(rest, (size_t)colon + 3);
    if (!is_scheme_text(u.scheme))
        return ERR_SYNTAX;
    ptrdiff_t slash = view_find(rest, '/');
    struct view authority = slash < 0 ? rest : view_take(rest, (size_t)slash);
    u.path = view_skip(rest, authority.len);
    ptrdiff_t at = view_rfind(authority, '@');
    if (at >= 0) {
        u.has_userinfo = true;
        u.userinfo = view_take(authority, (size_t)at);
        authority = view_skip(authority, (size_t)at + 1);
        if (view_find(u.userinfo, '@') >= 0)
            return ERR_SYNTAX;
    }
    TRY(authority_parse(authority, &u.authority));
    *out = u;
    return OK;
}

bool url_is_scheme(const struct url *u, const char *scheme)
{
    return view_eq_case(u->scheme, view_str(scheme));
}

static uint16_t default_port(const struct url *u)
{
    struct view tls = VIEW("+https");
    if (url_is_scheme(u, "https") || url_is_scheme(u, "wss"))
        return 443;
    if (u->scheme.len > tls.len && view_eq_case(view_skip(u->scheme, u->scheme.len - tls.len), tls))
        return 443;
    return url_is_scheme(u, "http") || url_is_scheme(u, "ws") ? 80 : 0;
}

uint16_t url_port(const struct url *u)
{
    return u->authority.port ? u->authority.port : default_port(u);
}

bool url_same_origin(const struct url *a, const struct url *b)
{
    return view_eq_case(a->scheme, b->scheme) && a->authority.is_ipv6 == b->authority.is_ipv6 &&
           view_eq_case(a->authority.host, b->authority.host) && url_port(a) == url_port(b);
}

bool url_has_origin(const struct url *u, struct view origin)
{
    struct url o;
    if (url_parse(origin, &o) != OK || o.has_userinfo || o.has_query || o.has_fragment ||
        o.path.len)
        return false;
    return url_same_origin(u, &o);
}

enum err url_write_origin(const struct url *u, struct buf *out)
{
    struct authority a = u->authority;
    if (a.port == default_port(u))
        a.port = 0;
    TRY(write_lower(u->scheme, out));
    TRY(buf_append(out, VIEW("://")));
    return authority_write(&a, out);
}

bool url_is_local_path(struct view target)
{
    if (!target.len || target.ptr[0] != '/' || (target.len > 1 && target.ptr[1] == '/'))
        return false;
    for (size_t i = 0; i < target.len; i++) {
        uint8_t c = target.ptr[i];
        if (c <= ' ' || c == 0x7f || c == '\\')
            return false;
    }
    return true;
}

static enum err encode(struct view text, bool keep_slash, struct buf *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.ptr[i];
        if (is_unreserved(c) || (keep_slash && c == '/'))
            TRY(buf_append_u8(out, c));
        else
            TRY(buf_printf(out, "%%%02X", c));
    }
    return OK;
}

enum err url_encode(struct view text, struct buf *out)
{
    return encode(text, false, out);
}

enum err url_encode_path(struct view text, struct buf *out)
{
    return encode(text, true, out);
}

enum err url_decode(struct view text, struct buf *out)
{
    while (text.len) {
        ptrdiff_t percent = view_find(text, '%');
        struct view plain = percent < 0 ? text : view_take(text, (size_t)percent);
        TRY(buf_append(out, plain));
        text = view_skip(text, plain.len);
        if (text.len) {
            if (text.len < 3)
                return ERR_SYNTAX;
            TRY(text_unhex(view_of(text.ptr + 1, 2), out));
            text = view_skip(text, 3);
        }
    }
    return OK;
}

enum err url_add_query(struct buf *url, const char *name, struct view value)
{
    bool first = view_find(buf_view(url), '?') < 0;
    TRY(buf_append_u8(url, first ? '?' : '&'));
    TRY(url_encode(view_str(name), url));
    TRY(buf_append_u8(url, '='));
    return url_encode(value, url);
}
