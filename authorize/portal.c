#include "authorize/portal.h"

#include "authorize/who.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/http/url.h"
#include "common/jose/signed_url.h"
#include "common/json/json.h"

/* --- where to sign in --- */

/* A route for whatever host makes no host ours. */
static bool is_host_of(const struct route_tunnel *t, struct view host)
{
    return strcmp(t->proxy_host, "*") != 0 && route_pattern_has(t->proxy_host, host);
}

static bool is_proxy_host(const struct snapshot *s, struct view host)
{
    for (size_t i = 0; i < s->route_count; i++) {
        const struct route_tunnel *t = s->routes[i].route->tunnel;
        if (t && is_host_of(t, host))
            return true;
    }
    return view_eq_str(host, s->config->authenticate_service_url.host);
}

/* The host a browser reaches us by, with its port unless that is 443; "" when there is none. */
static enum err write_host(const struct snapshot *s, const struct ask *ask,
                           const struct decision *d, struct buf *out)
{
    const struct route_tunnel *t = d->route ? d->route->route->tunnel : NULL;
    struct authority a;
    AUTO_FREE char *asked = mem_strdup(ask->route);
    text_lower_str(asked);
    if (t && !strchr(t->proxy_host, '*')) {
        a = (struct authority){.host = view_str(t->proxy_host), .port = t->proxy_port};
        a.is_ipv6 = strchr(t->proxy_host, ':') != NULL;
    } else {
        /* A client may call us by any name: only ours is signed. */
        if (authority_parse(view_str(asked), &a) != OK ||
            (t ? !is_host_of(t, a.host) : !is_proxy_host(s, a.host)))
            return OK;
        if (t)
            a.port = t->proxy_port;
    }
    if (a.port == 443)
        a.port = 0;
    return authority_write(&a, out);
}

static enum err write_sign_in_url(const struct snapshot *s, struct view host, uint64_t now_ms,
                                  struct buf *out)
{
    const struct config_url *authenticate = &s->config->authenticate_service_url;
    AUTO(buf_fini) struct buf back;
    AUTO(buf_fini) struct buf url;
    buf_init(&back, URL_MAX);
    buf_init(&url, URL_MAX);
    TRY(buf_printf(&back, "https://%.*s/", VIEW_FMT(host)));
    TRY(buf_printf(&url, "%s://%s/.pomerium/sign_in", authenticate->https ? "https" : "http",
                   authenticate->authority));
    TRY(url_add_query(&url, "pomerium_redirect_uri", buf_view(&back)));
    return signed_url_sign(secret_view(&s->config->shared_secret), buf_view(&url), now_ms,
                           now_ms + SIGNED_URL_VALID_MS, out);
}

char *portal_sign_in_url(const struct snapshot *s, const struct ask *ask, const struct decision *d,
                         uint64_t now_ms)
{
    AUTO(buf_fini) struct buf host;
    AUTO(buf_fini) struct buf url;
    buf_init(&host, URL_MAX);
    buf_init(&url, SIGNED_URL_MAX);
    if (write_host(s, ask, d, &host) != OK || host.len == 0 ||
        write_sign_in_url(s, buf_view(&host), now_ms, &url) != OK)
        return NULL;
    return buf_to_str(&url);
}

/* --- what may be reached --- */

static enum err write_ssh_command(const struct snapshot *s, const struct route *r,
                                  const struct ask *ask, struct buf *out)
{
    struct authority gateway;
    ptrdiff_t colon = view_rfind(view_str(s->config->ssh_address), ':');
    struct view port = view_skip(view_str(s->config->ssh_address), (size_t)(colon + 1));
    TRY(buf_append_str(out, "ssh "));
    if (port.len > 0 && !view_eq_str(port, "22"))
        TRY(buf_printf(out, "-p %.*s ", VIEW_FMT(port)));
    TRY(buf_printf(out, "LOGIN@%s@", r->name));
    if (authority_parse(view_str(ask->route), &gateway) != OK)
        return buf_append_str(out, "GATEWAY");
    return buf_append(out, gateway.host);
}

/* "host:port"; PORT where any will do. */
static enum err write_match(const struct route_match *m, struct buf *out)
{
    struct authority a = {
        .host = view_str(m->host), .port = m->port, .is_ipv6 = strchr(m->host, ':') != NULL};
    TRY(authority_write(&a, out));
    return m->port ? OK : buf_append_str(out, ":PORT");
}

static enum err write_tunnel_command(const struct route *r, struct buf *out)
{
    const struct route_tunnel *t = r->tunnel;
    TRY(buf_printf(out, "pomerium-cli %s ", r->kind == ROUTE_TCP ? "tcp" : "udp"));
    if (t->is_bastion) {
        struct authority a = {.host = view_str(t->proxy_host),
                              .port = t->proxy_port == 443 ? 0 : t->proxy_port,
                              .is_ipv6 = strchr(t->proxy_host, ':') != NULL};
        TRY(buf_append_str(out, "https://"));
        TRY(authority_write(&a, out));
        TRY(buf_append_u8(out, '/'));
    }
    return write_match(&t->matches[0], out);
}

static enum err write_name(const struct route *r, struct buf *out)
{
    if (*r->label)
        return buf_append_str(out, r->label);
    return r->tunnel ? write_match(&r->tunnel->matches[0], out) : buf_append_str(out, r->name);
}

static enum err add_route(const struct snapshot *s, const struct route *r, const struct ask *ask,
                          struct json *list)
{
    static const char *const types[] = {
        [ROUTE_SSH] = "ssh", [ROUTE_TCP] = "tcp", [ROUTE_UDP] = "udp", [ROUTE_UNSERVED] = ""};
    AUTO(buf_fini) struct buf name;
    AUTO(buf_fini) struct buf command;
    struct json *o = json_new_object();
    buf_init(&name, URL_MAX);
    buf_init(&command, URL_MAX);
    TRY(json_add(list, o));
    TRY(write_name(r, &name));
    TRY(r->tunnel ? write_tunnel_command(r, &command) : write_ssh_command(s, r, ask, &command));
    TRY(json_set_str(o, "id", view_str(r->id)));
    TRY(json_set_str(o, "name", buf_view(&name)));
    TRY(json_set_str(o, "type", view_str(types[r->kind])));
    TRY(json_set_str(o, "from", view_str(r->from)));
    TRY(json_set_str(o, "description", view_str(r->description)));
    TRY(json_set_str(o, "connect_command", buf_view(&command)));
    return json_set_str(o, "logo_url", view_str(r->logo_url));
}

static bool may_reach(const struct snapshot_route *r, const struct facts *tunnel,
                      const struct facts *ssh)
{
    if (r->route->kind == ROUTE_SSH)
        return policy_may_allow_login(r->policy, ssh);
    struct verdict v = policy_evaluate(r->policy, tunnel);
    return verdict_outcome(&v) == POLICY_ALLOW;
}

enum err portal_routes(const struct snapshot *s, const struct state *state, const struct ask *ask,
                       const struct decision *d, uint64_t now_ms, struct buf *out)
{
    /* As a CONNECT to each of them would be. */
    char method[] = "CONNECT";
    char path[] = "";
    struct tunnel_ask connect = *ask->tunnel;
    struct ask tunnel_ask = {
        .protocol = PROTOCOL_TCP, .source = ask->source, .route = "", .tunnel = &connect};
    struct offered_key no_key = {0};
    struct ask ssh_ask = {.source = ask->source, .route = "", .login = "", .key = &no_key};
    struct facts tunnel;
    struct facts ssh;
    AUTO(json_free_ptr) struct json *whole = json_new_object();
    struct json *list = json_new_array();
    connect.method = method;
    connect.path = path;
    TRY(json_set(whole, "routes", list));
    /* From an address that cannot be read nothing is reached. */
    if (who_facts(state, &tunnel_ask, now_ms, d, &tunnel) != OK ||
        who_facts(state, &ssh_ask, now_ms, d, &ssh) != OK)
        return json_write(whole, JSON_ORDER_INSERTED, out);
    for (size_t i = 0; i < s->route_count; i++) {
        if (may_reach(&s->routes[i], &tunnel, &ssh))
            TRY(add_route(s, s->routes[i].route, ask, list));
    }
    return json_write(whole, JSON_ORDER_INSERTED, out);
}
