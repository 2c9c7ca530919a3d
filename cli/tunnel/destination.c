#include "cli/tunnel/destination.h"

#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/url.h"

enum { PORT_HTTPS = 443, PORT_HTTP = 80 };

void endpoint_fini(struct endpoint *e)
{
    mem_free(e->host);
    mem_free(e->authority);
    mem_free(e->dial);
    *e = (struct endpoint){0};
}

void destination_fini(struct destination *d)
{
    mem_free(d->target);
    endpoint_fini(&d->proxy);
    d->target = NULL;
}

/* "host:port" in lower case, with brackets where needed; without the port when it is 0. */
static char *authority_text(const struct authority *a)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, URL_MAX);
    return authority_write(a, &b) == OK ? buf_to_str(&b) : mem_strdup("");
}

static void endpoint_set(struct endpoint *out, bool tls, const struct authority *a)
{
    uint16_t standard = tls ? PORT_HTTPS : PORT_HTTP;
    struct authority full = *a, shown = *a;
    full.port = a->port ? a->port : standard;
    shown.port = full.port == standard ? 0 : full.port;
    *out = (struct endpoint){.tls = tls, .port = full.port};
    out->host = mem_strndup(a->host.ptr, a->host.len);
    text_lower_str(out->host);
    out->authority = authority_text(&shown);
    out->dial = authority_text(&full);
}

char *endpoint_url(const struct endpoint *e)
{
    return mem_printf("%s://%s", e->tls ? "https" : "http", e->authority);
}

char *endpoint_file_name(const struct endpoint *e)
{
    AUTO(buf_fini) struct buf b;
    buf_init(&b, URL_MAX * 4);
    if (url_encode(view_str(e->host), &b) != OK)
        return mem_strdup("long");
    return mem_printf("%s_%.*s_%u.jwt", e->tls ? "https" : "http", VIEW_FMT(buf_view(&b)),
                      (unsigned)e->port);
}

static bool has_scheme(const char *text)
{
    return strstr(text, "://") != NULL;
}

/* Without "tcp+" or "udp+" in front; NULL when it begins with the other one. */
static const char *strip_kind(const char *text, const char *kind)
{
    size_t n = strlen(kind);
    if (strncmp(text, kind, n) == 0 && text[n] == '+')
        return text + n + 1;
    if (strncmp(text, "tcp+", 4) == 0 || strncmp(text, "udp+", 4) == 0)
        return NULL;
    return text;
}

static enum err check_gateway(const struct url *u, const char *text, char **out_why)
{
    if (!url_is_scheme(u, "https") && !url_is_scheme(u, "http"))
        *out_why = mem_printf("%s: the scheme has to be https or http", text);
    else if (u->has_userinfo)
        *out_why = mem_printf("%s: a user name has no place there", text);
    else if (u->has_query || u->has_fragment)
        *out_why = mem_printf("%s: there may be nothing behind the path", text);
    else
        return OK;
    return ERR_SYNTAX;
}

enum err endpoint_parse(const char *text, struct endpoint *out, char **out_why)
{
    AUTO_FREE char *full = has_scheme(text) ? mem_strdup(text) : mem_printf("https://%s", text);
    struct url u;
    if (url_parse(view_str(full), &u) != OK) {
        *out_why =
            mem_printf("%s is not the address of a gateway, as https://HOST[:PORT] is", text);
        return ERR_SYNTAX;
    }
    TRY(check_gateway(&u, text, out_why));
    endpoint_set(out, url_is_scheme(&u, "https"), &u.authority);
    return OK;
}

/* "host:port" of what is behind the gateway. */
static enum err set_target(struct view text, struct destination *out, char **out_why)
{
    struct authority a;
    if (view_find(text, '/') >= 0)
        *out_why = mem_printf("%.*s: name one HOST:PORT", VIEW_FMT(text));
    else if (authority_parse(text, &a) != OK)
        *out_why = mem_printf("%.*s is not HOST:PORT with a port from 1 to 65535", VIEW_FMT(text));
    else if (a.port == 0)
        *out_why = mem_printf("%.*s: the port is missing; write %.*s:PORT as in the route's from",
                              VIEW_FMT(text), VIEW_FMT(text));
    else {
        out->target = authority_text(&a);
        return OK;
    }
    return ERR_SYNTAX;
}

/* Without a path the authority is the destination, and its host the gateway. */
static enum err from_url(const char *text, struct destination *out, char **out_why)
{
    struct url u;
    if (url_parse(view_str(text), &u) != OK) {
        *out_why = mem_printf("%s is not a URL", text);
        return ERR_SYNTAX;
    }
    TRY(check_gateway(&u, text, out_why));
    bool tls = url_is_scheme(&u, "https");
    struct view path = u.path.len ? view_skip(u.path, 1) : u.path;
    if (path.len && path.ptr[path.len - 1] == '/')
        path = view_take(path, path.len - 1);
    if (path.len) {
        TRY(set_target(path, out, out_why));
        endpoint_set(&out->proxy, tls, &u.authority);
        return OK;
    }
    struct authority gateway = u.authority;
    gateway.port = 0;
    AUTO_FREE char *target = authority_text(&u.authority);
    TRY(set_target(view_str(target), out, out_why));
    endpoint_set(&out->proxy, tls, &gateway);
    return OK;
}

static enum err parse(const char *text, const char *kind, struct destination *out, char **out_why)
{
    if (strchr(text, '*')) {
        *out_why = mem_printf("%s: name a host, not a wildcard", text);
        return ERR_SYNTAX;
    }
    if (has_scheme(text)) {
        const char *url = strip_kind(text, kind);
        if (url)
            return from_url(url, out, out_why);
        *out_why = mem_printf("%s is not for postern %s", text, kind);
        return ERR_SYNTAX;
    }
    if (strchr(text, '/')) {
        *out_why = mem_printf("%s: a destination with a path begins with https://", text);
        return ERR_SYNTAX;
    }
    TRY(set_target(view_str(text), out, out_why));
    struct authority a;
    TRY(authority_parse(view_str(out->target), &a));
    a.port = 0;
    endpoint_set(&out->proxy, true, &a);
    return OK;
}

enum err destination_parse(const char *text, const char *kind, const char *proxy_url,
                           struct destination *out, char **out_why)
{
    struct destination d = {0};
    enum err e = parse(text, kind, &d, out_why);
    if (e == OK && proxy_url) {
        endpoint_fini(&d.proxy);
        e = endpoint_parse(proxy_url, &d.proxy, out_why);
    }
    if (e == OK)
        *out = d;
    else
        destination_fini(&d);
    return e;
}
