/* Hosts, ports and plain values of routes. */
#include "common/base/buf.h"
#include "common/base/ip.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/config/route_parse.h"
#include "common/config/service_url.h"

enum { SHOWN_MAX = 60 };

const char *route_kind_name(enum route_kind kind)
{
    return kind == ROUTE_TCP ? "tcp" : kind == ROUTE_UDP ? "udp" : "ssh";
}

const char *route_copy(struct route_context *c, struct view v)
{
    return tree_strndup(c->tree, (const char *)v.ptr, v.len);
}

char *route_shown(const struct node *n)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, SHOWN_MAX * 2);
    IGNORE(text_printable(view_take(node_view(n), SHOWN_MAX), &b), "fits");
    return buf_to_str(&b);
}

enum err route_authority_parse(struct route_context *c, struct view text, bool patterns,
                               const char **out_host, uint16_t *out_port)
{
    struct view host;
    uint16_t port;
    if (text.len == 0)
        return ERR_SYNTAX;
    /* What holds for a name with a letter in its place holds for one with a "*". */
    char *lower = tree_strndup(c->tree, (const char *)text.ptr, text.len);
    text_lower_str(lower);
    AUTO_FREE char *plain = mem_strdup(lower);
    for (char *p = plain; patterns && *p; p++)
        *p = *p == '*' ? 'x' : *p;
    bool bracketed = plain[0] == '[';
    bool has_port = text.ptr[text.len - 1] != ']' && view_find(text, ':') >= 0;
    TRY(service_address_parse(view_str(plain), has_port ? 0 : 1, &host, &port));
    struct ip ip;
    bool v6 = view_find(host, ':') >= 0;
    if (host.len == 0 || port == 0 || v6 != bracketed || (v6 && ip_parse(host, &ip) != OK))
        return ERR_SYNTAX;
    *out_host = tree_strndup(c->tree, lower + (host.ptr - (const uint8_t *)plain), host.len);
    *out_port = has_port ? port : 0;
    return OK;
}

void route_take_text(struct route_context *c, const char *key, const struct node *n,
                     const char **out)
{
    if (n->type == NODE_SCALAR)
        *out = route_copy(c, node_view(n));
    else if (n->type != NODE_NULL)
        route_fail(c, n->at, key, "expected a text, got %s", node_type_name(n));
}

void route_take_bool(struct route_context *c, const char *key, const struct node *n, bool *out)
{
    if (n->type != NODE_NULL && !node_bool(n, out))
        route_fail(c, n->at, key, "expected true or false");
}

void route_take_duration(struct route_context *c, const char *key, const struct node *n,
                         uint64_t *out_ms)
{
    if (n->type == NODE_NULL)
        return;
    if (n->type != NODE_SCALAR || text_duration_ms(node_view(n), out_ms) != OK)
        route_fail(c, n->at, key, "expected a duration such as 30s, 15m or 1h30m");
}

void route_take_number(struct route_context *c, const char *key, const struct node *n, uint32_t max,
                       uint32_t *out)
{
    uint64_t number;
    if (n->type == NODE_NULL)
        return;
    if (n->type != NODE_SCALAR || text_u64(node_view(n), max, &number) != OK)
        route_fail(c, n->at, key, "expected a number up to %u", max);
    else
        *out = (uint32_t)number;
}

enum err route_match_key(enum route_kind kind, struct view host, uint16_t port, struct buf *out)
{
    struct ip ip;
    TRY(buf_printf(out, "%s %u ", route_kind_name(kind), port));
    if (ip_parse(host, &ip) == OK)
        return buf_append(out, view_of(ip.bytes, ip.len));
    return buf_append(out, host);
}

bool route_pattern_has(const char *pattern, struct view host)
{
    const char *star = NULL;
    size_t n = 0;
    size_t resume = 0;
    while (n < host.len) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = n;
        } else if (*pattern && (uint8_t)*pattern == host.ptr[n]) {
            pattern++;
            n++;
        } else if (star) {
            pattern = star;
            n = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}
