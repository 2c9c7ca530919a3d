#include "common/config/service_url.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/text.h"

enum { HOST_MAX = 253, URL_MAX = 2048 };

static bool is_ipv6_text(struct view host)
{
    size_t colons = 0;
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.ptr[i];
        bool hex = text_is_digit(c) || (text_lower(c) >= 'a' && text_lower(c) <= 'f');
        if (!hex && c != ':' && c != '.')
            return false;
        colons += c == ':';
    }
    return colons >= 2 && host.len <= 45;
}

bool service_host_is_valid(struct view host)
{
    if (host.len == 0 || host.len > HOST_MAX)
        return false;
    if (is_ipv6_text(host))
        return true;
    struct view rest = host, label;
    while (view_next(&rest, '.', &label)) {
        if (label.len == 0 || label.len > 63)
            return false;
        for (size_t i = 0; i < label.len; i++) {
            uint8_t c = label.ptr[i];
            if (!text_is_alpha(c) && !text_is_digit(c) && c != '-' && c != '_')
                return false;
        }
        if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-')
            return false;
    }
    return true;
}

/* Four decimal numbers, the first of which is 127. */
static bool is_loopback_ipv4(struct view host)
{
    struct view rest = host, part;
    size_t count = 0;
    while (view_next(&rest, '.', &part)) {
        uint64_t n;
        if (text_u64(part, 255, &n) != OK || (count == 0 && n != 127))
            return false;
        count++;
    }
    return count == 4;
}

bool service_host_is_loopback(struct view host)
{
    return view_eq_case(host, VIEW("localhost")) || view_eq_str(host, "::1") ||
           is_loopback_ipv4(host);
}

enum err service_address_parse(struct view text, uint16_t default_port, struct view *out_host,
                               uint16_t *out_port)
{
    struct view host = text, port = {0};
    if (text.len && text.ptr[0] == '[') {
        ptrdiff_t end = view_find(text, ']');
        if (end < 0 || !is_ipv6_text(view_of(text.ptr + 1, (size_t)end - 1)))
            return ERR_SYNTAX;
        host = view_of(text.ptr + 1, (size_t)end - 1);
        port = view_skip(text, (size_t)end + 1);
        if (port.len && port.ptr[0] != ':')
            return ERR_SYNTAX;
    } else if (!is_ipv6_text(text)) {
        ptrdiff_t colon = view_rfind(text, ':');
        host = colon < 0 ? text : view_take(text, (size_t)colon);
        port = colon < 0 ? port : view_skip(text, (size_t)colon);
        if (host.len && !service_host_is_valid(host))
            return ERR_SYNTAX;
    }
    uint64_t number = default_port;
    if (port.len)
        TRY(text_u64(view_skip(port, 1), 65535, &number));
    else if (default_port == 0 || host.len == 0)
        return ERR_SYNTAX;
    *out_host = host;
    *out_port = (uint16_t)number;
    return OK;
}

static const char *format(struct tree *t, struct view host, const char *suffix)
{
    bool v6 = view_find(host, ':') >= 0;
    AUTO_FREE char *s = mem_printf(v6 ? "[%.*s]%s" : "%.*s%s", VIEW_FMT(host), suffix);
    return tree_strndup(t, s, strlen(s));
}

static enum err split_scheme(struct view *rest, bool *out_https)
{
    static const struct view https = {(const uint8_t *)"https://", 8};
    static const struct view http = {(const uint8_t *)"http://", 7};
    bool secure = view_eq_case(view_take(*rest, https.len), https);
    if (!secure && !view_eq_case(view_take(*rest, http.len), http))
        return ERR_SYNTAX;
    *rest = view_skip(*rest, secure ? https.len : http.len);
    *out_https = secure;
    return OK;
}

/* Everything behind the host: "" or "/…"; nothing that a browser or a log could read otherwise. */
static const char *path_problem(struct view path)
{
    for (size_t i = 0; i < path.len; i++) {
        uint8_t c = path.ptr[i];
        if (c == '?' || c == '#')
            return "has a query or fragment, which is not allowed";
        if (c <= ' ' || c >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>')
            return "holds characters that a URL may not have";
    }
    return NULL;
}

enum err service_url_parse(struct tree *t, struct view text, bool service, struct config_url *out,
                           const char **out_why)
{
    struct config_url u = {0};
    struct view rest = text, host;
    *out_why = "is not an absolute URL like https://host or https://host:port";
    if (text.len > URL_MAX || split_scheme(&rest, &u.https) != OK)
        return ERR_SYNTAX;
    ptrdiff_t slash = view_find(rest, '/');
    struct view authority = slash < 0 ? rest : view_take(rest, (size_t)slash);
    struct view path = slash < 0 ? view_skip(rest, rest.len) : view_skip(rest, (size_t)slash);
    if (view_find(authority, '@') >= 0) {
        *out_why = "has user information, which is not allowed";
        return ERR_SYNTAX;
    }
    uint16_t scheme_port = u.https ? 443 : 80;
    if (authority.len == 0 || service_address_parse(authority, scheme_port, &host, &u.port) != OK ||
        host.len == 0 || u.port == 0 || (authority.ptr[0] != '[' && view_find(host, ':') >= 0))
        return ERR_SYNTAX;
    const char *problem = path_problem(path);
    if (!problem && service && path.len > 1)
        problem = "has a path, which is not allowed";
    if (problem) {
        *out_why = problem;
        return ERR_SYNTAX;
    }
    size_t keep = service ? text.len - path.len : text.len;
    char *lower = tree_strndup(t, (const char *)host.ptr, host.len);
    text_lower_str(lower);
    char suffix[8];
    (void)snprintf(suffix, sizeof suffix, ":%u", u.port);
    u.text = tree_strndup(t, (const char *)text.ptr, keep);
    u.host = lower;
    u.path = tree_strndup(t, (const char *)path.ptr, service ? 0 : path.len);
    u.target = format(t, view_str(lower), suffix);
    u.authority = u.port == scheme_port ? format(t, view_str(lower), "") : u.target;
    u.loopback = service_host_is_loopback(view_str(lower));
    *out = u;
    return OK;
}

const char *service_url_listen(struct tree *t, const struct config_url *url)
{
    char suffix[8];
    (void)snprintf(suffix, sizeof suffix, ":%u", url->port);
    if (!url->loopback)
        return tree_strndup(t, suffix, strlen(suffix));
    bool name = strcmp(url->host, "localhost") == 0;
    return format(t, view_str(name ? "127.0.0.1" : url->host), suffix);
}
